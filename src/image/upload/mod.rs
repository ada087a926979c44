//! Uploads on their way to become a blob: what arrives, lot by lot, in a `file` of its own.
//!
//! What waits for a client holds no thread and little memory. Each lot goes to a short piece of
//! blocking work, which writes and hashes it.

mod file;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use file::Upload;

use super::error::ImageError;
use super::reference::ImagePath;
use crate::error::Error;

/// What arrives for an upload: lots that are worth a write each, of some pieces. Whoever gathers
/// them ends those of a client that is too slow.
pub type Lots = BoxStream<'static, Result<Vec<Bytes>, ImageError>>;

/// An upload between its requests.
#[derive(Debug)]
pub struct Session {
    /// The repository it is for.
    pub path: ImagePath,
    /// None while a request works on it, and after the last one.
    upload: tokio::sync::Mutex<Option<Upload>>,
    /// How many bytes its finished requests have brought; none once there is nothing to add to.
    size: Mutex<Option<u64>>,
    touched: Mutex<Instant>,
    /// Whoever writes has one of these.
    turns: Arc<Semaphore>,
}

impl Session {
    pub(super) fn new(path: ImagePath, upload: Upload, turns: Arc<Semaphore>) -> Self {
        Self {
            path,
            upload: tokio::sync::Mutex::new(Some(upload)),
            size: Mutex::new(Some(0)),
            touched: Mutex::new(Instant::now()),
            turns,
        }
    }

    /// When a client last did something with it.
    pub(super) fn touched(&self) -> Instant {
        *self.touched.lock()
    }

    pub(super) fn touch(&self) {
        *self.touched.lock() = Instant::now();
    }

    /// How many bytes have arrived with requests that are over. It does not wait for one that is
    /// under way.
    pub fn size(&self) -> Result<u64, ImageError> {
        self.size.lock().ok_or(ImageError::UploadUnknown)
    }

    /// Adds what arrives, whole or not at all; the size from then on. It goes on when the request
    /// that asked for it is dropped, so that the upload is in a known state for the next one.
    pub async fn append(
        self: &Arc<Self>,
        lots: Lots,
        range: Option<Range>,
    ) -> Result<u64, ImageError> {
        let session = Arc::clone(self);
        let appended = tokio::spawn(async move {
            let mut place = session.upload.lock().await;
            let upload = place.take().ok_or(ImageError::UploadUnknown)?;
            let appended = upload.append(lots, range, &session.turns).await;
            session.touch();
            let (upload, outcome) = appended.inspect_err(|_| *session.size.lock() = None)?;
            let size = upload.size();
            *session.size.lock() = Some(size);
            *place = Some(upload);
            outcome.map(|()| size)
        });
        appended.await.map_err(Error::internal)?
    }

    /// Takes the upload out, to finish it.
    pub async fn take(&self) -> Result<Upload, ImageError> {
        let upload = self.upload.lock().await.take();
        *self.size.lock() = None;
        upload.ok_or(ImageError::UploadUnknown)
    }
}

/// The bytes that a request says it brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    first: u64,
    length: u64,
}

impl Range {
    /// From one byte to another, both of which it has; none where they are not in order.
    pub fn new(first: u64, last: u64) -> Option<Self> {
        let length = last.checked_sub(first)?.checked_add(1)?;
        Some(Self { first, length })
    }
}

/// Runs what waits for the disk where it holds up no other request.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Error::internal)?
}
