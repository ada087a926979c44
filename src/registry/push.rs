//! Pushing from inside: stores an image as a client's push would, without the HTTP.

use std::sync::Arc;

use bytes::Bytes;

use super::blob::Stored;
use super::error::RegistryError;
use super::manifest::Manifest;
use super::reference::Digest;
use super::sample::SampleImage;
use super::store::{LinkUploaded, PutManifest, PutOutcome};
use crate::app::App;
use crate::auth::User;
use crate::error::{Error, Resource, Result};
use crate::namespace::Namespace;
use crate::repository::store::CreateRepository;
use crate::repository::{NewRepository, RepositoryName, RepositoryRef};
use crate::tag::TagName;

/// Stores an image under a tag; the digest of its manifest.
pub async fn push(
    app: &App,
    repository: &RepositoryRef,
    tag: TagName,
    image: SampleImage,
    pushed_by: &str,
) -> Result<Digest> {
    for blob in [image.layer, image.config] {
        store_blob(app, repository.id, blob).await?;
    }
    let digest = Digest::of(&image.manifest);
    let judgement = app.matcher.judge(&app.db, repository.id, &tag).await?;
    let write = PutManifest {
        repository_id: repository.id,
        manifest: Manifest::parse(&image.manifest, None).map_err(Error::internal)?,
        digest: digest.clone(),
        content: image.manifest.to_vec(),
        tag: Some((tag, judgement)),
        pushed_by: pushed_by.to_owned(),
        now: app.clock.now(),
    };
    match app.db.write(write).await? {
        PutOutcome::Stored => Ok(digest),
        PutOutcome::Missing(part) => Err(Error::internal(format!("{part} went away"))),
    }
}

async fn store_blob(app: &App, repository_id: i64, content: Bytes) -> Result<()> {
    let digest = Digest::of(&content);
    let stored = app.registry.files.store(content).await;
    let stored = stored.map_err(|error| match error {
        RegistryError::Internal(error) => error,
        error => Error::internal(error),
    })?;
    link(app, repository_id, &digest, stored).await
}

/// Makes a stored file known as a blob of a repository. Where the file turns out not to be needed
/// it is removed.
pub(super) async fn link(
    app: &App,
    repository_id: i64,
    digest: &Digest,
    stored: Stored,
) -> Result<()> {
    let write = LinkUploaded {
        repository_id,
        digest: digest.clone(),
        file: stored.file.clone(),
        size: stored.size,
        now: app.clock.real_now().as_second(),
    };
    let files = &app.registry.files;
    match app.db.write(write).await {
        Ok(true) => Ok(()),
        // The same content is there in another file.
        Ok(false) => {
            files.remove(vec![stored.file]).await;
            Ok(())
        }
        // The repository went away, and nothing was kept.
        Err(error @ Error::NotFound(_)) => {
            files.remove(vec![stored.file]).await;
            Err(error)
        }
        // Unknown whether the row is there: the next start finds out.
        Err(error) => Err(error),
    }
}

/// The repository that is pushed to; the first push makes it.
pub async fn repository_for_push(
    app: &App,
    namespace: &Arc<Namespace>,
    name: &RepositoryName,
    creator: &User,
) -> Result<RepositoryRef> {
    if let Some(found) = app.lookup.repository(namespace, name).await? {
        return Ok(found);
    }
    let new = NewRepository::by_push(namespace, name, creator, app.clock.now());
    match app.db.write(CreateRepository(new)).await {
        Ok(()) | Err(Error::AlreadyExists(Resource::Repository)) => {}
        Err(error) => return Err(error),
    }
    let found = app.lookup.repository(namespace, name).await?;
    found.ok_or(Error::NotFound(Resource::Repository))
}
