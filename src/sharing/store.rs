//! The SQL of sharing.

use sqlx::{FromRow, SqliteConnection, SqliteExecutor};

use super::{Deadline, MOST_ACCOUNTS};
use crate::clock::Timestamp;
use crate::db::{Write, foreign_key_means};
use crate::error::{Error, Resource, Result};

/// A repository that is shared with an account.
#[derive(Debug, Clone, FromRow)]
pub struct Share {
    pub account_name: String,
    /// As it was given; none is forever.
    pub deadline: Option<Timestamp>,
    /// When it ends; none is never.
    pub ends_at: Option<Timestamp>,
    /// What its maker says about it.
    pub description: String,
    /// The id of the user who made it.
    pub creator_id: String,
    /// That user's name.
    pub creator_name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// With whom a repository is shared, oldest first.
pub async fn list(db: impl SqliteExecutor<'_>, repository_id: i64) -> Result<Vec<Share>> {
    let found = sqlx::query_as(
        "SELECT a.name AS account_name, s.deadline, s.ends_at, s.description, s.creator_id,
                s.creator_name, s.created_at, s.updated_at
         FROM shares s JOIN accounts a ON a.id = s.account_id
         WHERE s.repository_id = ? ORDER BY s.id",
    )
    .bind(repository_id)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// The share of a repository with an account.
pub async fn find(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    account_name: &str,
) -> Result<Option<Share>> {
    let mut shares = list(db, repository_id).await?.into_iter();
    Ok(shares.find(|share| share.account_name == account_name))
}

/// A share that is to be made.
#[derive(Debug)]
pub struct NewShare {
    /// What is shared.
    pub repository_id: i64,
    /// With whom.
    pub account_id: String,
    /// Until when.
    pub deadline: Deadline,
    /// What its maker says about it.
    pub description: String,
    /// The id of the user who makes it.
    pub creator_id: String,
    /// That user's name.
    pub creator_name: String,
    pub now: Timestamp,
}

/// Shares a repository with an account that it is not shared with.
#[derive(Debug)]
pub struct CreateShare(pub NewShare);

impl Write for CreateShare {
    type Output = ();
    // What a name refers to is remembered with the accounts that may pull from it.
    const INVALIDATES_NAMES: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let Self(share) = self;
        if !insert(&mut *transaction, &share).await? {
            return Err(Error::AlreadyExists(Resource::Share));
        }
        let held: i64 = sqlx::query_scalar("SELECT count(*) FROM shares WHERE repository_id = ?")
            .bind(share.repository_id)
            .fetch_one(transaction)
            .await?;
        if usize::try_from(held).map_or(true, |held| held > MOST_ACCOUNTS) {
            let rule = format!("the limit of {MOST_ACCOUNTS} accounts per image is reached");
            return Err(Error::invalid("access_domain", rule));
        }
        Ok(())
    }
}

/// Shares a repository with an account; false where it is shared with it already.
pub async fn insert(db: impl SqliteExecutor<'_>, share: &NewShare) -> Result<bool> {
    let (deadline, ends_at) = share.deadline.columns();
    let done = sqlx::query(
        "INSERT INTO shares (repository_id, account_id, deadline, ends_at, description,
                             creator_id, creator_name, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
         ON CONFLICT (repository_id, account_id) DO NOTHING",
    )
    .bind(share.repository_id)
    .bind(&share.account_id)
    .bind(deadline)
    .bind(ends_at)
    .bind(&share.description)
    .bind(&share.creator_id)
    .bind(&share.creator_name)
    .bind(share.now)
    .execute(db)
    .await;
    let gone = Error::NotFound(Resource::Repository);
    let done = done.map_err(foreign_key_means(gone))?;
    Ok(done.rows_affected() > 0)
}

/// Changes the terms of a share.
#[derive(Debug)]
pub struct UpdateShare {
    /// What is shared.
    pub repository_id: i64,
    /// With whom.
    pub account_name: String,
    /// Until when.
    pub deadline: Deadline,
    /// What its maker says about it.
    pub description: String,
    pub now: Timestamp,
}

impl Write for UpdateShare {
    type Output = ();
    const INVALIDATES_NAMES: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let (deadline, ends_at) = self.deadline.columns();
        let done = sqlx::query(
            "UPDATE shares SET deadline = ?, ends_at = ?, description = ?, updated_at = ?
             WHERE repository_id = ?
               AND account_id IN (SELECT id FROM accounts WHERE name = ?)",
        )
        .bind(deadline)
        .bind(ends_at)
        .bind(&self.description)
        .bind(self.now)
        .bind(self.repository_id)
        .bind(&self.account_name)
        .execute(transaction)
        .await?;
        found(done.rows_affected())
    }
}

/// Ends a share.
#[derive(Debug)]
pub struct DeleteShare {
    /// What is shared.
    pub repository_id: i64,
    /// With whom.
    pub account_name: String,
}

impl Write for DeleteShare {
    type Output = ();
    const INVALIDATES_NAMES: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let done = sqlx::query(
            "DELETE FROM shares
             WHERE repository_id = ?
               AND account_id IN (SELECT id FROM accounts WHERE name = ?)",
        )
        .bind(self.repository_id)
        .bind(&self.account_name)
        .execute(transaction)
        .await?;
        found(done.rows_affected())
    }
}

fn found(rows: u64) -> Result<()> {
    if rows == 0 {
        return Err(Error::NotFound(Resource::Share));
    }
    Ok(())
}
