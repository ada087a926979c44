//! The SQL of retention. Rules run in here, in the transaction that set them or stored a tag.

use sqlx::{SqliteConnection, SqliteExecutor};

use super::notation::{self, PolicyView, RuleView};
use super::{AgedTag, HistoryEntry, Policy, Retention, RetentionId, day};
use crate::clock::Moment;
use crate::db::{Readers, SingleWrite};
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
         WHERE repository_id = ? ORDER BY id DESC LIMIT ? OFFSET ?",
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
    /// When.
    pub now: Moment,
}

impl SingleWrite for CreateRetention {
    /// Its number.
    type Output = i64;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<i64> {
        let inserted = sqlx::query_scalar(
            "INSERT INTO retentions (repository_id, policy) VALUES (?, ?)
             ON CONFLICT (repository_id) DO NOTHING RETURNING id",
        )
        .bind(self.repository_id)
        .bind(notation::write(&PolicyView::from(&self.policy))?)
        .fetch_optional(&mut *transaction)
        .await;
        let id = match inserted {
            Ok(Some(id)) => id,
            Ok(None) => return Err(Error::AlreadyExists(Resource::Retention)),
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                return Err(Error::NotFound(Resource::Repository));
            }
            Err(error) => return Err(error.into()),
        };
        apply(transaction, self.repository_id, &self.matcher, self.now).await?;
        Ok(id)
    }
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
    /// When.
    pub now: Moment,
}

impl SingleWrite for UpdateRetention {
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

impl SingleWrite for DeleteRetention {
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
    now: Moment,
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
    now: Moment,
) -> Result<()> {
    let (count, oldest): (i64, Option<Moment>) =
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
    /// When.
    pub(super) now: Moment,
}

impl SingleWrite for RunAll {
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
