//! The SQL of accessories.

use sqlx::{AssertSqlSafe, SqliteExecutor, SqlitePool};

use super::super::store::image_size;
use super::{Accessory, tag_names};
use crate::error::{Error, Result};
use crate::http::Page;
use crate::registry::Digest;

/// The accessories of a manifest, whose names by convention are a JSON array.
const WHERE: &str = "WHERE m.repository_id = ?1
    AND (m.subject = ?2 OR m.digest IN (
        SELECT digest FROM tags
        WHERE repository_id = ?1 AND name IN (SELECT value FROM json_each(?3))))";

/// A page of the accessories of a manifest, oldest first, and how many there are in all. One with
/// several tags has the one by convention, else the first.
pub(super) async fn list(
    db: &SqlitePool,
    repository_id: i64,
    target: &Digest,
    page: Page,
) -> Result<(Vec<Accessory>, i64)> {
    let names = serde_json::to_string(&tag_names(target)).map_err(Error::internal)?;
    let sql = format!(
        "SELECT m.rowid AS id, coalesce(t.name, '') AS tag, m.digest, m.content, {} AS size,
                coalesce(t.created_at, m.created_at) AS created_at,
                coalesce(t.updated_at, m.created_at) AS updated_at
         FROM manifests m
         LEFT JOIN tags t ON t.id = (
             SELECT id FROM tags
             WHERE repository_id = m.repository_id AND digest = m.digest
             ORDER BY name NOT IN (SELECT value FROM json_each(?3)), id LIMIT 1)
         {WHERE} ORDER BY m.rowid LIMIT ?4 OFFSET ?5",
        image_size!()
    );
    let found = sqlx::query_as(AssertSqlSafe(sql))
        .bind(repository_id)
        .bind(target.as_str())
        .bind(&names)
        .bind(page.limit)
        .bind(page.offset)
        .fetch_all(db)
        .await?;
    let total = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT count(*) FROM manifests m {WHERE}"
    )))
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
         ORDER BY name LIMIT ?",
    )
    .bind(repository_id)
    .bind(digest.as_str())
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(names)
}
