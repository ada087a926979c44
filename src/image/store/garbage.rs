//! The SQL that removes what nothing uses.

use sqlx::SqliteConnection;

use crate::db::Write;
use crate::error::Result;

/// Removes what nothing uses: links whose lease is over and that no manifest in their repository
/// needs, then blobs without links, some in each step. Both are decided here, inside the write.
#[derive(Debug)]
pub struct CollectGarbage {
    /// Real time, in seconds since 1970.
    pub now: i64,
    /// The digest that the last step came to; none in the first one, which removes the links.
    pub after: Option<String>,
    /// The most blobs to remove at once.
    pub most: u32,
}

/// What a step removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// The files that no row names any more.
    pub files: Vec<String>,
    /// Where the next step goes on; none where this was the last one.
    pub after: Option<String>,
}

impl Write for CollectGarbage {
    type Output = Collected;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Collected> {
        if self.after.is_none() {
            sqlx::query(
                "DELETE FROM repository_blobs
                 WHERE leased_until < ?1 AND NOT EXISTS (
                     SELECT 1 FROM manifest_blobs m
                     WHERE m.repository_id = repository_blobs.repository_id
                       AND m.digest = repository_blobs.digest)",
            )
            .bind(self.now)
            .execute(&mut *transaction)
            .await?;
        }
        let removed: Vec<(String, String)> = sqlx::query_as(
            "DELETE FROM blobs WHERE digest IN (
                 SELECT digest FROM blobs b
                 WHERE digest > ? AND NOT EXISTS (
                     SELECT 1 FROM repository_blobs l WHERE l.digest = b.digest)
                 ORDER BY digest LIMIT +?)
             RETURNING file, digest",
        )
        .bind(self.after.unwrap_or_default())
        .bind(self.most)
        .fetch_all(transaction)
        .await?;
        let is_last = removed.len() < self.most as usize;
        let (files, digests): (Vec<_>, Vec<_>) = removed.into_iter().unzip();
        Ok(Collected {
            files,
            after: digests.into_iter().max().filter(|_| !is_last),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Digest;
    use super::super::links::LEASE;
    use super::super::testing::{NOW, manifest, seeded, uploaded};
    use super::super::{DeleteManifest, LinkFrom, list_blob_files};
    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn collection_spares_what_is_leased_or_used() {
        let (test, a, b) = seeded().await;
        for (content, file) in [("used", "f1"), ("leased", "f2"), ("unused", "f3")] {
            test.db
                .write(uploaded(a, content, file))
                .await
                .expect("linked");
        }
        test.db
            .write(manifest(a, &["used"], None))
            .await
            .expect("stored");
        let collect = async |now| {
            let write = CollectGarbage {
                now,
                after: None,
                most: 100,
            };
            test.db.write(write).await.expect("collected").files
        };
        assert!(collect(NOW + LEASE).await.is_empty());
        let late = LinkFrom {
            source_id: a,
            repository_id: b,
            digest: Digest::of(b"leased"),
            now: NOW + LEASE,
        };
        test.db.write(late).await.expect("linked");
        assert_eq!(collect(NOW + LEASE + 1).await, ["f3"]);
        assert_eq!(collect(NOW + 2 * LEASE + 1).await, ["f2"]);
        let digest = manifest(a, &["used"], None).digest;
        let delete = DeleteManifest {
            repository_id: a,
            digest,
            now: Clock::default().now(),
        };
        assert!(test.db.write(delete).await.expect("deleted"));
        assert_eq!(collect(NOW + 2 * LEASE + 1).await, ["f1"]);
        let left = list_blob_files(test.db.readers(), "", 100).await;
        assert_eq!(left.expect("read"), []);
    }
}
