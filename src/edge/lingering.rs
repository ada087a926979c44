//! A connection's stream, closed so that a client which is still sending sees its answer.
//!
//! Who closes a socket that holds unread bytes resets the connection, and a reset can overtake the
//! answer. So the stream is closed for writing first, and what the client still sends is thrown
//! away for a moment.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::connections::Connection;

/// For how long, and how many bytes, a client is listened to that was answered already.
const LINGER_TIME: Duration = Duration::from_secs(5);
const MAX_LINGER: usize = 16 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Lingering<S> {
    stream: S,
    connection: Arc<Connection>,
    /// Whether the client has closed its side, or the connection is broken.
    has_ended: bool,
    /// Since it was closed for writing.
    rest: Option<Rest>,
}

/// What may still be thrown away.
#[derive(Debug)]
struct Rest {
    time: Pin<Box<Sleep>>,
    bytes: usize,
}

impl<S> Lingering<S> {
    pub(super) fn new(stream: S, connection: Arc<Connection>) -> Self {
        Self {
            stream,
            connection,
            has_ended: false,
            rest: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        self.has_ended |= read.is_err() || buffer.filled().len() == before;
        Poll::Ready(read)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = match &mut this.rest {
            Some(rest) => rest,
            None => {
                ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
                this.rest.insert(Rest {
                    time: Box::pin(tokio::time::sleep(LINGER_TIME)),
                    bytes: MAX_LINGER,
                })
            }
        };
        let mut buffer = [0; 16 * 1024];
        while !this.has_ended
            && !this.connection.is_closing()
            && rest.time.as_mut().poll(context).is_pending()
        {
            let mut buffer = ReadBuf::new(&mut buffer);
            let read = ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer));
            let length = buffer.filled().len();
            if read.is_err() || length == 0 || length > rest.bytes {
                break;
            }
            rest.bytes -= length;
        }
        Poll::Ready(Ok(()))
    }
}
