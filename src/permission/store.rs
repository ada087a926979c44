//! The SQL of permissions.

use sqlx::{AssertSqlSafe, FromRow, SqliteConnection, SqliteExecutor};

use super::{Grant, GrantTarget, Level};
use crate::db::{Write, foreign_key_means};
use crate::error::{Error, Resource, Result};

impl GrantTarget {
    /// The table of its permissions, the column that names it, and its number.
    fn table(self) -> (&'static str, &'static str, i64) {
        match self {
            Self::Namespace(id) => ("namespace_permissions", "namespace_id", id),
            Self::Repository(id) => ("repository_permissions", "repository_id", id),
        }
    }

    fn itself(self) -> Resource {
        match self {
            Self::Namespace(_) => Resource::Namespace,
            Self::Repository(_) => Resource::Repository,
        }
    }
}

#[derive(FromRow)]
struct GrantRow {
    user_id: String,
    user_name: String,
    auth: u8,
}

impl TryFrom<GrantRow> for Grant {
    type Error = Error;

    fn try_from(row: GrantRow) -> Result<Self> {
        let level = Level::from_auth(row.auth.into());
        Ok(Self {
            user_id: row.user_id,
            user_name: row.user_name,
            level: level.ok_or_else(|| Error::internal("an unknown level"))?,
        })
    }
}

/// What was granted somewhere, in order of granting.
pub async fn list(db: impl SqliteExecutor<'_>, place: GrantTarget) -> Result<Vec<Grant>> {
    let (table, column, id) = place.table();
    let sql =
        format!("SELECT user_id, user_name, auth FROM {table} WHERE {column} = ? ORDER BY id");
    let rows: Vec<GrantRow> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(id)
        .fetch_all(db)
        .await?;
    rows.into_iter().map(Grant::try_from).collect()
}

/// Grants a right; false where the user has one already.
pub async fn insert(
    db: impl SqliteExecutor<'_>,
    place: GrantTarget,
    grant: &Grant,
) -> Result<bool> {
    let (table, column, id) = place.table();
    let sql = format!(
        "INSERT INTO {table} ({column}, user_id, user_name, auth) VALUES (?, ?, ?, ?)
         ON CONFLICT ({column}, user_id) DO NOTHING"
    );
    let done = sqlx::query(AssertSqlSafe(sql))
        .bind(id)
        .bind(&grant.user_id)
        .bind(&grant.user_name)
        .bind(grant.level.auth())
        .execute(db)
        .await;
    let done = done.map_err(foreign_key_means(Error::NotFound(place.itself())))?;
    Ok(done.rows_affected() > 0)
}

/// Takes all rights of a user away.
pub async fn delete_of(transaction: &mut SqliteConnection, user_id: &str) -> Result<()> {
    sqlx::query("DELETE FROM namespace_permissions WHERE user_id = ?")
        .bind(user_id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("DELETE FROM repository_permissions WHERE user_id = ?")
        .bind(user_id)
        .execute(transaction)
        .await?;
    Ok(())
}

/// Gives a user another name in all rights that it has.
pub async fn rename(transaction: &mut SqliteConnection, user_id: &str, name: &str) -> Result<()> {
    sqlx::query("UPDATE namespace_permissions SET user_name = ? WHERE user_id = ?")
        .bind(name)
        .bind(user_id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("UPDATE repository_permissions SET user_name = ? WHERE user_id = ?")
        .bind(name)
        .bind(user_id)
        .execute(transaction)
        .await?;
    Ok(())
}

/// Grants rights to users who have none there; all of them or none.
#[derive(Debug)]
pub struct CreateGrants {
    /// Where.
    pub place: GrantTarget,
    /// To whom.
    pub grants: Vec<Grant>,
}

impl Write for CreateGrants {
    type Output = ();
    // What a name refers to is remembered with the rights in it.
    const INVALIDATES_NAMES: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        for grant in &self.grants {
            if !insert(&mut *transaction, self.place, grant).await? {
                return Err(Error::AlreadyExists(self.place.scope().permission()));
            }
        }
        Ok(())
    }
}

/// Changes rights of users who have one there; all of them or none.
#[derive(Debug)]
pub struct ChangeGrants {
    /// Where.
    pub place: GrantTarget,
    /// Whose.
    pub grants: Vec<Grant>,
}

impl Write for ChangeGrants {
    type Output = ();
    const INVALIDATES_NAMES: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let (table, column, id) = self.place.table();
        for grant in &self.grants {
            let sql = format!(
                "UPDATE {table} SET user_name = ?, auth = ? WHERE {column} = ? AND user_id = ?"
            );
            let done = sqlx::query(AssertSqlSafe(sql))
                .bind(&grant.user_name)
                .bind(grant.level.auth())
                .bind(id)
                .bind(&grant.user_id)
                .execute(&mut *transaction)
                .await?;
            if done.rows_affected() == 0 {
                return Err(Error::NotFound(self.place.scope().permission()));
            }
        }
        Ok(())
    }
}

/// Takes rights away; all of them or none.
#[derive(Debug)]
pub struct DeleteGrants {
    /// Where.
    pub place: GrantTarget,
    /// Whose.
    pub user_ids: Vec<String>,
}

impl Write for DeleteGrants {
    type Output = ();
    const INVALIDATES_NAMES: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let (table, column, id) = self.place.table();
        for user_id in &self.user_ids {
            let sql = format!("DELETE FROM {table} WHERE {column} = ? AND user_id = ?");
            let done = sqlx::query(AssertSqlSafe(sql))
                .bind(id)
                .bind(user_id)
                .execute(&mut *transaction)
                .await?;
            if done.rows_affected() == 0 {
                return Err(Error::NotFound(self.place.scope().permission()));
            }
        }
        Ok(())
    }
}
