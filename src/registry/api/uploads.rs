//! Uploads of blobs: chunked, in one piece, and mounted from another repository.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderName, StatusCode};

use super::super::access::Actions;
use super::super::error::RegistryError;
use super::super::lots::lots;
use super::ranges::announced_range;
use super::{Call, DOCKER_CONTENT_DIGEST, empty, real_seconds};
use crate::app::App;
use crate::error::Error;
use crate::image::store::LinkFrom;
use crate::image::{Digest, Ending, ImagePath, Range, Session};
use crate::repository::RepositoryRef;

static DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

impl Call<'_> {
    /// Starts an upload, or ends one at once: with `mount` from another repository, with `digest`
    /// by its own body. The first push makes the repository.
    pub(super) async fn start_upload(
        &self,
        path: &ImagePath,
        body: Body,
    ) -> Result<Response, RegistryError> {
        let source = self.mount_source();
        let admitted = self
            .admit_with_source(path, Actions::PUSH, source.as_ref())
            .await?;
        let parse = |name| {
            self.query(name)
                .map(|text| Digest::parse(&text))
                .transpose()
        };
        let (mounted, whole) = (parse("mount")?, parse("digest")?);
        let repository = self.existing_or_new(path, &admitted).await?;
        if let (Some(digest), Some(source)) = (mounted, source)
            && self.mount(&digest, &source, &repository).await?
        {
            return Ok(created(path, &digest));
        }
        let files = &self.app.registry.files;
        let (id, session) = files.start(path.clone())?;
        match whole {
            Some(digest) => {
                let ending = Ending::of(files, id);
                let upload = Whole {
                    session,
                    body,
                    range: None,
                    digest,
                    repository_id: repository.id,
                };
                let app = Arc::clone(self.app);
                let ended = tokio::spawn(async move {
                    let _ending = ending;
                    upload.append().await?.end(&app).await
                });
                let digest = ended.await.map_err(Error::internal)??;
                Ok(created(path, &digest))
            }
            None => Ok(under_way(StatusCode::ACCEPTED, path, &id, 0)),
        }
    }

    /// Where a blob shall be mounted from, if one shall, and from what can be a repository.
    fn mount_source(&self) -> Option<ImagePath> {
        self.query("mount")?;
        ImagePath::parse(&self.query("from")?).ok()
    }

    /// Links the blob of another repository, or of this one; whether that could be done. Where it
    /// could not, the client uploads.
    async fn mount(
        &self,
        digest: &Digest,
        source: &ImagePath,
        repository: &RepositoryRef,
    ) -> Result<bool, RegistryError> {
        let source = self.gate().mount_source(&self.parts.headers, source).await;
        let Some(source) = source else {
            return Ok(false);
        };
        match self.open_blob(source.id, digest).await {
            Ok(_) => {}
            Err(RegistryError::BlobUnknown) => return Ok(false),
            Err(error) => return Err(error),
        }
        let write = LinkFrom {
            source_id: source.id,
            repository_id: repository.id,
            digest: digest.clone(),
            now: real_seconds(),
        };
        Ok(self.app.db.write(write).await?)
    }

    pub(super) async fn show_upload(
        &self,
        path: &ImagePath,
        id: &str,
    ) -> Result<Response, RegistryError> {
        self.admit(path, Actions::PUSH).await?;
        let session = self.app.registry.files.session(path, id)?;
        let size = session.size()?;
        Ok(under_way(StatusCode::NO_CONTENT, path, id, size))
    }

    pub(super) async fn append_upload(
        &self,
        path: &ImagePath,
        id: &str,
        body: Body,
    ) -> Result<Response, RegistryError> {
        self.admit(path, Actions::PUSH).await?;
        let session = self.app.registry.files.session(path, id)?;
        let size = session.append(lots(body), self.range()?).await?;
        Ok(under_way(StatusCode::ACCEPTED, path, id, size))
    }

    pub(super) async fn finish_upload(
        &self,
        path: &ImagePath,
        id: &str,
        body: Body,
    ) -> Result<Response, RegistryError> {
        let admitted = self.admit(path, Actions::PUSH).await?;
        let repository = admitted.repository()?;
        let digest = self.query("digest").ok_or_else(|| {
            RegistryError::DigestInvalid("the query parameter digest is missing".to_owned())
        })?;
        let digest = Digest::parse(&digest)?;
        let files = &self.app.registry.files;
        let upload = Whole {
            session: files.session(path, id)?,
            body,
            range: self.range()?,
            digest,
            repository_id: repository.id,
        };
        let (app, id) = (Arc::clone(self.app), id.to_owned());
        let ended = tokio::spawn(async move {
            // What did not arrive whole can be sent again.
            let upload = upload.append().await?;
            let _ending = Ending::of(&app.registry.files, id);
            upload.end(&app).await
        });
        let digest = ended.await.map_err(Error::internal)??;
        Ok(created(path, &digest))
    }

    pub(super) async fn cancel_upload(
        &self,
        path: &ImagePath,
        id: &str,
    ) -> Result<Response, RegistryError> {
        self.admit(path, Actions::PUSH).await?;
        let files = &self.app.registry.files;
        files.session(path, id)?;
        files.forget(id);
        Ok(empty(StatusCode::NO_CONTENT, &[]))
    }

    fn range(&self) -> Result<Option<Range>, RegistryError> {
        self.header(CONTENT_RANGE.as_str())
            .map(announced_range)
            .transpose()
    }
}

/// The last request of an upload. It runs to its end in a task of its own, so that a client that
/// goes away leaves nothing half done.
struct Whole {
    session: Arc<Session>,
    body: Body,
    range: Option<Range>,
    digest: Digest,
    repository_id: i64,
}

impl Whole {
    /// Adds the body.
    async fn append(mut self) -> Result<Self, RegistryError> {
        let body = std::mem::take(&mut self.body);
        self.session.append(lots(body), self.range).await?;
        Ok(self)
    }

    /// Makes the file a blob of the repository, on disk first, then known; its digest.
    async fn end(self, app: &App) -> Result<Digest, RegistryError> {
        let upload = self.session.take().await?;
        let stored = app.registry.files.finish(upload, &self.digest).await?;
        let pusher = app.pusher();
        pusher
            .link(self.repository_id, &self.digest, stored)
            .await?;
        Ok(self.digest)
    }
}

fn created(path: &ImagePath, digest: &Digest) -> Response {
    empty(
        StatusCode::CREATED,
        &[
            (LOCATION, format!("/v2/{path}/blobs/{digest}")),
            (DOCKER_CONTENT_DIGEST.clone(), digest.to_string()),
        ],
    )
}

fn under_way(status: StatusCode, path: &ImagePath, id: &str, size: u64) -> Response {
    empty(
        status,
        &[
            (LOCATION, format!("/v2/{path}/blobs/uploads/{id}")),
            (RANGE, format!("0-{}", size.saturating_sub(1))),
            (DOCKER_UPLOAD_UUID.clone(), id.to_owned()),
        ],
    )
}
