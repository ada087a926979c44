//! Pushing from inside: stores an image as a client's push would, without the HTTP.

use bytes::Bytes;

use super::error::RegistryError;
use super::manifest::Manifest;
use super::reference::Digest;
use super::sample::SampleImage;
use super::store::{LinkUploaded, PutManifest, PutOutcome};
use crate::app::App;
use crate::error::{Error, Result};
use crate::repository::RepositoryRef;
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
    let files = &app.registry.files;
    let digest = Digest::of(&content);
    let stored = files.store(content).await.map_err(|error| match error {
        RegistryError::Internal(error) => error,
        error => Error::internal(error),
    })?;
    let write = LinkUploaded {
        repository_id,
        digest,
        file: stored.file.clone(),
        size: stored.size,
        now: app.clock.real_now().as_second(),
    };
    match app.db.write(write).await {
        Ok(true) => Ok(()),
        // The same content is there in another file.
        Ok(false) => {
            files.remove(vec![stored.file]).await;
            Ok(())
        }
        Err(error) => Err(error),
    }
}
