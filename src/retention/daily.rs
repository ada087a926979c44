//! Runs all rules when the emulated day changes: tags age also where nobody pushes.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::warn;

use super::day;
use super::store::{self, RunAll};
use crate::clock::Clock;
use crate::db::Db;
use crate::engine::Matcher;
use crate::error::Result;

/// How often the clock is looked at.
const PAUSE: Duration = Duration::from_mins(1);

/// The background task; it ends with this value.
#[derive(Debug)]
pub struct Daily(JoinHandle<()>);

impl Drop for Daily {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Daily {
    /// Looks at the clock from time to time.
    pub fn start(db: Arc<Db>, clock: Clock, matcher: Matcher) -> Self {
        Self(tokio::spawn(async move {
            let mut ticks = interval_at(Instant::now() + PAUSE, PAUSE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if let Err(error) = run_due(&db, &clock, &matcher).await {
                    warn!(chain = error.chain(), "Could not run the retention rules");
                }
            }
        }))
    }
}

/// Runs all rules if they did not run on the clock's day yet; once this returns, what they delete
/// is gone. Whoever moves the clock calls it.
pub async fn run_due(db: &Db, clock: &Clock, matcher: &Matcher) -> Result<()> {
    let now = clock.now();
    if store::last_day(db.lookups()).await? == day(now) {
        return Ok(());
    }
    let matcher = matcher.clone();
    db.write(RunAll { matcher, now }).await
}

#[cfg(test)]
mod tests {
    use super::super::store::{
        CreateRetention, DeleteRetention, UpdateRetention, find_any, list_histories,
    };
    use super::super::{HistoryEntry, Policy, RetentionId, Rule, Selector, Template};
    use super::*;
    use crate::app::App;
    use crate::clock::Moment;
    use crate::db::testing::TestDb;
    use crate::error::{Error, Fault, Resource};
    use crate::image::SampleImage;
    use crate::namespace::NamespaceName;
    use crate::page::Page;
    use crate::repository::store::DeleteRepository;
    use crate::repository::{RepositoryName, RepositoryRef};
    use crate::tag::TagName;

    /// Two repositories and a clock that stands wherever a test puts it.
    struct World {
        app: App,
        #[expect(dead_code, reason = "goes with the test")]
        folder: tempfile::TempDir,
    }

    impl World {
        async fn start() -> Self {
            let seed = "organizations: [{name: g, repositories: [{name: a}, {name: b}]}]";
            let TestDb {
                db,
                directory,
                folder,
            } = TestDb::seeded(seed).await;
            Self {
                app: App::for_tests(db, directory, folder.path()).await,
                folder,
            }
        }

        async fn repository(&self, name: &str) -> RepositoryRef {
            let group = NamespaceName::parse("g").expect("a legal name");
            let found = self.app.lookup.namespace(&group).await;
            let group = found.expect("read").expect("there");
            let name = RepositoryName::parse(name).expect("a legal name");
            let found = self.app.lookup.repository(&group, &name).await;
            found.expect("read").expect("there")
        }

        /// Pushes an image of this name, on a day at noon.
        async fn push(&self, repository: &RepositoryRef, tag: &str, day: i64) {
            self.app.clock.set(noon(day));
            let tag = TagName::parse(tag).expect("a tag");
            let image = SampleImage::new(tag.as_str()).expect("made");
            let pusher = self.app.pusher();
            let pushed = pusher.push(repository, tag, image, "user").await;
            pushed.expect("pushed");
        }

        async fn run_due(&self) -> Result<()> {
            run_due(&self.app.db, &self.app.clock, &self.app.matcher).await
        }

        async fn create(&self, repository_id: i64, policy: Policy) -> Result<i64> {
            let write = CreateRetention {
                repository_id,
                policy,
                matcher: self.app.matcher.clone(),
                now: self.app.clock.now(),
            };
            self.app.db.write(write).await
        }

        async fn update(&self, repository_id: i64, id: i64, policy: Policy) -> Result<()> {
            let write = UpdateRetention {
                repository_id,
                id: RetentionId(id),
                policy,
                matcher: self.app.matcher.clone(),
                now: self.app.clock.now(),
            };
            self.app.db.write(write).await
        }

