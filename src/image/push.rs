//! Pushing from inside: stores an image as a client's push would.

use std::sync::Arc;

use bytes::Bytes;

use super::digest::Digest;
use super::error::ImageError;
use super::files::{Files, Stored};
use super::manifest::Manifest;
use super::sample::SampleImage;
use super::store::{LinkUploaded, PutManifest, PutOutcome, find_file};
use crate::auth::User;
use crate::clock::{Clock, Timestamp};
use crate::db::Db;
use crate::engine::Matcher;
use crate::error::{Error, Resource, Result};
use crate::lookup::Lookup;
use crate::namespace::Namespace;
use crate::push::PushedBy;
use crate::repository::store::CreateRepository;
use crate::repository::{NewRepository, RepositoryName, RepositoryRef};
use crate::tag::TagName;

/// Stores images.
#[derive(Debug, Clone, Copy)]
pub struct Pusher<'a> {
    /// Their rows.
    pub db: &'a Arc<Db>,
    /// Their blobs.
    pub files: &'a Arc<Files>,
    /// Tells which triggers wait for their tags.
    pub matcher: &'a Matcher,
    /// The time.
    pub clock: &'a Clock,
}

impl Pusher<'_> {
    /// Stores an image under a tag; the digest of its manifest.
    pub async fn push(
        self,
        repository: &RepositoryRef,
        tag: TagName,
        image: SampleImage,
        pushed_by: PushedBy,
    ) -> Result<Digest> {
        for blob in [image.layer, image.config] {
            self.store_blob(repository.id, blob).await?;
        }
        let digest = Digest::of(&image.manifest);
        let verdicts = self.matcher.judge(self.db, repository.id, &tag).await?;
        let write = PutManifest {
            repository_id: repository.id,
            manifest: Manifest::parse(&image.manifest, None).map_err(Error::internal)?,
            digest: digest.clone(),
            content: image.manifest.to_vec(),
            tag: Some((tag, verdicts)),
            pushed_by,
            now: self.clock.now(),
        };
        match self.db.write(write).await? {
            PutOutcome::Stored => Ok(digest),
            PutOutcome::Missing(part) => Err(Error::internal(format!(
                "{part} was removed during the push"
            ))),
        }
    }

    async fn store_blob(self, repository_id: i64, content: Bytes) -> Result<()> {
        let digest = Digest::of(&content);
        let stored = self.files.store(content).await;
        let stored = stored.map_err(|error| match error {
            ImageError::Internal(error) => error,
            error => Error::internal(error),
        })?;
        self.link(repository_id, &digest, stored).await
    }

    /// Makes a stored file known as a blob of a repository. It goes on when the request that asked
    /// for it is dropped, so that what turns out not to be needed is removed all the same.
    pub async fn link(self, repository_id: i64, digest: &Digest, mut stored: Stored) -> Result<()> {
        let write = LinkUploaded {
            repository_id,
            digest: digest.clone(),
            file: stored.name().to_owned(),
            size: stored.size(),
            now: Clock::real_now().as_second(),
        };
        let (db, files) = (Arc::clone(self.db), Arc::clone(self.files));
        let digest = digest.clone();
        let linked = tokio::spawn(async move {
            // Before the write is queued: it is done even if this task comes to its end.
            stored.keep();
            match db.write(write).await {
                Ok(None) => Ok(()),
                Ok(Some(replaced)) => {
                    files.remove(vec![replaced]).await;
                    Ok(())
                }
                Err(error) => {
                    if is_unused(&db, &error, &digest).await {
                        files.remove(vec![stored.name().to_owned()]).await;
                    }
                    Err(error)
                }
            }
        });
        linked.await.map_err(Error::internal)?
    }
}

/// Whether the file of a blob whose row failed can go at once. Where the database has the blob in
/// another file, a failed commit that a crash brings back would leave it without any: the
/// collector finds out.
async fn is_unused(db: &Db, error: &Error, digest: &Digest) -> bool {
    // The repository went away, and nothing was kept.
    if matches!(error, Error::NotFound(_)) {
        return true;
    }
    matches!(find_file(db.lookups(), digest).await, Ok(None))
}

