//! A push: everything that a stored tag sets off, written in the transaction that stores the tag, so
//! that an acknowledged push loses nothing and a failed one leaves nothing behind. A tag comes to
//! point at a manifest only through [`put`], or through [`put_synced`] where a sync brings it.
//!
//! Callers: `image::store::put` (pushes by the registry and `/_emulator/push`), [`CopyTag`]
//! (`CreateRepoTag`), and `sync::job`. `engine::decision` decides which triggers fire, and `engine`
//! processes the firings afterwards, as `sync` does the sync jobs; retention rules have already run.

mod store;

use sqlx::SqliteConnection;

use crate::clock::Timestamp;
use crate::db::{Touched, Write};
use crate::engine::{Verdicts, decision};
use crate::error::{Error, Resource, Result};
use crate::repository;
use crate::retention;
use crate::sync;
use crate::tag::{self, TagName};

/// Who pushes, and with which request.
#[derive(Debug, Clone)]
pub struct PushedBy {
    /// The name of the user.
    pub user: String,
    /// The request's id; none where a sync brings the tag.
    pub request_id: Option<String>,
}

impl PushedBy {
    /// A user with a request.
    pub fn request(user: &str, request_id: &str) -> Self {
        Self {
            user: user.to_owned(),
            request_id: Some(request_id.to_owned()),
        }
    }

    /// A user who is not in the middle of a request.
    pub fn user(name: impl Into<String>) -> Self {
        Self {
            user: name.into(),
            request_id: None,
        }
    }
}

/// A tag that is pushed, however that came about.
#[derive(Debug, Clone)]
pub struct PutTag {
    /// Which repository.
    pub repository_id: i64,
    /// The tag.
    pub name: TagName,
    /// The manifest, which is in the repository.
    pub digest: String,
    /// Who pushes it.
    pub pushed_by: PushedBy,
    /// Which expressions of the repository's triggers match the tag.
    pub verdicts: Verdicts,
    pub now: Timestamp,
}

/// Stores a tag, and with it:
/// - a sync job for each automatic task of the repository,
/// - all that [`put_synced`] writes.
pub async fn put(transaction: &mut SqliteConnection, tag: PutTag) -> Result<()> {
    let (id, name, digest) = (tag.repository_id, &tag.name, &tag.digest);
    sync::store::insert_jobs_of_push(&mut *transaction, id, name, digest, tag.now).await?;
    put_synced(transaction, tag).await
}

/// Stores a tag that a sync brings, which goes no further, so that two regions that sync to each
/// other come to rest; and with it:
/// - the record of the push,
/// - a firing for each trigger that the tag fires, and a reason for each other one,
/// - the deletion of what the retention rules of the repository delete now.
pub async fn put_synced(transaction: &mut SqliteConnection, mut tag: PutTag) -> Result<()> {
    let (id, name, digest) = (tag.repository_id, &tag.name, &tag.digest);
    tag::store::put(&mut *transaction, id, name, digest, tag.now).await?;
    let decided = decision::decide(&mut *transaction, id, name, &mut tag.verdicts).await?;
    let push_id = store::insert(&mut *transaction, &tag, &decided.passed_over).await?;
    decided
        .fire(&mut *transaction, push_id, name, digest)
        .await?;
    retention::store::apply(transaction, id, tag.verdicts.matcher(), tag.now).await
}

/// Gives the image of one tag a second tag.
#[derive(Debug)]
pub struct CopyTag {
    /// Which repository.
    pub repository_id: i64,
    /// The tag that is there.
    pub source: TagName,
    /// The destination tag.
    pub destination: TagName,
    /// Whether an existing destination tag is overwritten.
    pub overwrite: bool,
    /// Who pushes it.
    pub pushed_by: PushedBy,
    /// Which expressions of the repository's triggers match the destination tag.
    pub verdicts: Verdicts,
    pub now: Timestamp,
}

impl Write for CopyTag {
    type Output = ();
    const WAKES_WORKERS: bool = true;