        async fn delete(&self, repository_id: i64, id: i64) -> Result<()> {
            let write = DeleteRetention {
                repository_id,
                id: RetentionId(id),
            };
            self.app.db.write(write).await
        }

        async fn tags(&self, repository_id: i64) -> Vec<String> {
            sqlx::query_scalar("SELECT name FROM tags WHERE repository_id = ? ORDER BY id")
                .bind(repository_id)
                .fetch_all(self.app.db.readers())
                .await
                .expect("read")
        }

        /// What was deleted, newest first.
        async fn history(&self, repository_id: i64) -> Vec<HistoryEntry> {
            let page = Page {
                limit: 1000,
                offset: 0,
            };
            let found = list_histories(self.app.db.readers(), repository_id, page).await;
            found.expect("read").0
        }

        async fn deleted(&self, repository_id: i64) -> Vec<String> {
            let history = self.history(repository_id).await;
            history.into_iter().map(|entry| entry.tag).collect()
        }
    }

    fn noon(day: i64) -> Moment {
        Moment::from_microseconds(0).plus_hours(day * 24 + 12)
    }

    fn date_rule(days: u16) -> Policy {
        let kept = TagName::parse("kept").expect("a tag");
        let rule = Rule::new(Template::Date { days }, vec![Selector::Label(kept)]);
        Policy::new(vec![rule.expect("legal")]).expect("legal")
    }

    #[tokio::test]
    async fn a_date_rule_runs_when_it_is_created_and_when_it_is_updated() {
        let world = World::start().await;
        let a = world.repository("a").await;
        for (tag, day) in [("kept", 100), ("v1", 101), ("v2", 105), ("v3", 110)] {
            world.push(&a, tag, day).await;
        }

        let id = world.create(a.id, date_rule(7)).await.expect("created");
        assert_eq!(world.tags(a.id).await, ["kept", "v2", "v3"]);
        world.update(a.id, id, date_rule(3)).await.expect("updated");
        assert_eq!(world.tags(a.id).await, ["kept", "v3"]);

        let history = world.history(a.id).await;
        let entries: Vec<_> = history
            .iter()
            .map(|entry| (entry.tag.as_str(), entry.retention_id, entry.rule.as_str()))
            .collect();
        let rule = |days| {
            format!(
                r#"{{"template":"date_rule","params":{{"days":"{days}"}},"tag_selectors":[{{"kind":"label","pattern":"kept"}}]}}"#
            )
        };
        assert_eq!(
            entries,
            [("v2", id, rule(3).as_str()), ("v1", id, rule(7).as_str())]
        );
    }

    #[tokio::test]
    async fn rules_run_in_every_repository_when_the_day_changes_and_only_then() {
        let world = World::start().await;
        let a = world.repository("a").await;
        let b = world.repository("b").await;
        world.push(&a, "v1", 100).await;
        world.push(&b, "v1", 101).await;
        world.app.clock.set(noon(101).plus_hours(-1));
        for repository in [&a, &b] {
            let created = world.create(repository.id, date_rule(1)).await;
            created.expect("created");
        }
        world.run_due().await.expect("ran");
        assert_eq!(world.tags(a.id).await, ["v1"]);

        // Older than a day now, but the day is the same.
        world.app.clock.set(noon(101).plus_seconds(60));
        world.run_due().await.expect("nothing to do");
        assert_eq!(world.tags(a.id).await, ["v1"]);

        world.app.clock.set(noon(102).plus_hours(-12));
        world.run_due().await.expect("ran");
        assert!(world.tags(a.id).await.is_empty());
        assert_eq!(world.tags(b.id).await, ["v1"]);
        world.app.clock.set(noon(103));
        world.run_due().await.expect("ran");
        assert!(world.tags(b.id).await.is_empty());
        assert_eq!(world.deleted(b.id).await, ["v1"]);
    }

    #[tokio::test]
    async fn a_push_runs_the_rules_and_never_deletes_its_own_tag_by_age() {
        let world = World::start().await;
        let a = world.repository("a").await;
        let b = world.repository("b").await;
        world.push(&b, "v1", 100).await;
        world.push(&a, "v1", 100).await;
        world.create(a.id, date_rule(1)).await.expect("created");

        world.push(&a, "v2", 110).await;
        assert_eq!(world.tags(a.id).await, ["v2"]);
        // The clock was set back: what is pushed now is the oldest.
        world.push(&a, "v3", 50).await;
        assert_eq!(world.tags(a.id).await, ["v2", "v3"]);
        assert_eq!(world.tags(b.id).await, ["v1"]);
    }

