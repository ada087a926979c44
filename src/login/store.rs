//! The SQL of temporary logins.

use sqlx::{SqliteConnection, SqliteExecutor};
use subtle::ConstantTimeEq;

use crate::clock::Timestamp;
use crate::db::Write;
use crate::error::Result;

/// A temporary login.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct TemporaryLogin {
    password_hash: Vec<u8>,
    pub(super) user_id: String,
    pub(super) is_expired: bool,
}

impl TemporaryLogin {
    pub(super) fn matches(&self, hash: &[u8; 32]) -> bool {
        self.password_hash.ct_eq(hash).into()
    }
}

/// The login with this access key. One that has expired is kept until the next one is made.
pub(super) async fn find(
    db: impl SqliteExecutor<'_>,
    access_key: &str,
    now: Timestamp,
) -> Result<Option<TemporaryLogin>> {
    let found = sqlx::query_as(
        "SELECT password_hash, user_id, expires_at <= ? AS is_expired FROM temporary_logins
         WHERE access_key = ?",
    )
    .bind(now)
    .bind(access_key)
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// Ends the temporary logins of a user.
pub async fn delete_of(db: impl SqliteExecutor<'_>, user_id: &str) -> Result<()> {
    sqlx::query("DELETE FROM temporary_logins WHERE user_id = ?")
        .bind(user_id)
        .execute(db)
        .await?;
    Ok(())
}

/// Keeps a temporary login, and lets go of those that expired.
#[derive(Debug)]
pub(super) struct CreateLogin {
    pub(super) access_key: String,
    pub(super) password_hash: [u8; 32],
    pub(super) user_id: String,
    pub(super) now: Timestamp,
    pub(super) expires_at: Timestamp,
}

impl Write for CreateLogin {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        sqlx::query("DELETE FROM temporary_logins WHERE expires_at <= ?")
            .bind(self.now)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO temporary_logins (access_key, password_hash, user_id, expires_at)
             VALUES (?, ?, ?, ?)",
        )
        .bind(self.access_key)
        .bind(self.password_hash.as_slice())
        .bind(self.user_id)
        .bind(self.expires_at)
        .execute(transaction)
        .await?;
        Ok(())
    }
}
