//! The SQL of the record of pushes.

use sqlx::SqliteExecutor;

use super::PutTag;
use crate::error::Result;

/// Pushes that are remembered.
const MOST_PUSHES: i64 = 1000;

/// Records a push, with why triggers did not fire; the oldest of many is forgotten. Its number.
pub(super) async fn insert(
    db: impl SqliteExecutor<'_>,
    tag: &PutTag,
    passed_over: &str,
) -> Result<i64> {
    // In one go: each one that is waited for is a hop to SQLite's thread and back.
    let inserted = sqlx::query(
        "INSERT INTO pushes (repository_id, tag, digest, pushed_by, pushed_at, request_id,
                             newest_trigger, passed_over)
         VALUES (?, ?, ?, ?, ?, ?, (SELECT coalesce(max(id), 0) FROM triggers), ?);
         DELETE FROM pushes WHERE id <= last_insert_rowid() - ?",
    )
    .bind(tag.repository_id)
    .bind(tag.name.as_str())
    .bind(&tag.digest)
    .bind(&tag.pushed_by.user)
    .bind(tag.now)
    .bind(&tag.pushed_by.request_id)
    .bind(passed_over)
    .bind(MOST_PUSHES)
    .execute(db)
    .await?;
    Ok(inserted.last_insert_rowid())
}

#[cfg(test)]
mod tests {
    use sqlx::SqliteConnection;

    use super::super::PushedBy;
    use super::*;
    use crate::clock::Clock;
    use crate::db::Write;
    use crate::db::testing::TestDb;
    use crate::engine::Verdicts;
    use crate::tag::TagName;

    #[derive(Debug)]
    struct Insert(i64);

    impl Write for Insert {
        type Output = ();

        async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
            for at in 1..=self.0 {
                let tag = PutTag {
                    repository_id: 1,
                    name: TagName::parse(&format!("v{at}")).expect("a tag"),
                    digest: "d".to_owned(),
                    pushed_by: PushedBy::user("user"),
                    verdicts: Verdicts::default(),
                    now: Clock::default().now(),
                };
                insert(&mut *transaction, &tag, "[]").await?;
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_newest_thousand_pushes_are_remembered() {
        let test = TestDb::seeded("organizations: [{name: g, repositories: [{name: a}]}]").await;
        let write = Insert(MOST_PUSHES + 2);
        test.db.write(write).await.expect("recorded");
        let found: (i64, i64, i64) =
            sqlx::query_as("SELECT count(*), min(id), max(id) FROM pushes")
                .fetch_one(test.db.readers())
                .await
                .expect("read");
        assert_eq!(found, (MOST_PUSHES, 3, MOST_PUSHES + 2));
    }
}
