//! A request's body that can be read by one and, where that one stops early, emptied by another;
//! and how much of it there was.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::cut::Cut;
use super::stop::Stop;

/// How much of a body that is not wanted is read and thrown away before the answer: as much as an
/// ordinary body has, so that its connection can be used again. Of what comes after it the
/// connection takes care.
const MAX_DISCARDED: usize = 1024 * 1024;
/// How long that may take.
const DISCARD_TIME: Duration = Duration::from_secs(5);
/// How long a body may pause once the instance stops.
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// A handle to a body; all handles read the same one.
#[derive(Debug, Clone)]
pub struct SharedBody(Arc<Mutex<CountedBody>>);

#[derive(Debug)]
struct CountedBody {
    body: Body,
    received: u64,
    progress: Progress,
    /// Who waits for the next piece.
    reader: Option<Waker>,
    /// After how many bytes it breaks off on purpose.
    cut_after: Option<u64>,
    is_cut: bool,
}

/// How far the reading of a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The client waits to be asked for it (`Expect`), and nobody has yet.
    HeldBack,
    /// Its next piece was asked for and is not there.
    Awaited,
    /// What was asked for is there.
    Arrived,
    /// It was given up, which its reader has yet to be told.
    GivenUp,
    Ended,
}

impl SharedBody {
    /// Shares the body of a request with these headers.
    pub fn new(headers: &HeaderMap, body: Body) -> Self {
        let progress = if http_body::Body::is_end_stream(&body) {
            Progress::Ended
        } else if headers.contains_key(EXPECT) {
            Progress::HeldBack
        } else {
            Progress::Arrived
        };
        Self(Arc::new(Mutex::new(CountedBody {
            body,
            received: 0,
            progress,
            reader: None,
            cut_after: None,
            is_cut: false,
        })))
    }

    /// How many bytes were read so far.
    pub fn received(&self) -> u64 {
        self.lock().received
    }

    /// Lets the body break off on purpose once so many bytes of it have arrived.
    pub fn cut_after(&self, bytes: u64) {
        self.lock().cut_after = Some(bytes);
    }

    /// Whether it broke off on purpose.
    pub fn is_cut(&self) -> bool {
        self.lock().is_cut
    }

    /// Whether there is nothing to read any more.
    pub fn has_ended(&self) -> bool {
        matches!(self.lock().progress, Progress::Ended | Progress::GivenUp)
    }

    /// Takes what is left off the wire, within bounds, unless connections are `wanted` for others.
    /// Who waits to be asked for a body is not asked.
    pub async fn discard(&self, stop: &Stop, wanted: &Notify) {
        if self.has_ended() || self.lock().progress == Progress::HeldBack {
            return;
        }
        let mut body = self.clone();
        let discard = async {
            let mut discarded = 0;
            while let Some(Ok(frame)) = body.frame().await {
                discarded += frame.data_ref().map_or(0, Bytes::len);
                if discarded > MAX_DISCARDED {
                    return;
                }
            }
        };
        tokio::select! {
            () = discard => {}
            () = tokio::time::sleep(DISCARD_TIME) => {}
            () = self.abandoned(stop) => {}
            () = wanted.notified() => {}
        }
    }

