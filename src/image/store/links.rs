//! The SQL of links: which repository has which blob.

use sqlx::{SqliteConnection, SqliteExecutor};

use super::super::Digest;
use super::blob_files::find_file;
use crate::db::Write;
use crate::error::{Error, Resource, Result};

/// How long, in seconds, a link is kept that no manifest uses, from the last time that a client
/// asked for the blob, mounted or uploaded it; and how much of it may be gone before asking
/// extends it.
pub(super) const LEASE: i64 = 2 * 3600;
const LEASE_AT_LEAST: i64 = 3600;

/// A blob, as one repository sees it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Blob {
    /// The file that holds it.
    pub file: String,
    /// How many bytes it has.
    pub size: i64,
    leased_until: i64,
}

impl Blob {
    /// Whether its lease has to be extended for a client that was told it is there.
    pub fn needs_lease(&self, now: i64) -> bool {
        self.leased_until < now + LEASE_AT_LEAST
    }
}

/// The blob with this digest, if the repository is linked to it and it is not known to be damaged.
pub async fn find_blob(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    digest: &Digest,
) -> Result<Option<Blob>> {
    let found = sqlx::query_as(
        "SELECT b.file, b.size, l.leased_until
         FROM repository_blobs l JOIN blobs b ON b.digest = l.digest
         WHERE l.repository_id = ? AND l.digest = ? AND NOT b.is_damaged",
    )
    .bind(repository_id)
    .bind(digest.as_str())
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// Links a repository to a blob that was uploaded, whose file becomes the blob's for all: it was
/// hashed and synced a moment ago, which is not known of the one before.
#[derive(Debug)]
pub struct LinkUploaded {
    /// Which repository.
    pub repository_id: i64,
    /// The blob.
    pub digest: Digest,
    /// The file that was made for it.
    pub file: String,
    /// How many bytes it has.
    pub size: u64,
    /// Real time, in seconds since 1970.
    pub now: i64,
}

impl Write for LinkUploaded {
    /// The file that was the blob's before. No row names it any more.
    type Output = Option<String>;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Option<String>> {
        let replaced = find_file(&mut *transaction, &self.digest).await?;
        sqlx::query(
            "INSERT INTO blobs (digest, file, size) VALUES (?, ?, ?)
             ON CONFLICT (digest) DO UPDATE
             SET file = excluded.file, size = excluded.size, is_damaged = 0",
        )
        .bind(self.digest.as_str())
        .bind(&self.file)
        .bind(i64::try_from(self.size).map_err(Error::internal)?)
        .execute(&mut *transaction)
        .await?;
        link(transaction, self.repository_id, &self.digest, self.now).await?;
        Ok(replaced)
    }
}

/// Links a repository to a blob that another one is linked to, or extends its own lease.
#[derive(Debug)]
pub struct LinkFrom {
    /// The repository that the caller may pull from.
    pub source_id: i64,
    /// The repository that is to be linked.
    pub repository_id: i64,
    /// The blob.
    pub digest: Digest,
    /// Real time, in seconds since 1970.
    pub now: i64,
}

impl Write for LinkFrom {
    /// Whether the source was linked to it.
    type Output = bool;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<bool> {
        if find_blob(&mut *transaction, self.source_id, &self.digest)
            .await?
            .is_none()
        {
            return Ok(false);
        }
        link(transaction, self.repository_id, &self.digest, self.now).await?;
        Ok(true)
    }
}

async fn link(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    digest: &Digest,
    now: i64,
) -> Result<()> {
    let linked = sqlx::query(
        "INSERT INTO repository_blobs (repository_id, digest, leased_until) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET leased_until = max(leased_until, excluded.leased_until)",
    )
    .bind(repository_id)
    .bind(digest.as_str())
    .bind(now + LEASE)
    .execute(db)
    .await;
    match linked {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            Err(Error::NotFound(Resource::Repository))
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes a blob out of a repository.
#[derive(Debug)]
pub struct UnlinkBlob {
    /// Which repository.
    pub repository_id: i64,
    /// The blob.
    pub digest: Digest,
}

impl Write for UnlinkBlob {
    /// Whether it was linked.
    type Output = bool;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<bool> {
        let done =
            sqlx::query("DELETE FROM repository_blobs WHERE repository_id = ? AND digest = ?")
                .bind(self.repository_id)
                .bind(self.digest.as_str())
                .execute(transaction)
                .await?;
        Ok(done.rows_affected() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NOW, seeded, uploaded};
    use super::*;

    #[tokio::test]
    async fn a_blob_is_seen_only_through_a_link() {
        let (test, a, b) = seeded().await;
        let db = test.db.readers();
        let digest = Digest::of(b"x");
        let first = test.db.write(uploaded(a, "x", "f1")).await;
        assert_eq!(first.expect("linked"), None);
        // The same content again: its file takes the place of the first.
        let second = test.db.write(uploaded(a, "x", "f2")).await;
        assert_eq!(second.expect("linked").as_deref(), Some("f1"));
        let found = find_blob(db, a, &digest)
            .await
            .expect("read")
            .expect("there");
        assert_eq!((found.file.as_str(), found.size), ("f2", 1));
        assert!(find_blob(db, b, &digest).await.expect("read").is_none());

        let mount = |source_id, repository_id| LinkFrom {
            source_id,
            repository_id,
            digest: digest.clone(),
            now: NOW,
        };
        assert!(!test.db.write(mount(b, b)).await.expect("decided"));
        assert!(test.db.write(mount(a, b)).await.expect("decided"));
        assert!(find_blob(db, b, &digest).await.expect("read").is_some());
        let unlink = || UnlinkBlob {
            repository_id: a,
            digest: digest.clone(),
        };
        assert!(test.db.write(unlink()).await.expect("decided"));
        assert!(!test.db.write(unlink()).await.expect("decided"));
        assert!(find_blob(db, b, &digest).await.expect("read").is_some());
        let gone = test.db.write(uploaded(b + 1, "y", "f3")).await;
        assert!(matches!(gone, Err(Error::NotFound(Resource::Repository))));
    }
}
