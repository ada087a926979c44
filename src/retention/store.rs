//! The SQL of retention. Rules run in here, in the transaction that set them or stored a tag.

use sqlx::{SqliteConnection, SqliteExecutor};

use super::notation::{self, PolicyView, RuleView};
use super::{AgedTag, HistoryEntry, Policy, Retention, RetentionId, day};
use crate::clock::Timestamp;
use crate::db::{Readers, Write, foreign_key_means};
use crate::engine::Matcher;
use crate::error::{Error, Fault, Resource, Result};
use crate::json::JsonObject;
use crate::page::Page;
use crate::repository::store::exists as repository_exists;
use crate::tag;

/// History entries that are kept of a repository.
const MOST_ENTRIES: i64 = 1000;

#[derive(sqlx::FromRow)]
struct RetentionRow {
    id: i64,
    repository_id: i64,
    policy: String,
}

impl TryFrom<RetentionRow> for Retention {
    type Error = Error;

    fn try_from(row: RetentionRow) -> Result<Self> {
        let policy = JsonObject::parse(row.policy.as_bytes())
            .and_then(|fields| notation::read(&fields))
            .map_err(Error::internal)?;
        Ok(Self { id: row.id, policy })
    }
}

/// The retention of a repository, if it has this number.
pub async fn find(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    id: RetentionId,
) -> Result<Option<Retention>> {
    let found = find_any(db, repository_id).await?;
    Ok(found.filter(|retention| retention.id == id.0))
}

/// The retention of a repository.
pub async fn find_any(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
) -> Result<Option<Retention>> {
    let found: Option<RetentionRow> =
        sqlx::query_as("SELECT id, repository_id, policy FROM retentions WHERE repository_id = ?")
            .bind(repository_id)
            .fetch_optional(db)
            .await?;
    found.map(Retention::try_from).transpose()
}

/// A page of what was deleted, newest first, and how many entries there are in all.
pub async fn list_histories(
    db: &Readers,
    repository_id: i64,
    page: Page,
) -> Result<(Vec<HistoryEntry>, i64)> {
    let found = sqlx::query_as(
        "SELECT id, retention_id, rule, tag, created_at FROM retention_histories
         WHERE repository_id = ? ORDER BY id DESC LIMIT +? OFFSET ?",
    )
    .bind(repository_id)
    .bind(page.limit)
    .bind(page.offset)
    .fetch_all(db)
    .await?;
    let total =
        sqlx::query_scalar("SELECT count(*) FROM retention_histories WHERE repository_id = ?")
            .bind(repository_id)
            .fetch_one(db)
            .await?;
    Ok((found, total))
}

/// Gives a repository a retention, if it still exists and has none, and runs it.
#[derive(Debug)]
pub struct CreateRetention {
    /// Which repository.
    pub repository_id: i64,
    /// What goes.
    pub policy: Policy,
    /// Compiled expressions.
    pub matcher: Matcher,
    pub now: Timestamp,
}

impl Write for CreateRetention {
    /// Its number.
    type Output = i64;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<i64> {
        let id = insert(&mut *transaction, self.repository_id, &self.policy).await?;
        let id = id.ok_or(Error::AlreadyExists(Resource::Retention))?;
        apply(transaction, self.repository_id, &self.matcher, self.now).await?;
        Ok(id)
    }
}

/// Gives a repository a retention, which does not run yet; its number, or none where there is one.
pub async fn insert(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    policy: &Policy,
) -> Result<Option<i64>> {
    let inserted = sqlx::query_scalar(
        "INSERT INTO retentions (repository_id, policy) VALUES (?, ?)
         ON CONFLICT (repository_id) DO NOTHING RETURNING id",
    )
    .bind(repository_id)
    .bind(notation::write(&PolicyView::from(policy))?)
    .fetch_optional(db)
    .await;
    inserted.map_err(foreign_key_means(Error::NotFound(Resource::Repository)))
}

/// Gives a retention other rules and runs them.
#[derive(Debug)]
pub struct UpdateRetention {
    /// Which repository.
    pub repository_id: i64,
    /// Which one.
    pub id: RetentionId,
    /// What goes from now on.
    pub policy: Policy,
    /// Compiled expressions.
    pub matcher: Matcher,
    pub now: Timestamp,
}

impl Write for UpdateRetention {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let Some(old) = find(&mut *transaction, self.repository_id, self.id).await? else {
            let missing = Error::NotFound(Resource::Retention);
            return missing_in(transaction, self.repository_id, missing).await;
        };
        self.policy.check_replaces(&old.policy)?;
        sqlx::query("UPDATE retentions SET policy = ? WHERE id = ?")
            .bind(notation::write(&PolicyView::from(&self.policy))?)
            .bind(old.id)
            .execute(&mut *transaction)
            .await?;
        apply(transaction, self.repository_id, &self.matcher, self.now).await
    }
}

