//! Blobs: reading them, whole or in part, and taking them out of a repository.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE};
use http::{HeaderName, StatusCode};
use tracing::warn;

use super::super::access::Actions;
use super::super::error::RegistryError;
use super::ranges::requested_part;
use super::{Call, DOCKER_CONTENT_DIGEST, add_headers, empty, real_seconds};
use crate::app::App;
use crate::db::Db;
use crate::http::Cut;
use crate::image::store::{self, Blob, BlobFile, LinkFrom, MarkBlobs, UnlinkBlob};
use crate::image::{Digest, ImagePath};

/// How much is read from a file at once.
const PIECE: u64 = 128 * 1024;

impl Call<'_> {
    pub(super) async fn get_blob(
        &self,
        path: &ImagePath,
        digest: &Digest,
    ) -> Result<Response, RegistryError> {
        let admitted = self.recognize(path, Actions::PULL, None).await?;
        let found = match admitted.repository() {
            Ok(repository) => self.open_blob(repository.id, digest).await,
            Err(error) => Err(error),
        };
        let part = match (&found, self.header(RANGE.as_str())) {
            (Ok((blob, _)), Some(text)) => requested_part(text, blob.size.unsigned_abs()),
            _ => Ok(None),
        };
        let sent = match (&found, &part) {
            (Ok(_), Ok(Some((first, last)))) if !self.is_head() => last - first + 1,
            (Ok((blob, _)), Ok(None)) if !self.is_head() => blob.size.unsigned_abs(),
            _ => 0,
        };
        let cut_after = self.inject_fault(sent).await?;
        let repository = admitted.repository()?;
        let (blob, mut file) = found?;
        let now = real_seconds();
        if self.is_head() && blob.needs_lease(now) {
            // Who is told that it is there may leave it out of an upload.
            let write = LinkFrom {
                source_id: repository.id,
                repository_id: repository.id,
                digest: digest.clone(),
                now,
            };
            if !self.app.db.write(write).await? {
                return Err(RegistryError::BlobUnknown);
            }
        }
        let size = blob.size.unsigned_abs();
        let headers = |length: u64| -> Vec<(HeaderName, String)> {
            vec![
                (CONTENT_TYPE, "application/octet-stream".to_owned()),
                (CONTENT_LENGTH, length.to_string()),
                (ACCEPT_RANGES, "bytes".to_owned()),
                (ETAG, format!("\"{digest}\"")),
                (DOCKER_CONTENT_DIGEST.clone(), digest.to_string()),
            ]
        };
        if self.is_head() {
            let mut response = Response::new(Body::empty());
            add_headers(response.headers_mut(), &headers(size));
            return Ok(response);
        }
        let part = part?;
        let (first, last) = part.unwrap_or((0, size.saturating_sub(1)));
        let length = if size == 0 { 0 } else { last - first + 1 };
        // This only sets a number.
        file.seek(SeekFrom::Start(first))?;
        let sending = Sending {
            file,
            left: cut_after.unwrap_or(length),
            is_cut: cut_after.is_some(),
            app: Arc::clone(self.app),
            namespace_id: repository.namespace.id,
            digest: digest.clone(),
            blob,
        };
        let stream = futures_util::stream::try_unfold(sending, Sending::next);
        let mut response = Response::new(Body::from_stream(stream));
        add_headers(response.headers_mut(), &headers(length));
        if part.is_some() {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let range = format!("bytes {first}-{last}/{size}");
            add_headers(response.headers_mut(), &[(CONTENT_RANGE, range)]);
        }
        Ok(response)
    }

    /// Finds a blob and opens its file, which is there in its size.
    pub(super) async fn open_blob(
        &self,
        repository_id: i64,
        digest: &Digest,
    ) -> Result<(Blob, File), RegistryError> {
        let mut missing = None;
        loop {
            let blob = store::find_blob(self.app.db.lookups(), repository_id, digest).await?;
            let blob = blob.ok_or(RegistryError::BlobUnknown)?;
            let size = blob.size.unsigned_abs();
            if let Some(file) = self.app.registry.files.read(&blob.file, size).await? {
                return Ok((blob, file));
            }
            // A push of the same content may have brought another file meanwhile, and the row may
            // be gone with the file. One that still names it is wrong.
            if missing.as_ref() == Some(&blob.file) {
                mark_damaged(
                    &self.app.db,
                    digest,
                    &blob,
                    "it is missing or has the wrong size",
                )
                .await;
                return Err(RegistryError::BlobUnknown);
            }
            missing = Some(blob.file);
        }
    }

    pub(super) async fn delete_blob(
        &self,
        path: &ImagePath,
        digest: Digest,
    ) -> Result<Response, RegistryError> {
        let admitted = self.admit(path, Actions::DELETE).await?;
        let write = UnlinkBlob {
            repository_id: admitted.repository()?.id,
            digest,
        };
        if self.app.db.write(write).await? {
            Ok(empty(StatusCode::ACCEPTED, &[]))
        } else {
            Err(RegistryError::BlobUnknown)
        }
    }
}

/// A blob, or a part of it, on its way to a client.
struct Sending {
    /// At the next byte.
    file: File,
    /// How many bytes are still to come.
    left: u64,
    /// Whether it breaks off on purpose after that.
    is_cut: bool,
    app: Arc<App>,
    namespace_id: i64,
    digest: Digest,
    blob: Blob,
}

impl Sending {
    /// The next piece. Where the file ends early or cannot be read, so does the connection: the
    /// client must not take what it has for the whole. Between two pieces nothing is held for a
    /// client that takes its time but the one that it has not taken.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if self.left == 0 && self.is_cut {
            // What was handed over goes out first.
            tokio::task::yield_now().await;
            return Err(io::Error::other(Cut));
        }
        if self.left == 0 {
            return Ok(None);
        }
        let wanted = self.left.min(PIECE);
        let mut file = self.file;
        let reading = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::with_capacity(usize::try_from(wanted).unwrap_or_default());
            let read = file.by_ref().take(wanted).read_to_end(&mut piece);
            (file, read.map(|_| piece))
        });
        let (file, read) = reading.await.map_err(io::Error::other)?;
        self.file = file;
        let error = match read {
            Ok(piece) if piece.is_empty() => {
                io::Error::new(io::ErrorKind::UnexpectedEof, "it is too short")
            }
            Ok(piece) => {
                self.left -= piece.len() as u64;
                // A pull that breaks off counts as far as it came.
                let downloads = &self.app.registry.downloads;
                let now = self.app.clock.now();
                downloads.count_bytes(self.namespace_id, piece.len(), now);
                return Ok(Some((piece.into(), self)));
            }
            Err(error) => error,
        };
        mark_damaged(&self.app.db, &self.digest, &self.blob, &error.to_string()).await;
        Err(error)
    }
}

/// Takes a blob for not there from now on, because its file is not whole.
async fn mark_damaged(db: &Db, digest: &Digest, blob: &Blob, reason: &str) {
    let file = &blob.file;
    warn!(blob.digest = %digest, blob.file = %file, "The file {file} of {digest} is damaged: {reason}");
    let mark = MarkBlobs(vec![BlobFile {
        digest: digest.to_string(),
        file: file.clone(),
        size: blob.size,
        is_damaged: true,
    }]);
    if let Err(error) = db.write(mark).await {
        warn!(
            chain = error.chain(),
            "Could not record that a blob is damaged"
        );
    }
}
