//! The SQL of accounts as a whole: agencies, and what was stored and pulled by day.

use sqlx::{SqliteConnection, SqliteExecutor};

use super::{DayBytes, Holdings, REPORT_DAYS, stored_by_day};
use crate::clock::{Day, Timestamp};
use crate::db::Write;
use crate::error::{Error, Resource, Result};

/// What an account has in a region.
pub async fn count(
    db: impl SqliteExecutor<'_>,
    account_id: &str,
    region: &str,
) -> Result<Holdings> {
    let found = sqlx::query_as(
        "SELECT count(DISTINCT n.id) AS namespaces, count(DISTINCT r.id) AS repositories,
                count(t.id) AS images
         FROM namespaces n
         LEFT JOIN repositories r ON r.namespace_id = n.id
         LEFT JOIN tags t ON t.repository_id = r.id
         WHERE n.account_id = ? AND n.region = ?",
    )
    .bind(account_id)
    .bind(region)
    .fetch_one(db)
    .await?;
    Ok(found)
}

/// Of what an account stores in a region now, how much came on which day. Each blob and manifest
/// counts once, however many repositories have it.
pub async fn list_growth(
    db: impl SqliteExecutor<'_>,
    account_id: &str,
    region: &str,
    now: Timestamp,
) -> Result<Vec<DayBytes>> {
    // A clock that was put back leaves things that come later than now.
    let found = sqlx::query_as(
        "WITH held AS (
             SELECT m.repository_id, m.digest, m.content_size AS size,
                    min(m.created_at, ?3) / 86400000000 AS day
             FROM namespaces n
             JOIN repositories r ON r.namespace_id = n.id
             JOIN manifests m ON m.repository_id = r.id
             WHERE n.account_id = ?1 AND n.region = ?2)
         SELECT day, sum(size) AS bytes FROM (
             SELECT min(day) AS day, size FROM held GROUP BY digest
             UNION ALL
             SELECT min(h.day) AS day, b.size
             FROM held h
             JOIN manifest_blobs u ON u.repository_id = h.repository_id AND u.manifest = h.digest
             JOIN blobs b ON b.digest = u.digest
             GROUP BY b.digest)
         GROUP BY day ORDER BY day",
    )
    .bind(account_id)
    .bind(region)
    .bind(now)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// What was written down of days before one.