/// Takes a repository's retention away; what it deleted stays in the history.
#[derive(Debug)]
pub struct DeleteRetention {
    /// Which repository.
    pub repository_id: i64,
    /// Which one.
    pub id: RetentionId,
}

impl Write for DeleteRetention {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let done = sqlx::query("DELETE FROM retentions WHERE repository_id = ? AND id = ?")
            .bind(self.repository_id)
            .bind(self.id.0)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() > 0 {
            return Ok(());
        }
        // Terraform knows by this code that it is gone.
        let rule = "the repository has no retention rule with this number";
        let missing = Error::fault(Fault::RetentionId, "retention_id", rule);
        missing_in(transaction, self.repository_id, missing).await
    }
}

/// Refuses a write to a retention that is missing, or by now even its repository.
async fn missing_in(
    transaction: &mut SqliteConnection,
    repository_id: i64,
    missing: Error,
) -> Result<()> {
    if repository_exists(transaction, repository_id).await? {
        Err(missing)
    } else {
        Err(Error::NotFound(Resource::Repository))
    }
}

/// Deletes what the rules of a repository delete at this moment, if it has any.
pub async fn apply(
    transaction: &mut SqliteConnection,
    repository_id: i64,
    matcher: &Matcher,
    now: Timestamp,
) -> Result<()> {
    match find_any(&mut *transaction, repository_id).await? {
        Some(retention) => run(transaction, repository_id, &retention, matcher, now).await,
        None => Ok(()),
    }
}

async fn run(
    transaction: &mut SqliteConnection,
    repository_id: i64,
    retention: &Retention,
    matcher: &Matcher,
    now: Timestamp,
) -> Result<()> {
    let (count, oldest): (i64, Option<Timestamp>) =
        sqlx::query_as("SELECT count(*), min(updated_at) FROM tags WHERE repository_id = ?")
            .bind(repository_id)
            .fetch_one(&mut *transaction)
            .await?;
    let count = usize::try_from(count).map_err(Error::internal)?;
    let policy = &retention.policy;
    if !oldest.is_some_and(|oldest| policy.may_delete(count, oldest, now)) {
        return Ok(());
    }
    let tags: Vec<AgedTag> =
        sqlx::query_as("SELECT id, name, updated_at FROM tags WHERE repository_id = ?")
            .bind(repository_id)
            .fetch_all(&mut *transaction)
            .await?;
    let deletions = policy.deletes(&tags, now, |expression, name| {
        matcher.is_match(expression.as_str(), name)
    })?;
    for (rule, tags) in deletions {
        if tags.is_empty() {
            continue;
        }
        tag::store::delete_images(&mut *transaction, repository_id, &tags, now).await?;
        sqlx::query(
            "INSERT INTO retention_histories (repository_id, retention_id, rule, tag, created_at)
             SELECT ?1, ?2, ?3, t.value, ?4 FROM json_each(?5) t ORDER BY t.key",
        )
        .bind(repository_id)
        .bind(retention.id)
        .bind(notation::write(&RuleView::from(rule))?)
        .bind(now)
        .bind(notation::write(&tags)?)
        .execute(&mut *transaction)
        .await?;
    }
    sqlx::query(
        "DELETE FROM retention_histories
         WHERE repository_id = ?1 AND id <= (
             SELECT id FROM retention_histories WHERE repository_id = ?1
             ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )
    .bind(repository_id)
    .bind(MOST_ENTRIES)
    .execute(transaction)
    .await?;
    Ok(())
}

/// The day on which all rules ran last.
pub(super) async fn last_day(db: impl SqliteExecutor<'_>) -> Result<i64> {
    let day = sqlx::query_scalar("SELECT day FROM retention_day")
        .fetch_one(db)
        .await?;
    Ok(day)
}

/// Runs the rules of all repositories, unless they ran on this day already.
#[derive(Debug)]
pub(super) struct RunAll {
    /// Compiled expressions.
    pub(super) matcher: Matcher,
    pub(super) now: Timestamp,
}

impl Write for RunAll {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let done = sqlx::query("UPDATE retention_day SET day = ?1 WHERE day <> ?1")
            .bind(day(self.now))
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(());
        }
        let rows: Vec<RetentionRow> =
            sqlx::query_as("SELECT id, repository_id, policy FROM retentions ORDER BY id")
                .fetch_all(&mut *transaction)
                .await?;
        for row in rows {
            let repository_id = row.repository_id;
            let retention = row.try_into()?;
            run(
                transaction,
                repository_id,
                &retention,
                &self.matcher,
                self.now,
            )
            .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, date_rule, noon};
    use super::*;
    use crate::repository::store::DeleteRepository;

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
            now: world.app.clock.now(),
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

    impl Write for ManyTags {
        type Output = ();

        async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
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
