//! The SQL of accessories.

use sqlx::{AssertSqlSafe, SqliteExecutor};

use super::{Accessory, tag_names};
use crate::db::Readers;
use crate::error::{Error, Result};
use crate::image::Digest;
use crate::page::Page;

/// The numbers of the manifests that are accessories of a manifest, `?2`: those that say so, and
/// those whose tags say so by the names `?3`, a JSON array.
const IDS: &str = "SELECT rowid AS id FROM manifests WHERE repository_id = ?1 AND subject = ?2
     UNION
     SELECT m.rowid
     FROM json_each(?3) n
     CROSS JOIN tags t ON t.repository_id = ?1 AND t.name = n.value
     CROSS JOIN manifests m ON m.repository_id = ?1 AND m.digest = t.digest";

/// A page of the accessories of a manifest, oldest first, and how many there are in all. One with
/// several tags has the one by convention, else the first.
pub(super) async fn list(
    db: &Readers,
    repository_id: i64,
    target: &Digest,
    page: Page,
) -> Result<(Vec<Accessory>, i64)> {
    let names = serde_json::to_string(&tag_names(target)).map_err(Error::internal)?;
    let sql = format!(
        "SELECT page.id, coalesce(t.name, '') AS tag, m.digest, m.artifact_type, m.size,
                coalesce(t.created_at, m.created_at) AS created_at,
                coalesce(t.updated_at, m.created_at) AS updated_at
         FROM (SELECT id FROM ({IDS}) ORDER BY id LIMIT +?4 OFFSET ?5) page
         CROSS JOIN manifests m ON m.rowid = page.id
         LEFT JOIN tags t ON t.id = coalesce(
             (SELECT c.id FROM json_each(?3) n
              CROSS JOIN tags c ON c.repository_id = ?1 AND c.name = n.value
              WHERE c.digest = m.digest LIMIT 1),
             (SELECT min(f.id) FROM tags f WHERE f.repository_id = ?1 AND f.digest = m.digest))
         ORDER BY page.id"
    );
    let found = sqlx::query_as(AssertSqlSafe(sql))
        .bind(repository_id)
        .bind(target.as_str())
        .bind(&names)
        .bind(page.limit)
        .bind(page.offset)
        .fetch_all(db)
        .await?;
    let sql = format!("SELECT count(*) FROM ({IDS})");
    let total = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(repository_id)
        .bind(target.as_str())
        .bind(&names)
        .fetch_one(db)
        .await?;
    Ok((found, total))
}

/// The names of the tags of a manifest that come after one, in order; `limit` at the most.
pub(super) async fn list_tags_of(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    digest: &Digest,
    after: &str,
    limit: u32,
) -> Result<Vec<String>> {
    let names = sqlx::query_scalar(
        "SELECT name FROM tags WHERE repository_id = ? AND digest = ? AND name > ?
         ORDER BY name LIMIT +?",
    )
    .bind(repository_id)
    .bind(digest.as_str())
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(names)
}