/// The repository that is pushed to; the first push makes it.
pub async fn repository_for_push(
    db: &Db,
    lookup: &Lookup,
    namespace: &Arc<Namespace>,
    name: &RepositoryName,
    creator: &User,
    now: Timestamp,
) -> Result<RepositoryRef> {
    if let Some(found) = lookup.repository(namespace, name).await? {
        return Ok(found);
    }
    let new = NewRepository::by_push(namespace, name, creator, now);
    match db.write(CreateRepository(new)).await {
        Ok(()) | Err(Error::AlreadyExists(Resource::Repository)) => {}
        Err(error) => return Err(error),
    }
    let found = lookup.repository(namespace, name).await?;
    found.ok_or(Error::NotFound(Resource::Repository))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;
    use std::time::Duration;

    use super::*;
    use crate::app::App;
    use crate::image::store::list_blob_files;
    use crate::namespace::NamespaceName;

    struct Pushing {
        app: App,
        repository: RepositoryRef,
        folder: tempfile::TempDir,
    }

    impl Pushing {
        async fn start() -> Self {
            let (app, folder) =
                App::seeded("organizations: [{name: g, repositories: [{name: a}]}]").await;
            let namespace = NamespaceName::parse("g").expect("a name");
            let namespace = app.lookup.namespace(&namespace).await.expect("read");
            let namespace = namespace.expect("there");
            let name = RepositoryName::parse("a").expect("a name");
            let found = app.lookup.repository(&namespace, &name);
            let repository = found.await.expect("read").expect("there");
            Self {
                app,
                repository,
                folder,
            }
        }

        async fn push(&self, nonce: &str) {
            let tag = TagName::parse(nonce).expect("a tag");
            let image = SampleImage::new(nonce).expect("an image");
            let pusher = self.app.pusher();
            let pushed = pusher
                .push(&self.repository, tag, image, PushedBy::user("u"))
                .await;
            pushed.expect("pushed");
        }

        async fn rows(&self) -> HashSet<String> {
            let rows = list_blob_files(self.app.db.readers(), "", 10_000).await;
            let rows = rows.expect("read").into_iter();
            rows.map(|row| row.file).collect()
        }

        fn files(&self, folder: &str) -> HashSet<String> {
            let entries = std::fs::read_dir(self.folder.path().join(folder)).expect("there");
            let names = entries.map(|entry| entry.expect("an entry").file_name());
            names
                .map(|name| name.into_string().expect("UTF-8"))
                .collect()
        }
    }

    /// Lets work take so many steps, and gives it up right after the last one or when it could
    /// take the next; whether it came to its end before.
    async fn take_steps(work: impl Future<Output = ()>, steps: usize, at_once: bool) -> bool {
        let mut work = pin!(work);
        let mut taken = 0;
        poll_fn(|context| {
            if taken < steps {
                taken += 1;
                if work.as_mut().poll(context).is_ready() {
                    return Poll::Ready(true);
                }
            } else {
                return Poll::Ready(false);
            }
            if taken == steps && at_once {
                return Poll::Ready(false);
            }
            Poll::Pending
        })
        .await
    }

    #[tokio::test]
    async fn a_push_that_is_given_up_at_any_step_leaves_no_file_without_a_blob() {
        let pushing = Pushing::start().await;
        for at_once in [true, false] {
            // The second time, the files of the same content are replaced.
            for round in 0..2 {
                let mut steps = 0;
                while !take_steps(pushing.push(&format!("t{steps}")), steps, at_once).await {
                    steps += 1;
                }
                assert!(steps > 5, "{steps} in round {round}");
            }
        }
        let settled = async {
            while pushing.rows().await != pushing.files("blobs")
                || !pushing.files("uploads").is_empty()
            {
                tokio::task::yield_now().await;
            }
        };
        let settled = tokio::time::timeout(Duration::from_secs(10), settled).await;
        settled.expect("in the end each file has a row");
    }
}
