//! The SQL of the files that blobs are in.

use sqlx::{SqliteConnection, SqliteExecutor};

use super::super::Digest;
use crate::db::Write;
use crate::error::{Error, Result};

/// How the names of the files begin that belong to this database.
pub async fn file_prefix(db: impl SqliteExecutor<'_>) -> Result<String> {
    Ok(sqlx::query_scalar("SELECT prefix FROM blob_files")
        .fetch_one(db)
        .await?)
}

/// The file of the blob with this digest, whoever is linked to it.
pub async fn find_file(db: impl SqliteExecutor<'_>, digest: &Digest) -> Result<Option<String>> {
    Ok(
        sqlx::query_scalar("SELECT file FROM blobs WHERE digest = ?")
            .bind(digest.as_str())
            .fetch_optional(db)
            .await?,
    )
}

/// A blob and its file, whoever is linked to it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct BlobFile {
    /// The blob.
    pub digest: String,
    /// The file that holds it.
    pub file: String,
    /// How many bytes it has.
    pub size: i64,
    /// Whether the file was not whole when it was last looked at.
    pub is_damaged: bool,
}

/// The blobs whose digests come after one, `most` at once.
pub async fn list_blob_files(
    db: impl SqliteExecutor<'_>,
    after: &str,
    most: usize,
) -> Result<Vec<BlobFile>> {
    let found = sqlx::query_as(
        "SELECT digest, file, size, is_damaged FROM blobs WHERE digest > ? ORDER BY digest LIMIT +?",
    )
    .bind(after)
    .bind(i64::try_from(most).map_err(Error::internal)?)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// Notes for blobs whether their files are whole.
#[derive(Debug)]
pub struct MarkBlobs(pub Vec<BlobFile>);

impl Write for MarkBlobs {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        for blob in self.0 {
            // A push may have brought another file since.
            sqlx::query("UPDATE blobs SET is_damaged = ? WHERE digest = ? AND file = ?")
                .bind(blob.is_damaged)
                .bind(blob.digest)
                .bind(blob.file)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(())
    }
}

/// Of some files those that no row names.
pub async fn list_unnamed(db: impl SqliteExecutor<'_>, files: &[String]) -> Result<Vec<String>> {
    let files = serde_json::to_string(files).map_err(Error::internal)?;
    let unnamed = sqlx::query_scalar(
        "SELECT value FROM json_each(?)
         WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE file = value)",
    )
    .bind(files)
    .fetch_all(db)
    .await?;
    Ok(unnamed)
}

/// Decides which files can go. A commit that failed can still come back from the log after a
/// crash, with the name of its file, until the next one that changes something takes its place:
/// so this is one that does, and what it does not see never comes back.
#[derive(Debug)]
pub struct SweepFiles(pub Vec<String>);

impl Write for SweepFiles {
    /// Those that no row names.
    type Output = Vec<String>;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Vec<String>> {
        sqlx::query("UPDATE blob_files SET sweeps = sweeps + 1")
            .execute(&mut *transaction)
            .await?;
        list_unnamed(transaction, &self.0).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NOW, manifest, seeded, uploaded};
    use super::super::{LinkFrom, PutOutcome, find_blob};
    use super::*;

    #[tokio::test]
    async fn which_files_can_go_is_decided_by_a_write_that_changes_something() {
        let (test, a, _) = seeded().await;
        test.db.write(uploaded(a, "x", "f1")).await.expect("linked");
        let files = ["f0", "f1", "f2"].map(str::to_owned);
        let orphans = test.db.write(SweepFiles(files.into())).await;
        assert_eq!(orphans.expect("decided"), ["f0", "f2"]);
        let sweeps: i64 = sqlx::query_scalar("SELECT sweeps FROM blob_files")
            .fetch_one(test.db.readers())
            .await
            .expect("one row");
        assert_eq!(sweeps, 1);
    }

    #[tokio::test]
    async fn a_damaged_blob_is_not_there_until_it_is_pushed_again() {
        let (test, a, b) = seeded().await;
        let db = test.db.readers();
        let digest = Digest::of(b"x");
        test.db.write(uploaded(a, "x", "f1")).await.expect("linked");
        let mark = |file: &str, is_damaged| {
            MarkBlobs(vec![BlobFile {
                digest: digest.to_string(),
                file: file.to_owned(),
                size: 1,
                is_damaged,
            }])
        };
        let is_there = async || find_blob(db, a, &digest).await.expect("read").is_some();
        test.db.write(mark("f0", true)).await.expect("marked");
        assert!(is_there().await, "that was another file");
        test.db.write(mark("f1", true)).await.expect("marked");
        assert!(!is_there().await);
        let mount = LinkFrom {
            source_id: a,
            repository_id: b,
            digest: digest.clone(),
            now: NOW,
        };
        assert!(!test.db.write(mount).await.expect("decided"));
        let put = test.db.write(manifest(a, &["x"], None)).await;
        assert_eq!(put.expect("decided"), PutOutcome::Missing(digest.clone()));

        test.db.write(uploaded(b, "x", "f2")).await.expect("linked");
        assert!(is_there().await);
        test.db.write(mark("f2", true)).await.expect("marked");
        test.db.write(mark("f2", false)).await.expect("marked");
        assert!(is_there().await);
    }
}
