//! The write behind `POST /_emulator/reset`.

use sqlx::SqliteConnection;

use crate::db::Write;
use crate::error::Result;
use crate::registry::token::store::renew_signing_key;
use crate::seed::Reset;

/// Takes the database back to the seed, and makes a new key: the tokens of the registry end too.
#[derive(Debug)]
pub(super) struct ResetWithTokens(pub(super) Reset);

impl Write for ResetWithTokens {
    /// As that of [`Reset`].
    type Output = Vec<String>;
    const INVALIDATES_NAMES: bool = <Reset as Write>::INVALIDATES_NAMES;
    const WAKES_WORKERS: bool = <Reset as Write>::WAKES_WORKERS;
    const RELOADS_FIRINGS: bool = <Reset as Write>::RELOADS_FIRINGS;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Vec<String>> {
        renew_signing_key(&mut *transaction).await?;
        self.0.run(transaction).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Clock;
    use crate::db::testing::TestDb;
    use crate::registry::token::store::signing_key;

    #[tokio::test]
    async fn a_reset_makes_a_new_key() {
        let test = TestDb::seeded("organizations: []").await;
        let key = async || signing_key(test.db.lookups()).await.expect("read");
        let before = key().await;
        let seed = Arc::default();
        let reset = Reset::to(seed, String::new(), Clock::default().now());
        let files = test.db.write(ResetWithTokens(reset)).await;
        assert!(files.expect("reset").is_empty());
        assert_ne!(key().await, before);
    }
}