    #[tokio::test]
    async fn the_history_outlives_the_rule_but_not_the_repository() {
        let world = World::start().await;
        let a = world.repository("a").await;
        world.push(&a, "v1", 100).await;
        world.app.clock.set(noon(110));
        let id = world.create(a.id, date_rule(1)).await.expect("created");

        world.delete(a.id, id).await.expect("deleted");
        assert_eq!(world.deleted(a.id).await, ["v1"]);
        let next = world.create(a.id, date_rule(1)).await.expect("created");
        assert!(next > id);
        let write = DeleteRepository {
            id: a.id,
            now: crate::clock::Clock::default().now(),
        };
        world.app.db.write(write).await.expect("deleted");
        assert!(world.deleted(a.id).await.is_empty());
    }

    #[tokio::test]
    async fn the_history_keeps_the_newest_thousand() {
        let world = World::start().await;
        let a = world.repository("a").await;
        world.push(&a, "t0", 100).await;
        // One image with many tags, some of which share a moment.
        let digest: String = sqlx::query_scalar("SELECT digest FROM tags")
            .fetch_one(world.app.db.readers())
            .await
            .expect("there");
        world
            .app
            .db
            .write(ManyTags(a.id, digest))
            .await
            .expect("stored");
        world.app.clock.set(noon(110));

        world.create(a.id, date_rule(1)).await.expect("created");

        let deleted = world.deleted(a.id).await;
        assert_eq!(deleted.len(), 1000);
        assert_eq!(
            (deleted[0].as_str(), deleted[999].as_str()),
            ("t1200", "t201")
        );
        assert!(world.tags(a.id).await.is_empty());
        let images: i64 = sqlx::query_scalar("SELECT count(*) FROM manifests")
            .fetch_one(world.app.db.readers())
            .await
            .expect("read");
        assert_eq!(images, 0);
    }

    /// The tags `t1` to `t1200`, later ones newer.
    #[derive(Debug)]
    struct ManyTags(i64, String);

    impl crate::db::SingleWrite for ManyTags {
        type Output = ();

        async fn run(self, transaction: &mut sqlx::SqliteConnection) -> Result<()> {
            sqlx::query(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
                 INSERT INTO tags (repository_id, name, digest, created_at, updated_at)
                 SELECT ?1, 't' || i, ?2, ?3, ?3 + i / 10 FROM n",
            )
            .bind(self.0)
            .bind(self.1)
            .bind(noon(101))
            .execute(transaction)
            .await?;
            Ok(())
        }
    }

    #[tokio::test]
    async fn writes_tell_a_missing_rule_from_a_missing_repository() {
        let world = World::start().await;
        let a = world.repository("a").await;
        let b = world.repository("b").await;
        let id = world.create(a.id, date_rule(1)).await.expect("created");
        let second = world.create(a.id, date_rule(2)).await;
        assert!(matches!(
            second,
            Err(Error::AlreadyExists(Resource::Retention))
        ));

        // The rule of another repository is none of this one's.
        for (repository_id, id) in [(a.id, id + 1), (b.id, id)] {
            let updated = world.update(repository_id, id, date_rule(3)).await;
            assert!(matches!(updated, Err(Error::NotFound(Resource::Retention))));
            let fault = Fault::RetentionId;
            let deleted = world.delete(repository_id, id).await;
            assert!(matches!(deleted, Err(Error::Invalid { fault: f, .. }) if f == fault));
        }
        let gone = b.id + 1;
        for missing in [
            world.create(gone, date_rule(1)).await.map(|_| ()),
            world.update(gone, id, date_rule(1)).await,
            world.delete(gone, id).await,
        ] {
            assert!(matches!(
                missing,
                Err(Error::NotFound(Resource::Repository))
            ));
        }
        let found = find_any(world.app.db.readers(), a.id).await.expect("read");
        assert_eq!(found.map(|found| found.policy), Some(date_rule(1)));
    }
}
