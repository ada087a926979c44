//! How slowly the other side of a transfer may move: 64 KiB have a minute, however they come, and
//! what takes longer ends. A bound for each piece alone would let one byte at a time hold a
//! transfer for ever. Only the time that was spent waiting for the other side counts.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How much has to move in which time.
const AMOUNT: usize = 64 * 1024;
const TIME: Duration = Duration::from_mins(1);

/// What is left of the time for the next 64 KiB of one transfer.
#[derive(Debug)]
pub struct Pace {
    left: Duration,
    moved: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            left: TIME,
            moved: 0,
        }
    }
}

impl Pace {
    /// How long to wait for the other side from now on; zero once it was too slow.
    pub fn left(&self) -> Duration {
        self.left
    }

    /// Notes how long the other side was waited for.
    pub fn waited(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    /// Notes how much came, or went, after that.
    pub fn moved(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(bytes);
        if self.moved >= AMOUNT {
            *self = Self::default();
        }
    }
}

/// A connection whose other side has to take what is sent at that pace.
pub(crate) struct PacedStream<S> {
    stream: S,
    pace: Pace,
    /// Since when the other side has not taken anything, and how long it may go on like that.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> PacedStream<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            pace: Pace::default(),
            waiting: None,
        }
    }

    /// Passes on what became of a write, unless the other side has been too slow.
    fn judge(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            let left = self.pace.left();
            let (_, end) = self
                .waiting
                .get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(left))));
            ready!(end.as_mut().poll(context));
            let reason = "the client takes less than 64 KiB in a minute";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason)));
        }
        if let Some((since, _)) = self.waiting.take() {
            self.pace.waited(since.elapsed());
        }
        if let Poll::Ready(Ok(bytes)) = &written {
            self.pace.moved(*bytes);
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PacedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PacedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        content: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, content);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        content: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, content);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Asked for once all that there was to send has been taken; what comes later starts anew.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pace = Pace::default();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Sends 1 MiB to a client that takes `amount` bytes each 29 seconds.
    async fn send(amount: usize) -> io::Result<()> {
        let (server, mut client) = tokio::io::duplex(1024);
        let taking = tokio::spawn(async move {
            let mut taken = vec![0; amount];
            loop {
                tokio::time::sleep(Duration::from_secs(29)).await;
                if client.read_exact(&mut taken).await.is_err() {
                    return;
                }
            }
        });
        let mut server = PacedStream::new(server);
        let sent = server.write_all(&vec![7; 1024 * 1024]).await;
        taking.abort();
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_too_little_in_a_minute_is_cut_off() {
        let started = Instant::now();
        let error = send(1).await.expect_err("too slow");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(70));
        send(40_000).await.expect("fast enough");
    }

    #[test]
    fn time_that_moves_enough_is_given_anew() {
        let mut pace = Pace::default();
        pace.waited(Duration::from_secs(59));
        pace.moved(AMOUNT - 1);
        assert_eq!(pace.left(), Duration::from_secs(1));
        pace.moved(1);
        assert_eq!(pace.left(), TIME);
        pace.waited(TIME * 2);
        assert!(pace.left().is_zero());
    }
}
