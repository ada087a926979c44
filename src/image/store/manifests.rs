//! The SQL of manifests: reading and removing them.

use std::collections::HashMap;

use sqlx::{SqliteConnection, SqliteExecutor};

use super::super::{Digest, Reference};
use crate::account;
use crate::clock::Timestamp;
use crate::db::Write;
use crate::error::{Error, Result};
use crate::tag;

/// A manifest as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredManifest {
    pub digest: String,
    /// What it was sent as.
    pub media_type: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// The manifest with this tag or digest.
pub async fn find_manifest(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    reference: &Reference,
) -> Result<Option<StoredManifest>> {
    let query = match reference {
        Reference::Digest(digest) => sqlx::query_as(
            "SELECT m.digest, m.media_type, c.content FROM manifests m
             JOIN manifest_contents c ON c.repository_id = m.repository_id AND c.digest = m.digest
             WHERE m.repository_id = ? AND m.digest = ?",
        )
        .bind(repository_id)
        .bind(digest.as_str()),
        Reference::Tag(tag) => sqlx::query_as(
            "SELECT m.digest, m.media_type, c.content FROM tags t
             JOIN manifests m ON m.repository_id = t.repository_id AND m.digest = t.digest
             JOIN manifest_contents c ON c.repository_id = m.repository_id AND c.digest = m.digest
             WHERE t.repository_id = ? AND t.name = ?",
        )
        .bind(repository_id)
        .bind(tag.as_str()),
    };
    Ok(query.fetch_optional(db).await?)
}

/// The bytes of some manifests of a repository, by digest; those that went away are left out.
pub async fn list_contents(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    digests: &[&str],
) -> Result<HashMap<String, Vec<u8>>> {
    let digests = serde_json::to_string(digests).map_err(Error::internal)?;
    let found: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT c.digest, c.content
         FROM json_each(?2) d CROSS JOIN manifest_contents c
             ON c.repository_id = ?1 AND c.digest = d.value",
    )
    .bind(repository_id)
    .bind(digests)
    .fetch_all(db)
    .await?;
    Ok(found.into_iter().collect())
}

/// Some of a manifest's bytes, from one on; none where the manifest went away.
pub async fn find_content_slice(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    digest: &str,
    first: i64,
    length: i64,
) -> Result<Option<Vec<u8>>> {
    // SQLite counts from 1.
    let found = sqlx::query_scalar(
        "SELECT substr(content, ?3 + 1, ?4) FROM manifest_contents
         WHERE repository_id = ?1 AND digest = ?2",
    )
    .bind(repository_id)
    .bind(digest)
    .bind(first)
    .bind(length)
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// Removes a manifest with all of its tags.
#[derive(Debug)]
pub struct DeleteManifest {
    /// Which repository.
    pub repository_id: i64,
    /// The manifest.
    pub digest: Digest,
    pub now: Timestamp,
}

impl Write for DeleteManifest {
    /// Whether it was there.
    type Output = bool;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<bool> {
        account::store::snapshot_usage(transaction, self.repository_id, self.now).await?;
        let done = sqlx::query("DELETE FROM manifests WHERE repository_id = ? AND digest = ?")
            .bind(self.repository_id)
            .bind(self.digest.as_str())
            .execute(&mut *transaction)
            .await?;
        let was_there = done.rows_affected() > 0;
        if was_there {
            tag::store::touch(transaction, self.repository_id, self.now).await?;
        }
        Ok(was_there)
    }
}

#[cfg(test)]
mod tests {
    use super::super::PutOutcome;
    use super::super::testing::{manifest, seeded};
    use super::*;
    use crate::clock::Clock;
    use crate::db::testing::TestDb;
    use crate::tag::TagName;

    async fn put(test: &TestDb, repository_id: i64, content: &str, tag: &str) -> Digest {
        let mut write = manifest(repository_id, &[], Some(tag));
        write.content = content.as_bytes().to_vec();
        write.digest = Digest::of(content.as_bytes());
        let digest = write.digest.clone();
        let outcome = test.db.write(write).await.expect("decided");
        assert_eq!(outcome, PutOutcome::Stored);
        digest
    }

    #[tokio::test]
    async fn contents_are_read_whole_or_in_slices_and_only_in_their_repository() {
        let (test, a, b) = seeded().await;
        let db = test.db.readers();
        let (one, two) = (
            put(&test, a, "first", "v1").await,
            put(&test, b, "x", "v1").await,
        );
        let digests = [one.as_str(), two.as_str(), "sha256:none"];
        let found = list_contents(db, a, &digests).await.expect("read");
        assert_eq!(found, [(one.to_string(), b"first".to_vec())].into());
        let slice = async |repository_id, first, length| {
            let found = find_content_slice(db, repository_id, one.as_str(), first, length).await;
            found.expect("read")
        };
        assert_eq!(slice(a, 0, 2).await.as_deref(), Some(&b"fi"[..]));
        assert_eq!(slice(a, 3, 9).await.as_deref(), Some(&b"st"[..]));
        assert_eq!(slice(b, 0, 2).await, None);
    }

    #[tokio::test]
    async fn a_manifest_that_is_removed_takes_its_tags_with_it() {
        let (test, a, b) = seeded().await;
        let digest = put(&test, a, "first", "v1").await;
        put(&test, b, "first", "v1").await;
        let find = async |repository_id| {
            let tag = Reference::Tag(TagName::parse("v1").expect("a tag"));
            let found = find_manifest(test.db.readers(), repository_id, &tag).await;
            found.expect("read").map(|found| found.digest)
        };
        let delete = || DeleteManifest {
            repository_id: a,
            digest: digest.clone(),
            now: Clock::default().now(),
        };
        assert_eq!(find(a).await.as_deref(), Some(digest.as_str()));
        assert!(test.db.write(delete()).await.expect("deleted"));
        assert!(!test.db.write(delete()).await.expect("decided"));
        assert_eq!(find(a).await, None);
        assert_eq!(find(b).await.as_deref(), Some(digest.as_str()));
    }
}
