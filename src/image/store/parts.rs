//! The SQL of an index's parts, and of how many bytes an image takes with all of its own.

use sqlx::{AssertSqlSafe, SqliteExecutor};

use super::super::Digest;
use super::json;
use crate::error::Result;

pub(super) async fn insert_parts(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    digest: &str,
    parts: &[Digest],
) -> Result<()> {
    if parts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO manifest_parts (repository_id, manifest, part)
         SELECT ?1, ?2, d.value FROM json_each(?3) d WHERE TRUE ON CONFLICT DO NOTHING",
    )
    .bind(repository_id)
    .bind(digest)
    .bind(json(parts)?)
    .execute(db)
    .await?;
    Ok(())
}

/// The digests of an image's manifests: itself, and where it is an index all that it lists, at
/// any depth. `?1` is the repository, `?2` the image.
pub(in crate::image) const WITH_PARTS: &str = "WITH RECURSIVE parts (digest) AS (
         SELECT ?2
         UNION
         SELECT p.part FROM parts CROSS JOIN manifest_parts p
             ON p.repository_id = ?1 AND p.manifest = parts.digest)";

/// Stores how many bytes an image takes: its manifest and the blobs of all manifests that it is
/// made of. Nothing of that changes afterwards.
pub(super) async fn measure(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    digest: &str,
) -> Result<()> {
    let sql = format!(
        "{WITH_PARTS}
         UPDATE manifests SET size = content_size + (
             SELECT coalesce(sum(b.size), 0)
             FROM parts
             CROSS JOIN manifest_blobs u ON u.repository_id = ?1 AND u.manifest = parts.digest
             CROSS JOIN blobs b ON b.digest = u.digest)
         WHERE repository_id = ?1 AND digest = ?2"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(repository_id)
        .bind(digest)
        .execute(db)
        .await?;
    Ok(())
}
