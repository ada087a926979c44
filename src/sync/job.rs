//! What a job does, and the record of how it ended: one transaction.

use sqlx::SqliteConnection;

use super::Outcome;
use super::store::{self, Job, end, find_job};
use crate::clock::Timestamp;
use crate::db::Write;
use crate::engine::Verdicts;
use crate::error::{Error, Resource, Result};
use crate::image;
use crate::push::{self, PushedBy, PutTag};
use crate::repository::{self, Description, NewRepository, RepositoryName};
use crate::tag::{self, TagName};

/// Does a job, and records how it ended, in one transaction.
#[derive(Debug)]
pub(super) struct DoJob {
    /// Which one.
    pub(super) id: i64,
    /// What is known of the tag and the expressions of the target's triggers.
    pub(super) verdicts: Verdicts,
    pub(super) now: Timestamp,
}

impl Write for DoJob {
    /// How it ended; none when it went away with its repository.
    type Output = Option<Outcome>;
    // It makes the target's repository, and stores a tag there.
    const INVALIDATES_NAMES: bool = true;
    const WAKES_WORKERS: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Option<Outcome>> {
        let Some(job) = find_job(&mut *transaction, self.id).await? else {
            return Ok(None);
        };
        let outcome = job.sync(transaction, self.verdicts, self.now).await?;
        end(transaction, self.id, &outcome, self.now).await?;
        Ok(Some(outcome))
    }
}

impl Job {
    async fn sync(
        self,
        transaction: &mut SqliteConnection,
        verdicts: Verdicts,
        now: Timestamp,
    ) -> Result<Outcome> {
        let Some(namespace_id) = self.target_namespace_id else {
            let reason = format!(
                "the account has no organization {} in {}",
                self.remote_namespace, self.remote_region
            );
            return Ok(Outcome::Failed(reason));
        };
        let Some(digest) = self.digest.as_deref().filter(|_| self.has_tag) else {
            return Ok(Outcome::Failed(
                "the tag or its image no longer exists".to_owned(),
            ));
        };
        let tag = TagName::parse(&self.tag).ok_or_else(|| Error::internal("a tag is invalid"))?;
        let name = &self.repository;
        let found = store::find_repository(&mut *transaction, namespace_id, name).await?;
        let target_id = match found {
            Some(id) => id,
            None => {
                self.create_repository(transaction, namespace_id, now)
                    .await?
            }
        };
        let taken = tag::store::find_digest(&mut *transaction, target_id, &tag).await?;
        match taken {
            Some(taken) if taken == digest => {
                return Ok(Outcome::Existed("the target already has this image"));
            }
            Some(_) if !self.overwrite => {
                let reason = "the target has a different image, and override is false";
                return Ok(Outcome::Existed(reason));
            }
            _ => {}
        }
        image::copy_image(transaction, self.repository_id, target_id, digest, now).await?;
        let put = PutTag {
            repository_id: target_id,
            name: tag,
            digest: digest.to_owned(),
            pushed_by: PushedBy::user(self.operator_name),
            verdicts,
            now,
        };
        push::put_synced(transaction, put).await?;
        Ok(Outcome::Success)
    }

