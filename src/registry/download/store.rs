//! The SQL that adds up pulls.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use crate::account::{self, DayBytes};
use crate::clock::Day;
use crate::db::Write;
use crate::error::Result;

/// Adds to the number of pulls of repositories and to the bytes that went out.
#[derive(Debug, Default)]
pub(super) struct CountDownloads {
    /// Pulls by repository.
    pub(super) pulls: HashMap<i64, i64>,
    /// Bytes of blobs by organization and day.
    pub(super) bytes: HashMap<(i64, Day), i64>,
}

impl Write for CountDownloads {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        for (repository_id, pulls) in self.pulls {
            sqlx::query("UPDATE repositories SET num_download = num_download + ? WHERE id = ?")
                .bind(pulls)
                .bind(repository_id)
                .execute(&mut *transaction)
                .await?;
        }
        for ((namespace_id, day), bytes) in self.bytes {
            let pulled = DayBytes { day, bytes };
            account::store::add_pulled(&mut *transaction, namespace_id, pulled).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::db::testing::TestDb;

    #[tokio::test]
    async fn pulls_and_bytes_are_added_to_what_was_counted() {
        let test =
            TestDb::seeded("organizations: [{name: g, repositories: [{name: a}, {name: b}]}]")
                .await;
        let day = Clock::default().now().day();
        for (pulls, bytes) in [(2, 5), (1, 7)] {
            let write = CountDownloads {
                pulls: [(1, pulls)].into(),
                bytes: [((1, day), bytes)].into(),
            };
            test.db.write(write).await.expect("counted");
        }
        let db = test.db.readers();
        let counted: Vec<i64> =
            sqlx::query_scalar("SELECT num_download FROM repositories ORDER BY id")
                .fetch_all(db)
                .await
                .expect("read");
        assert_eq!(counted, [3, 0]);
        let bytes: i64 = sqlx::query_scalar("SELECT sum(bytes) FROM pulled_bytes")
            .fetch_one(db)
            .await
            .expect("read");
        assert_eq!(bytes, 12);
    }
}
