//! The SQL of triggers.

use std::collections::HashSet;

use sqlx::{SqliteConnection, SqliteExecutor};

use super::{NewTrigger, Trigger, TriggerName};
use crate::clock::Moment;
use crate::db::{SingleWrite, Write};
use crate::error::{Error, Resource, Result};

/// The trigger with this name.
pub async fn find(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    name: &TriggerName,
) -> Result<Option<Trigger>> {
    let found = sqlx::query_as(
        "SELECT name, app_type, application, cluster_ns, trigger_type, condition, enabled,
                trigger_mode, cluster_id, cluster_name, container, creator_name, created_at
         FROM triggers WHERE repository_id = ? AND name = ?",
    )
    .bind(repository_id)
    .bind(name.as_str())
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// All triggers of a repository, in order of creation.
pub async fn list(db: impl SqliteExecutor<'_>, repository_id: i64) -> Result<Vec<Trigger>> {
    let found = sqlx::query_as(
        "SELECT name, app_type, application, cluster_ns, trigger_type, condition, enabled,
                trigger_mode, cluster_id, cluster_name, container, creator_name, created_at
         FROM triggers WHERE repository_id = ? ORDER BY id",
    )
    .bind(repository_id)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// Makes a trigger, if its repository still exists and the name is free.
#[derive(Debug)]
pub struct CreateTrigger {
    /// The repository it is in.
    pub repository_id: i64,
    /// The trigger.
    pub trigger: NewTrigger,
    /// The name of the user who makes it.
    pub creator_name: String,
    /// When.
    pub created_at: Moment,
}

impl Write for CreateTrigger {
    type Output = ();

    /// One statement for all of them: each statement is a hop to SQLite's thread and back.
    async fn run(group: Vec<Self>, transaction: &mut SqliteConnection) -> Result<Vec<Result<()>>> {
        let mut inserted = insert(&mut *transaction, &group).await?;
        // The first of several with the same name is the one that went in.
        let outcomes: Vec<_> = group
            .iter()
            .map(|new| {
                let key = (new.repository_id, new.trigger.name.as_str().to_owned());
                inserted.remove(&key)
            })
            .collect();
        let mut results = Vec::with_capacity(group.len());
        for (new, is_in) in group.iter().zip(outcomes) {
            results.push(if is_in {
                Ok(())
            } else if repository_exists(&mut *transaction, new.repository_id).await? {
                Err(Error::AlreadyExists(Resource::Trigger))
            } else {
                Err(Error::NotFound(Resource::Repository))
            });
        }
        Ok(results)
    }
}

/// Inserts triggers in their order, passing over those whose name is taken or whose repository
/// is gone; repository and name of those that went in.
async fn insert(
    db: impl SqliteExecutor<'_>,
    group: &[CreateTrigger],
) -> Result<HashSet<(i64, String)>> {
    let rows: Vec<_> = group
        .iter()
        .map(|new| {
            let trigger = &new.trigger;
            (
                new.repository_id,
                trigger.name.as_str(),
                trigger.app_type.as_str(),
                &trigger.application,
                &trigger.cluster_ns,
                trigger.condition.trigger_type().as_str(),
                trigger.condition.text(),
                i32::from(trigger.enabled),
                trigger.cluster.trigger_mode(),
                trigger.cluster.id(),
                trigger.cluster.name(),
                &trigger.container,
                &new.creator_name,
                new.created_at.as_microseconds(),
            )
        })
        .collect();
    let rows = serde_json::to_string(&rows).map_err(Error::internal)?;
    // CROSS JOIN keeps the order of the rows, and `WHERE true` lets the parser see that
    // ON CONFLICT is not a join's ON.
    let inserted: Vec<(i64, String)> = sqlx::query_as(
        "INSERT INTO triggers (repository_id, name, app_type, application, cluster_ns,
                               trigger_type, condition, enabled, trigger_mode, cluster_id,
                               cluster_name, container, creator_name, created_at)
         SELECT r.id, n.value->>1, n.value->>2, n.value->>3, n.value->>4, n.value->>5,
                n.value->>6, n.value->>7, n.value->>8, n.value->>9, n.value->>10,
                n.value->>11, n.value->>12, n.value->>13
         FROM json_each(?) n CROSS JOIN repositories r ON r.id = n.value->>0
         WHERE true
         ON CONFLICT (repository_id, name) DO NOTHING
         RETURNING repository_id, name",
    )
    .bind(rows)
    .fetch_all(db)
    .await?;
    Ok(inserted.into_iter().collect())
}

async fn repository_exists(db: impl SqliteExecutor<'_>, id: i64) -> Result<bool> {
    let exists = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM repositories WHERE id = ?)")
        .bind(id)
        .fetch_one(db)
        .await?;
    Ok(exists)
}

/// Lets a trigger fire, or not.
#[derive(Debug)]
pub struct EnableTrigger {
    /// The repository it is in.
    pub repository_id: i64,
    /// Which one.
    pub name: TriggerName,
    /// Whether it fires from now on.
    pub enabled: bool,
}

impl SingleWrite for EnableTrigger {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let done =
            sqlx::query("UPDATE triggers SET enabled = ? WHERE repository_id = ? AND name = ?")
                .bind(self.enabled)
                .bind(self.repository_id)
                .bind(self.name.as_str())
                .execute(&mut *transaction)
                .await?;
        found(transaction, done.rows_affected(), self.repository_id).await
    }
}

/// Removes a trigger with its history.
#[derive(Debug)]
pub struct DeleteTrigger {
    /// The repository it is in.
    pub repository_id: i64,
    /// Which one.
    pub name: TriggerName,
}

impl SingleWrite for DeleteTrigger {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let done = sqlx::query("DELETE FROM triggers WHERE repository_id = ? AND name = ?")
            .bind(self.repository_id)
            .bind(self.name.as_str())
            .execute(&mut *transaction)
            .await?;
        found(transaction, done.rows_affected(), self.repository_id).await
    }
}

/// What is missing when no row was changed: the trigger, or by now even its repository.
async fn found(transaction: &mut SqliteConnection, rows: u64, repository_id: i64) -> Result<()> {
    if rows > 0 {
        Ok(())
    } else if repository_exists(transaction, repository_id).await? {
        Err(Error::NotFound(Resource::Trigger))
    } else {
        Err(Error::NotFound(Resource::Repository))
    }
}