    fn touches(&self) -> Touched {
        repository::store::touched(self.repository_id)
    }

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let digest =
            tag::store::find_digest(&mut *transaction, self.repository_id, &self.source).await?;
        let digest = digest.ok_or(Error::NotFound(Resource::Tag))?;
        let taken =
            tag::store::find_digest(&mut *transaction, self.repository_id, &self.destination)
                .await?;
        if taken.is_some() && !self.overwrite {
            return Err(Error::AlreadyExists(Resource::Tag));
        }
        let tag = PutTag {
            repository_id: self.repository_id,
            name: self.destination,
            digest,
            pushed_by: self.pushed_by,
            verdicts: self.verdicts,
            now: self.now,
        };
        put(transaction, tag).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::db::testing::TestDb;
    use crate::image::SampleImage;
    use crate::namespace::NamespaceName;
    use crate::repository::RepositoryName;
    use crate::sync::SyncTarget;
    use crate::sync::store::PutTask;

    /// A tag, and whether a sync brings it.
    #[derive(Debug)]
    struct Store(PutTag, bool);

    impl Write for Store {
        type Output = ();

        async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
            let Self(tag, is_synced) = self;
            if is_synced {
                put_synced(transaction, tag).await
            } else {
                put(transaction, tag).await
            }
        }
    }

    /// Tags, records of pushes, firings and sync jobs.
    async fn counts(app: &App) -> [i64; 4] {
        let counts = sqlx::query_as(
            "SELECT (SELECT count(*) FROM tags), (SELECT count(*) FROM pushes),
                    (SELECT count(*) FROM firings), (SELECT count(*) FROM sync_jobs)",
        )
        .fetch_one(app.db.readers());
        let (tags, pushes, firings, jobs) = counts.await.expect("read");
        [tags, pushes, firings, jobs]
    }

    #[tokio::test]
    async fn a_tag_is_stored_with_all_that_it_sets_off_or_not_at_all() {
        let trigger = "{name: t, action: update, app_type: deployments, application: web, \
                       cluster_ns: d, condition: .*, enable: 'true', trigger_type: all}";
        let repository = format!("{{name: a, triggers: [{trigger}]}}");
        let seed = format!("organizations: [{{name: g, repositories: [{repository}]}}]");
        let test = TestDb::seeded(&seed).await;
        let app = App::for_tests(test.db, test.directory, test.folder.path()).await;
        let group = NamespaceName::parse("g").expect("a legal name");
        let group = app.lookup.namespace(&group).await;
        let group = group.expect("read").expect("there");
        let name = RepositoryName::parse("a").expect("a legal name");
        let repository = app.lookup.repository(&group, &name).await;
        let repository = repository.expect("read").expect("there");
        let task = PutTask {
            repository_id: repository.id,
            target: SyncTarget {
                region: "r2".to_owned(),
                namespace: "g".to_owned(),
            },
            sync_auto: true,
            overwrite: false,
            operator_id: "u".to_owned(),
            operator_name: "user".to_owned(),
            now: app.clock.now(),
        };
        app.db.write(task).await.expect("made");
        let tag = |text| TagName::parse(text).expect("a tag");
        let image = SampleImage::new("one").expect("made");

        let pusher = app.pusher();
        let pushed = pusher
            .push(&repository, tag("v1"), image, PushedBy::user("user"))
            .await;
        pushed.expect("pushed");
        assert_eq!(counts(&app).await, [1, 1, 1, 1]);

        let digest = tag::store::find_digest(app.db.readers(), repository.id, &tag("v1")).await;
        let put = |name, digest: &str| PutTag {
            repository_id: repository.id,
            name: tag(name),
            digest: digest.to_owned(),
            pushed_by: PushedBy::user("user"),
            verdicts: Verdicts::default(),
            now: app.clock.now(),
        };
        let digest = digest.expect("read").expect("there");
        let synced = app.db.write(Store(put("v2", &digest), true)).await;
        synced.expect("stored");
        assert_eq!(counts(&app).await, [2, 2, 2, 1]);

        let without_image = app.db.write(Store(put("v3", "sha256:none"), false)).await;
        assert!(without_image.is_err());
        assert_eq!(counts(&app).await, [2, 2, 2, 1]);
    }
}
