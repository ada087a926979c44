//! The SQL of manifests that are about another one.

use super::super::Digest;
use crate::db::Readers;
use crate::error::Result;

/// A manifest that is about another one, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Referrer {
    /// Its number; later ones have higher numbers.
    pub id: i64,
    pub digest: String,
    /// What it was sent as.
    pub media_type: String,
    /// How many bytes it has.
    pub content_size: i64,
    /// What kind of artifact it is; empty where it does not say.
    pub artifact_type: String,
    /// What else it says, as a JSON object.
    pub annotations: Option<String>,
}

/// The manifests that are about another one and come after a number, oldest first: `limit` at the
/// most, and fewer where their annotations together have more than `most_bytes`; and whether there
/// are more.
pub async fn list_referrers(
    db: &Readers,
    repository_id: i64,
    subject: &Digest,
    after: i64,
    limit: u32,
    most_bytes: i64,
) -> Result<(Vec<Referrer>, bool)> {
    let found: Vec<Referrer> = sqlx::query_as(
        "SELECT m.rowid AS id, m.digest, m.media_type, m.content_size, m.artifact_type,
                m.annotations
         FROM (SELECT id, sum(bytes) OVER (ORDER BY id) AS so_far
               FROM (SELECT rowid AS id, coalesce(length(annotations), 0) AS bytes
                     FROM manifests
                     WHERE repository_id = ?1 AND subject = ?2 AND rowid > ?3
                     ORDER BY rowid LIMIT +?4)) page
         CROSS JOIN manifests m ON m.rowid = page.id
         WHERE page.so_far <= ?5
         ORDER BY page.id",
    )
    .bind(repository_id)
    .bind(subject.as_str())
    .bind(after)
    .bind(limit)
    .bind(most_bytes)
    .fetch_all(db)
    .await?;
    let Some(last) = found.last() else {
        return Ok((found, false));
    };
    let has_more = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM manifests
                        WHERE repository_id = ? AND subject = ? AND rowid > ?)",
    )
    .bind(repository_id)
    .bind(subject.as_str())
    .bind(last.id)
    .fetch_one(db)
    .await?;
    Ok((found, has_more))
}

#[cfg(test)]
mod tests {
    use super::super::PutOutcome;
    use super::super::testing::{manifest, seeded};
    use super::*;

    #[tokio::test]
    async fn referrers_come_in_pages_of_so_many_manifests_and_bytes() {
        let (test, a, b) = seeded().await;
        let subject = Digest::of(b"subject");
        for content in ["one", "two", "three"] {
            let mut write = manifest(a, &[], None);
            write.content = content.as_bytes().to_vec();
            write.digest = Digest::of(content.as_bytes());
            write.manifest.subject = Some(subject.clone());
            write.manifest.description.annotations = Some(format!("{{\"a\":\"{content}\"}}"));
            let outcome = test.db.write(write).await.expect("decided");
            assert_eq!(outcome, PutOutcome::Stored);
        }
        let list = async |repository_id, after, limit, most_bytes| {
            let db = test.db.readers();
            let page = list_referrers(db, repository_id, &subject, after, limit, most_bytes).await;
            let (found, has_more) = page.expect("read");
            let digests: Vec<_> = found.iter().map(|found| found.digest.clone()).collect();
            (digests, found.last().map(|last| last.id), has_more)
        };
        let digests = |contents: &[&str]| -> Vec<_> {
            let digests = contents
                .iter()
                .map(|content| Digest::of(content.as_bytes()));
            digests.map(|digest| digest.to_string()).collect()
        };
        let (found, last, has_more) = list(a, 0, 2, 1000).await;
        assert_eq!((found, has_more), (digests(&["one", "two"]), true));
        let (found, _, has_more) = list(a, last.expect("two"), 2, 1000).await;
        assert_eq!((found, has_more), (digests(&["three"]), false));
        // Each has eleven bytes of annotations at least.
        let (found, _, has_more) = list(a, 0, 3, 12).await;
        assert_eq!((found, has_more), (digests(&["one"]), true));
        assert_eq!(list(b, 0, 3, 1000).await, (Vec::new(), None, false));
    }
}
