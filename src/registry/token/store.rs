//! The SQL of the key that signs tokens.

use sqlx::{SqliteConnection, SqliteExecutor};

use crate::db::Write;
use crate::error::Result;

/// The key that signs tokens.
pub async fn signing_key(db: impl SqliteExecutor<'_>) -> Result<Vec<u8>> {
    Ok(sqlx::query_scalar("SELECT key FROM signing_key")
        .fetch_one(db)
        .await?)
}

/// Makes a new key: what the old one signed holds no longer.
#[derive(Debug)]
pub struct RenewSigningKey;

impl Write for RenewSigningKey {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        renew_signing_key(transaction).await
    }
}

/// As [`RenewSigningKey`].
pub async fn renew_signing_key(db: impl SqliteExecutor<'_>) -> Result<()> {
    sqlx::query("UPDATE signing_key SET key = randomblob(32)")
        .execute(db)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::testing::TestDb;

    #[tokio::test]
    async fn a_database_has_a_key_that_stays_until_it_is_renewed() {
        let test = TestDb::seeded("organizations: []").await;
        let key = async || signing_key(test.db.lookups()).await.expect("read");
        let first = key().await;
        assert_eq!(first.len(), 32);
        assert_eq!(key().await, first);
        test.db.write(RenewSigningKey).await.expect("renewed");
        assert_ne!(key().await, first);
    }
}