pub async fn list_snapshots(
    db: impl SqliteExecutor<'_>,
    account_id: &str,
    region: &str,
    before: Day,
) -> Result<Vec<DayBytes>> {
    let found = sqlx::query_as(
        "SELECT day, bytes FROM stored_bytes
         WHERE account_id = ? AND region = ? AND day < ? ORDER BY day",
    )
    .bind(account_id)
    .bind(region)
    .bind(before)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// Writes down what the account of a repository stored at the end of each day before today. Who
/// removes a manifest calls this first, in the same transaction; afterwards nothing would tell.
pub async fn snapshot_usage(
    transaction: &mut SqliteConnection,
    repository_id: i64,
    now: Timestamp,
) -> Result<()> {
    let owner: Option<(String, String)> = sqlx::query_as(
        "SELECT n.account_id, n.region
         FROM repositories r JOIN namespaces n ON n.id = r.namespace_id WHERE r.id = ?",
    )
    .bind(repository_id)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some((account_id, region)) = owner else {
        return Ok(());
    };
    let today = now.day();
    let first = today.back(REPORT_DAYS - 1);
    // Days to come stand there where the clock was put back.
    sqlx::query(
        "DELETE FROM stored_bytes
         WHERE account_id = ?1 AND region = ?2 AND (day < ?3 OR day >= ?4)",
    )
    .bind(&account_id)
    .bind(&region)
    .bind(first)
    .bind(today)
    .execute(&mut *transaction)
    .await?;
    let last: Option<Day> =
        sqlx::query_scalar("SELECT max(day) FROM stored_bytes WHERE account_id = ? AND region = ?")
            .bind(&account_id)
            .bind(&region)
            .fetch_one(&mut *transaction)
            .await?;
    let first = last.map_or(first, |last| last.back(-1));
    if first >= today {
        return Ok(());
    }
    let growth = list_growth(&mut *transaction, &account_id, &region, now).await?;
    for DayBytes { day, bytes } in stored_by_day(first.through(today.back(1)), &[], &growth) {
        sqlx::query(
            "INSERT INTO stored_bytes (account_id, region, day, bytes) VALUES (?, ?, ?, ?)",
        )
        .bind(&account_id)
        .bind(&region)
        .bind(day)
        .bind(bytes)
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

/// Adds to what was pulled from an organization's account on a day.
pub async fn add_pulled(
    db: impl SqliteExecutor<'_>,
    namespace_id: i64,
    pulled: DayBytes,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO pulled_bytes (account_id, region, day, bytes)
         SELECT account_id, region, ?2, ?3 FROM namespaces WHERE id = ?1
         ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes",
    )
    .bind(namespace_id)
    .bind(pulled.day)
    .bind(pulled.bytes)
    .execute(db)
    .await?;
    Ok(())
}

/// What was pulled on each day from one on; days without a pull are left out.
pub async fn list_pulled(
    db: impl SqliteExecutor<'_>,
    account_id: &str,
    region: &str,
    first: Day,
) -> Result<Vec<DayBytes>> {
    let found = sqlx::query_as(
        "SELECT day, bytes FROM pulled_bytes
         WHERE account_id = ? AND region = ? AND day >= ? ORDER BY day",
    )
    .bind(account_id)
    .bind(region)
    .bind(first)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// All that was ever pulled.
pub async fn sum_pulled(
    db: impl SqliteExecutor<'_>,
    account_id: &str,
    region: &str,
) -> Result<i64> {
    let sum = sqlx::query_scalar(
        "SELECT coalesce(sum(bytes), 0) FROM pulled_bytes WHERE account_id = ? AND region = ?",
    )
    .bind(account_id)
    .bind(region)
    .fetch_one(db)
    .await?;
    Ok(sum)
}

/// Whether an account has delegated CCE and CCI to SWR.
pub async fn has_agency(db: impl SqliteExecutor<'_>, account_id: &str) -> Result<bool> {
    let has = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM agencies WHERE account_id = ?)")
        .bind(account_id)
        .fetch_one(db)
        .await?;
    Ok(has)
}

/// Makes the agency of an account; whether there was none.
pub async fn insert_agency(
    db: impl SqliteExecutor<'_>,
    account_id: &str,
    created_at: Timestamp,
) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO agencies (account_id, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(account_id)
    .bind(created_at)
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Lets an account delegate CCE and CCI to SWR, once.
#[derive(Debug)]
pub struct CreateAgency {
    pub account_id: String,
    pub created_at: Timestamp,
}

impl Write for CreateAgency {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        if insert_agency(transaction, &self.account_id, self.created_at).await? {
            Ok(())
        } else {
            Err(Error::AlreadyExists(Resource::Agency))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::BUILTIN_ACCOUNT;
    use crate::db::testing::TestDb;
    use crate::engine::Verdicts;
    use crate::image::store::{DeleteManifest, LinkUploaded, PutManifest, PutOutcome};
    use crate::image::{Digest, Manifest, SampleImage};
    use crate::repository::store::DeleteRepository;
    use crate::tag::TagName;
    use crate::tag::store::{DeleteImage, DeleteTag};

    /// Noon of a day.
    fn noon(day: i64) -> Timestamp {
        Timestamp::from_microseconds(0).plus_hours(24 * day + 12)
    }

    struct Account {
        test: TestDb,
        id: String,
        repositories: Vec<i64>,
    }

    impl Account {
        async fn new() -> Self {
            let test =
                TestDb::seeded("organizations: [{name: g, repositories: [{name: a}, {name: b}]}]")
                    .await;
            let repositories = sqlx::query_scalar("SELECT id FROM repositories ORDER BY id")
                .fetch_all(test.db.readers())
                .await
                .expect("read");
            let account = test.directory.account_named(BUILTIN_ACCOUNT);
            let id = account.expect("built in").id.clone();
            Self {
                test,
                id,
                repositories,
            }
        }

        /// Pushes the image of a nonce; its digest and how many bytes it takes.
        async fn push(&self, repository: usize, nonce: &str, now: Timestamp) -> (Digest, i64) {
            let repository_id = self.repositories[repository];
            let image = SampleImage::new(nonce).expect("an image");
            for blob in [&image.layer, &image.config] {
                let digest = Digest::of(blob);
                let write = LinkUploaded {
                    repository_id,
                    file: digest.to_string(),
                    digest,
                    size: blob.len() as u64,
                    now: 0,
                };
                self.test.db.write(write).await.expect("linked");
            }
            let digest = Digest::of(&image.manifest);
            let tag = TagName::parse(nonce).expect("a tag");
            let write = PutManifest {
                repository_id,
                manifest: Manifest::parse(&image.manifest, None).expect("a manifest"),
                digest: digest.clone(),
                content: image.manifest.to_vec(),
                tag: Some((tag, Verdicts::default())),
                pushed_by: crate::push::PushedBy::user("u"),
                now,
            };
            let outcome = self.test.db.write(write).await.expect("stored");
            assert_eq!(outcome, PutOutcome::Stored);
            let parts = [&image.layer, &image.config, &image.manifest];
            let size: usize = parts.iter().map(|part| part.len()).sum();
            (digest, size.try_into().expect("small"))
        }

        async fn delete_tag(&self, repository: usize, tag: &str, now: Timestamp) {
            let write = DeleteImage(DeleteTag {
                repository_id: self.repositories[repository],
                name: TagName::parse(tag).expect("a tag"),
                now,
            });
            assert!(self.test.db.write(write).await.expect("decided"));
        }

        /// What a report on some day says of the days from `first` on.
        async fn stored(&self, first: i64, now: Timestamp) -> Vec<i64> {
            let db = self.test.db.readers();
            let growth = list_growth(db, &self.id, "r1", now).await.expect("read");
            let snapshots = list_snapshots(db, &self.id, "r1", now.day()).await;
            let days = noon(first).day().through(now.day());
            let stored = stored_by_day(days, &snapshots.expect("read"), &growth);
            stored.iter().map(|entry| entry.bytes).collect()
        }
    }

    #[tokio::test]
    async fn a_blob_counts_once_and_from_the_day_it_came() {
        let account = Account::new().await;
        let (_, first) = account.push(0, "a", noon(100)).await;
        account.push(1, "a", noon(101)).await;
        let (_, second) = account.push(1, "b", noon(102)).await;
        let both = first + second;
        assert_eq!(
            account.stored(99, noon(103)).await,
            [0, first, first, both, both]
        );
        // The clock was put back: what is there is there.
        assert_eq!(account.stored(98, noon(99)).await, [0, both]);
        let elsewhere = list_growth(account.test.db.readers(), &account.id, "r2", noon(103)).await;
        assert!(elsewhere.expect("read").is_empty());
    }

    #[tokio::test]
    async fn what_was_stored_before_a_removal_stays_known() {
        let account = Account::new().await;
        let (digest, a) = account.push(0, "a", noon(100)).await;
        let (_, b) = account.push(0, "b", noon(101)).await;
        let (_, c) = account.push(1, "c", noon(102)).await;
        account.delete_tag(0, "b", noon(104)).await;
        let (_, d) = account.push(0, "d", noon(104)).await;
        let all = a + b + c;
        let expected = [0, a, a + b, all, all, a + c + d, a + c + d];
        assert_eq!(account.stored(99, noon(105)).await, expected);

        let delete = DeleteManifest {
            repository_id: account.repositories[0],
            digest,
            now: noon(106),
        };
        assert!(account.test.db.write(delete).await.expect("decided"));
        let delete = DeleteRepository {
            id: account.repositories[1],
            now: noon(106).plus_seconds(1),
        };
        account.test.db.write(delete).await.expect("there");
        let expected = [a, a + b, all, all, a + c + d, a + c + d, d, d];
        assert_eq!(account.stored(100, noon(107)).await, expected);
    }

    #[tokio::test]
    async fn no_more_is_written_down_than_a_report_shows() {
        let account = Account::new().await;
        account.push(0, "a", noon(100)).await;
        let (_, b) = account.push(0, "b", noon(100)).await;
        let snapshots = async || {
            let db = account.test.db.readers();
            let days = list_snapshots(db, &account.id, "r1", noon(9999).day()).await;
            days.expect("read")
        };
        account.delete_tag(0, "a", noon(200)).await;
        let days = snapshots().await;
        assert_eq!(days.len(), 29);
        assert_eq!(days[28].day, noon(199).day());
        // Days that will come again are forgotten.
        account.push(0, "c", noon(150)).await;
        account.delete_tag(0, "c", noon(190)).await;
        let days = snapshots().await;
        assert_eq!(days.last().map(|entry| entry.day), Some(noon(189).day()));
        account.delete_tag(0, "b", noon(300)).await;
        let days = snapshots().await;
        assert_eq!(days.len(), 29);
        assert!(days.iter().all(|entry| entry.bytes == b));
    }

    struct AddPulled(i64, DayBytes);

    impl Write for AddPulled {
        type Output = ();

        async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
            add_pulled(transaction, self.0, self.1).await
        }
    }

    #[tokio::test]
    async fn pulled_bytes_add_up_by_day() {
        let account = Account::new().await;
        let db = &account.test.db;
        let namespace: i64 = sqlx::query_scalar("SELECT id FROM namespaces")
            .fetch_one(db.readers())
            .await
            .expect("read");
        let count = async |namespace, day, bytes| {
            let day = noon(day).day();
            let write = AddPulled(namespace, DayBytes { day, bytes });
            db.write(write).await.expect("added");
        };
        count(namespace, 100, 5).await;
        count(namespace, 101, 1).await;
        count(namespace, 101, 2).await;
        count(namespace + 1, 101, 9).await;
        let pulled = list_pulled(db.readers(), &account.id, "r1", noon(101).day()).await;
        let expected = DayBytes {
            day: noon(101).day(),
            bytes: 3,
        };
        assert_eq!(pulled.expect("read"), [expected]);
        let sum = sum_pulled(db.readers(), &account.id, "r1").await;
        assert_eq!(sum.expect("read"), 8);
        let elsewhere = sum_pulled(db.readers(), &account.id, "r2").await;
        assert_eq!(elsewhere.expect("read"), 0);
    }
}