    /// Ends once the instance stops and somebody waits for the body, of which nothing more comes.
    /// It is given up with that: who still reads it in the background is told.
    pub async fn abandoned(&self, stop: &Stop) {
        if self.has_ended() {
            return std::future::pending().await;
        }
        stop.raised().await;
        loop {
            let before = self.received();
            tokio::time::sleep(LAST_PAUSE).await;
            let mut shared = self.lock();
            if shared.progress == Progress::Awaited && shared.received == before {
                shared.progress = Progress::GivenUp;
                shared.body = Body::empty();
                if let Some(reader) = shared.reader.take() {
                    reader.wake();
                }
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, CountedBody> {
        self.0.lock()
    }
}

impl http_body::Body for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut shared = self.lock();
        if shared.progress == Progress::GivenUp {
            shared.progress = Progress::Ended;
            return Poll::Ready(Some(Err(axum::Error::new("the emulator is stopping"))));
        }
        if shared.cut_after.is_some_and(|most| shared.received >= most) {
            shared.is_cut = true;
            shared.progress = Progress::Ended;
            shared.body = Body::empty();
            return Poll::Ready(Some(Err(axum::Error::new(Cut))));
        }
        let polled = Pin::new(&mut shared.body).poll_frame(context);
        shared.progress = match &polled {
            Poll::Pending => {
                match &mut shared.reader {
                    Some(reader) => reader.clone_from(context.waker()),
                    None => shared.reader = Some(context.waker().clone()),
                }
                Progress::Awaited
            }
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                shared.received += u64::try_from(length).unwrap_or(u64::MAX);
                if shared.body.is_end_stream() {
                    Progress::Ended
                } else {
                    Progress::Arrived
                }
            }
            Poll::Ready(None | Some(Err(_))) => Progress::Ended,
        };
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.lock().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::StreamExt;
    use futures_util::stream::{pending, repeat};
    use http::HeaderValue;
    use tokio::time::Instant;

    use super::*;

    fn endless() -> Body {
        let piece = Bytes::from_static(&[0; 1024]);
        Body::from_stream(repeat(piece).map(Ok::<_, Infallible>))
    }

    fn silent() -> Body {
        Body::from_stream(pending::<Result<Bytes, Infallible>>())
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_body_that_nobody_wants_a_mebibyte_is_read_for_five_seconds_at_the_most() {
        let (stop, wanted) = (Stop::default(), Notify::new());
        let headers = HeaderMap::new();
        let large = SharedBody::new(&headers, endless());
        large.discard(&stop, &wanted).await;
        assert_eq!(large.received(), 1024 * 1024 + 1024);

        let started = Instant::now();
        SharedBody::new(&headers, silent())
            .discard(&stop, &wanted)
            .await;
        assert_eq!(started.elapsed(), Duration::from_secs(5));

        let started = Instant::now();
        let silent_one = SharedBody::new(&headers, silent());
        let discarded = silent_one.discard(&stop, &wanted);
        tokio::join!(discarded, async { wanted.notify_waiters() });
        assert_eq!(started.elapsed(), Duration::ZERO);

        stop.raise();
        let started = Instant::now();
        SharedBody::new(&headers, silent())
            .discard(&stop, &wanted)
            .await;
        assert_eq!(started.elapsed(), LAST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_to_be_asked_for_a_body_is_not_asked_to_no_purpose() {
        let (stop, wanted) = (Stop::default(), Notify::new());
        let headers = HeaderMap::from_iter([(EXPECT, HeaderValue::from_static("100-continue"))]);
        let held_back = SharedBody::new(&headers, endless());
        held_back.discard(&stop, &wanted).await;
        assert_eq!(held_back.received(), 0);

        let mut begun = SharedBody::new(&headers, endless());
        drop(begun.frame().await);
        begun.discard(&stop, &wanted).await;
        assert!(begun.received() > 1024 * 1024);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_given_up_at_a_stop_once_nothing_more_comes() {
        let stop = Arc::new(Stop::default());
        let body = SharedBody::new(&HeaderMap::new(), silent());
        let mut reader = body.clone();
        let reader = tokio::spawn(async move {
            let told = reader.frame().await;
            (told.is_some_and(|told| told.is_err()), reader.has_ended())
        });
        let abandoned = tokio::spawn({
            let (body, stop) = (body.clone(), Arc::clone(&stop));
            async move { body.abandoned(&stop).await }
        });
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert!(!abandoned.is_finished());
        stop.raise();
        abandoned.await.expect("no panic");
        assert_eq!(reader.await.expect("no panic"), (true, true));
    }
}
