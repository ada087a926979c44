//! Uploads of blobs: chunked, in one piece, and mounted from another repository.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderName, StatusCode};

use super::super::access::{self, Actions, Admitted};
use super::super::blob::{Range, Session};
use super::super::error::RegistryError;
use super::super::push::{link, repository_for_push};
use super::super::reference::{Digest, ImagePath};
use super::super::store::LinkFrom;
use super::{Call, DOCKER_CONTENT_DIGEST, empty};
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
        let admitted = self.admit(path, Actions::PUSH).await?;
        let parse = |name| {
            self.query(name)
                .map(|text| Digest::parse(&text))
                .transpose()
        };
        let (mounted, whole) = (parse("mount")?, parse("digest")?);
        let repository = self.existing_or_new(path, &admitted).await?;
        if let Some(digest) = mounted
            && self.mount(&digest, &repository).await?
        {
            return Ok(created(path, &digest));
        }
        let id = self.app.registry.files.start(path.clone())?;
        let session = self.app.registry.files.session(path, &id)?;
        match whole {
            Some(digest) => {
                let ended = async {
                    session.append(body, None).await?;
                    self.end(&session, path, &repository, &digest).await
                };
                let ended = ended.await;
                self.app.registry.files.forget(&id);
                ended
            }
            None => Ok(under_way(StatusCode::ACCEPTED, path, &id, 0)),
        }
    }

    pub(super) async fn existing_or_new(
        &self,
        path: &ImagePath,
        admitted: &Admitted,
    ) -> Result<RepositoryRef, RegistryError> {
        if let Ok(repository) = admitted.repository() {
            return Ok(repository.clone());
        }
        let creator = admitted.user.as_ref().ok_or(RegistryError::NameUnknown)?;
        let namespace = &admitted.namespace;
        Ok(repository_for_push(self.app, namespace, &path.repository, creator).await?)
    }

    /// Links the blob of another repository, or of this one; whether that could be done. Where it
    /// could not, the client uploads.
    async fn mount(
        &self,
        digest: &Digest,
        repository: &RepositoryRef,
    ) -> Result<bool, RegistryError> {
        let Some(from) = self.query("from") else {
            return Ok(false);
        };
        let Ok(from) = ImagePath::parse(&from) else {
            return Ok(false);
        };
        let source = access::mount_source(self.app, &self.parts.headers, &from).await;
        let Some(source) = source else {
            return Ok(false);
        };
        let write = LinkFrom {
            source_id: source.id,
            repository_id: repository.id,
            digest: digest.clone(),
            now: self.real_seconds(),
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
        Ok(under_way(
            StatusCode::NO_CONTENT,
            path,
            id,
            session.size().await?,
        ))
    }

    pub(super) async fn append_upload(
        &self,
        path: &ImagePath,
        id: &str,
        body: Body,
    ) -> Result<Response, RegistryError> {
        self.admit(path, Actions::PUSH).await?;
        let session = self.app.registry.files.session(path, id)?;
        let size = session.append(body, self.range()?).await?;
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
        let session = self.app.registry.files.session(path, id)?;
        session.append(body, self.range()?).await?;
        let ended = self.end(&session, path, repository, &digest).await;
        self.app.registry.files.forget(id);
        ended
    }

    pub(super) async fn cancel_upload(
        &self,
        path: &ImagePath,
        id: &str,
    ) -> Result<Response, RegistryError> {
        self.admit(path, Actions::PUSH).await?;
        let session = self.app.registry.files.session(path, id)?;
        self.app.registry.files.forget(id);
        // Its file goes with it.
        drop(session.take().await);
        Ok(empty(StatusCode::NO_CONTENT, &[]))
    }

    /// Makes the file a blob of the repository: on disk first, then known.
    async fn end(
        &self,
        session: &Arc<Session>,
        path: &ImagePath,
        repository: &RepositoryRef,
        digest: &Digest,
    ) -> Result<Response, RegistryError> {
        let files = &self.app.registry.files;
        let upload = session.take().await?;
        let stored = files.finish(upload, digest).await?;
        link(self.app, repository.id, digest, stored).await?;
        Ok(created(path, digest))
    }

    fn range(&self) -> Result<Option<Range>, RegistryError> {
        self.header(CONTENT_RANGE.as_str())
            .map(Range::parse)
            .transpose()
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
