//! A request's body that can be read by one and, where that one stops early, emptied by another;
//! and how much of it there was.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

/// How much of a body that is not wanted is read and thrown away, so that the client is not still
/// sending when the answer comes.
const MAX_DISCARDED: usize = 16 * 1024 * 1024;
/// How long that may take.
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// A handle to a body; all handles read the same one.
#[derive(Debug, Clone)]
pub struct SharedBody(Arc<Mutex<CountedBody>>);

#[derive(Debug)]
struct CountedBody {
    body: Body,
    received: u64,
}

impl SharedBody {
    /// Shares a body.
    pub fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(CountedBody { body, received: 0 })))
    }

    /// How many bytes were read so far.
    pub fn received(&self) -> u64 {
        self.lock().received
    }

    /// Takes what is left off the wire, within bounds.
    pub async fn discard(mut self) {
        let discard = async {
            let mut discarded = 0;
            while let Some(Ok(frame)) = self.frame().await {
                discarded += frame.data_ref().map_or(0, Bytes::len);
                if discarded > MAX_DISCARDED {
                    return;
                }
            }
        };
        drop(tokio::time::timeout(DISCARD_TIME, discard).await);
    }

    fn lock(&self) -> MutexGuard<'_, CountedBody> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let polled = Pin::new(&mut shared.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, Bytes::len);
            shared.received += u64::try_from(length).unwrap_or(u64::MAX);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.lock().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().body.size_hint()
    }
}