    /// As a push would make it, but of the source's category.
    async fn create_repository(
        &self,
        transaction: &mut SqliteConnection,
        namespace_id: i64,
        now: Timestamp,
    ) -> Result<i64> {
        let new = NewRepository {
            namespace_id,
            name: RepositoryName::parse(&self.repository).map_err(Error::internal)?,
            is_public: false,
            category: self.category,
            description: Description::default(),
            creator_id: self.operator_id.clone(),
            creator_name: self.operator_name.clone(),
            created_at: now,
        };
        let made = repository::store::insert(transaction, &new).await?;
        made.ok_or(Error::AlreadyExists(Resource::Repository))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::image::SampleImage;
    use crate::namespace::NamespaceName;
    use crate::repository::RepositoryRef;
    use crate::sync::SyncTarget;
    use crate::sync::store::{CreateJobs, find_open};

    struct World {
        app: App,
        #[expect(dead_code, reason = "goes with the test")]
        folder: tempfile::TempDir,
        repository: RepositoryRef,
    }

    impl World {
        async fn start() -> Self {
            let seed = "organizations: [{name: g, repositories: [{name: a}]}, {name: m}]";
            let (app, folder) = App::seeded(seed).await;
            let group = NamespaceName::parse("g").expect("a legal name");
            let group = app.lookup.namespace(&group).await;
            let group = group.expect("read").expect("there");
            let name = RepositoryName::parse("a").expect("a legal name");
            let repository = app.lookup.repository(&group, &name).await;
            let repository = repository.expect("read").expect("there");
            Self {
                app,
                folder,
                repository,
            }
        }

        /// Pushes an image of this content.
        async fn push(&self, tag: &str, content: &str) {
            let tag = TagName::parse(tag).expect("a tag");
            let image = SampleImage::new(content).expect("made");
            let pusher = self.app.pusher();
            let pushed = pusher.push(&self.repository, tag, image, PushedBy::user("user"));
            pushed.await.expect("pushed");
        }

        /// Makes a job for a tag and does it.
        async fn sync(&self, tag: &str, namespace: &str, overwrite: bool) -> Option<Outcome> {
            let (db, now) = (&self.app.db, self.app.clock.now());
            let job = CreateJobs {
                repository_id: self.repository.id,
                target: SyncTarget {
                    region: "r1".to_owned(),
                    namespace: namespace.to_owned(),
                },
                overwrite,
                tags: vec![TagName::parse(tag).expect("a tag")],
                operator_id: "u".to_owned(),
                operator_name: "user".to_owned(),
                now,
            };
            db.write(job).await.expect("made");
            let open = find_open(db.readers()).await.expect("read");
            let id = open.expect("it is the only one").id;
            let verdicts = Verdicts::default();
            let ended = db.write(DoJob { id, verdicts, now }).await.expect("done");
            let again = DoJob {
                id,
                verdicts: Verdicts::default(),
                now,
            };
            assert_eq!(db.write(again).await.expect("decided"), None);
            ended
        }
    }

    #[tokio::test]
    async fn a_job_takes_the_image_to_the_target_or_says_why_it_did_not() {
        let world = World::start().await;
        world.push("v1", "one").await;
        let sync = async |tag, namespace, overwrite| {
            let ended = world.sync(tag, namespace, overwrite).await;
            let outcome = ended.expect("it ended");
            (outcome.status().as_str(), outcome.reason().to_owned())
        };
        let told = |status, reason: &str| (status, reason.to_owned());

        let nowhere = "the account has no organization n in r1";
        assert_eq!(sync("v1", "n", false).await, told("failed", nowhere));
        let gone = "the tag or its image no longer exists";
        assert_eq!(sync("v2", "m", false).await, told("failed", gone));
        assert_eq!(sync("v1", "m", false).await, told("success", ""));
        let has_it = "the target already has this image";
        assert_eq!(sync("v1", "m", false).await, told("existed", has_it));
        world.push("v1", "two").await;
        let other = "the target has a different image, and override is false";
        assert_eq!(sync("v1", "m", false).await, told("existed", other));
        assert_eq!(sync("v1", "m", true).await, told("success", ""));

        let digests: Vec<(String, String)> = sqlx::query_as(
            "SELECT n.name, t.digest FROM tags t JOIN repositories r ON r.id = t.repository_id
             JOIN namespaces n ON n.id = r.namespace_id WHERE r.name = 'a' ORDER BY n.name",
        )
        .fetch_all(world.app.db.readers())
        .await
        .expect("read");
        assert_eq!(digests.len(), 2);
        assert_eq!(digests[0].1, digests[1].1);
    }
}
