//! The SQL of tags. How one comes to point at a manifest, and what that sets off, is the business
//! of `push`.

use sqlx::{AssertSqlSafe, SqliteConnection, SqliteExecutor};

use super::{OrderColumn, Tag, TagName};
use crate::account;
use crate::clock::Timestamp;
use crate::db::{Readers, Write};
use crate::error::{Error, Result};
use crate::page::{Page, SortOrder};

/// The columns of [`Tag`], and where they come from.
const COLUMNS: &str = "t.id, t.repository_id, t.name, t.digest, m.media_type, m.content_size,
        m.config, t.created_at, t.updated_at, m.size";

/// The tag with this name.
pub async fn find(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    name: &TagName,
) -> Result<Option<Tag>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM tags t
         JOIN manifests m ON m.repository_id = t.repository_id AND m.digest = t.digest
         WHERE t.repository_id = ?1 AND t.name = ?2"
    );
    let found = sqlx::query_as(AssertSqlSafe(sql))
        .bind(repository_id)
        .bind(name.as_str())
        .fetch_optional(db)
        .await?;
    Ok(found)
}

/// A page of a repository's tags that have some text in their name, and how many have it in all.
pub async fn list(
    db: &Readers,
    repository_id: i64,
    name_part: Option<&str>,
    order: Option<(OrderColumn, SortOrder)>,
    page: Page,
) -> Result<(Vec<Tag>, i64)> {
    let (column, direction) = ordering(order);
    let filter = filter(name_part);
    // The page is cut first: what comes before it is passed over in an index.
    let sql = format!(
        "SELECT {COLUMNS}
         FROM (SELECT id FROM tags t WHERE t.repository_id = ?1 {filter}
               ORDER BY {column} {direction}, t.id LIMIT +?3 OFFSET ?4) page
         CROSS JOIN tags t ON t.id = page.id
         CROSS JOIN manifests m ON m.repository_id = ?1 AND m.digest = t.digest
         ORDER BY {column} {direction}, t.id"
    );
    let found = sqlx::query_as(AssertSqlSafe(sql))
        .bind(repository_id)
        .bind(name_part)
        .bind(page.limit)
        .bind(page.offset)
        .fetch_all(db)
        .await?;
    let sql = format!("SELECT count(*) FROM tags t WHERE t.repository_id = ?1 {filter}");
    let total = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(repository_id)
        .bind(name_part)
        .fetch_one(db)
        .await?;
    Ok((found, total))
}

/// Lets tags pass that have a text, `?2`, in their name, if one is given.
fn filter(name_part: Option<&str>) -> &'static str {
    match name_part {
        Some(_) => "AND instr(t.name, ?2) > 0",
        None => "",
    }
}

/// Where a page of the v3 list begins: after the tag that had this value and this id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The value of the column that the list is ordered by.
    pub value: MarkerValue,
    /// The tag's number.
    pub id: i64,
}

/// A value that a list of tags is ordered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkerValue {
    /// Of a column that holds numbers.
    Number(i64),
    /// Of a column that holds text.
    Text(String),
}

/// The tags of a repository after a marker, that have some text in their name; `limit` at most.
pub async fn list_after(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    name_part: Option<&str>,
    order: Option<(OrderColumn, SortOrder)>,
    after: Option<&Marker>,
    limit: u32,
) -> Result<Vec<Tag>> {
    let (column, direction) = ordering(order);
    let filter = filter(name_part);
    let comes_after = if direction == "DESC" { "<" } else { ">" };
    let rest = match after {
        // Two conditions, of which the first one finds the place in an index.
        Some(_) => {
            format!("AND {column} {comes_after}= ?3 AND ({column} {comes_after} ?3 OR t.id > ?4)")
        }
        None => String::new(),
    };
    let sql = format!(
        "SELECT {COLUMNS}
         FROM (SELECT id FROM tags t WHERE t.repository_id = ?1 {filter} {rest}
               ORDER BY {column} {direction}, t.id LIMIT +?5) page
         CROSS JOIN tags t ON t.id = page.id
         CROSS JOIN manifests m ON m.repository_id = ?1 AND m.digest = t.digest
         ORDER BY {column} {direction}, t.id"
    );
    let query = sqlx::query_as(AssertSqlSafe(sql))
        .bind(repository_id)
        .bind(name_part);
    let query = match after.map(|marker| &marker.value) {
        None => query.bind(None::<i64>),
        Some(MarkerValue::Number(number)) => query.bind(*number),
        Some(MarkerValue::Text(text)) => query.bind(text.as_str()),
    };
    let found = query
        .bind(after.map(|marker| marker.id))
        .bind(limit)
        .fetch_all(db)
        .await?;
    Ok(found)
}

/// The column that a list is ordered by, and the direction.
fn ordering(order: Option<(OrderColumn, SortOrder)>) -> (&'static str, &'static str) {
    let column = match order {
        None => "t.id",
        Some((OrderColumn::UpdatedAt, _)) => "t.updated_at",
        Some((OrderColumn::Name, _)) => "t.name",
    };
    let direction = match order {
        Some((_, SortOrder::Descending)) => "DESC",
        _ => "ASC",
    };
    (column, direction)
}

/// The names of a repository's tags that come after one, in order; `limit` at the most.
pub async fn list_names(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    after: &str,
    limit: u32,
) -> Result<Vec<String>> {
    let names = sqlx::query_scalar(
        "SELECT name FROM tags WHERE repository_id = ? AND name > ? ORDER BY name LIMIT +?",
    )
    .bind(repository_id)
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(names)
}

/// Points a tag at a manifest, which is in the repository. What that sets off is the business of
/// `push`.
pub async fn put(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    name: &TagName,
    digest: &str,
    now: Timestamp,
) -> Result<()> {
    // In one go: each one that is waited for is a hop to SQLite's thread and back.
    sqlx::query(
        "INSERT INTO tags (repository_id, name, digest, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?4)
         ON CONFLICT (repository_id, name)
             DO UPDATE SET digest = excluded.digest, updated_at = excluded.updated_at;
         UPDATE repositories SET updated_at = ?4 WHERE id = ?1",
    )
    .bind(repository_id)
    .bind(name.as_str())
    .bind(digest)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that something in a repository changed.
pub async fn touch(db: impl SqliteExecutor<'_>, repository_id: i64, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE repositories SET updated_at = ? WHERE id = ?")
        .bind(now)
        .bind(repository_id)
        .execute(db)
        .await?;
    Ok(())
}

/// The digest that a tag has now.
pub async fn find_digest(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    name: &TagName,
) -> Result<Option<String>> {
    let digest = sqlx::query_scalar("SELECT digest FROM tags WHERE repository_id = ? AND name = ?")
        .bind(repository_id)
        .bind(name.as_str())
        .fetch_optional(db)
        .await?;
    Ok(digest)
}

/// Removes a tag; its manifest stays.
#[derive(Debug)]
pub struct DeleteTag {
    /// Which repository.
    pub repository_id: i64,
    /// The tag.
    pub name: TagName,
    pub now: Timestamp,
}

impl Write for DeleteTag {
    /// Whether it was there.
    type Output = bool;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<bool> {
        let done = sqlx::query("DELETE FROM tags WHERE repository_id = ? AND name = ?")
            .bind(self.repository_id)
            .bind(self.name.as_str())
            .execute(&mut *transaction)
            .await?;
        let was_there = done.rows_affected() > 0;
        if was_there {
            touch(transaction, self.repository_id, self.now).await?;
        }
        Ok(was_there)
    }
}

/// Removes a tag, and the image with it when that was its last tag and no index lists it. Without
/// this, what a user of the management API deletes could never be freed.
#[derive(Debug)]
pub struct DeleteImage(pub DeleteTag);

impl Write for DeleteImage {
    /// Whether the tag was there.
    type Output = bool;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<bool> {
        let DeleteTag {
            repository_id,
            name,
            now,
        } = self.0;
        delete_images(transaction, repository_id, &[name.as_str()], now).await
    }
}

/// Removes tags, and with each the image when that was its last tag and no index lists it, as
/// [`DeleteImage`] would one by one, indexes before what they list. Whether any tag was there.
pub async fn delete_images(
    transaction: &mut SqliteConnection,
    repository_id: i64,
    names: &[&str],
    now: Timestamp,
) -> Result<bool> {
    account::store::snapshot_usage(&mut *transaction, repository_id, now).await?;
    let names = serde_json::to_string(names).map_err(Error::internal)?;
    let digests: Vec<String> = sqlx::query_scalar(
        "DELETE FROM tags
         WHERE repository_id = ?1 AND name IN (SELECT n.value FROM json_each(?2) n)
         RETURNING digest",
    )
    .bind(repository_id)
    .bind(names)
    .fetch_all(&mut *transaction)
    .await?;
    if digests.is_empty() {
        return Ok(false);
    }
    touch(&mut *transaction, repository_id, now).await?;
    let untagged = serde_json::to_string(&digests).map_err(Error::internal)?;
    // Again while an index went, which may have listed another of them.
    loop {
        let done = sqlx::query(
            "DELETE FROM manifests
             WHERE repository_id = ?1
               AND digest IN (SELECT d.value FROM json_each(?2) d)
               AND NOT EXISTS (
                   SELECT 1 FROM tags t
                   WHERE t.repository_id = ?1 AND t.digest = manifests.digest)
               AND NOT EXISTS (
                   SELECT 1 FROM manifest_parts p
                   WHERE p.repository_id = ?1 AND p.part = manifests.digest)",
        )
        .bind(repository_id)
        .bind(&untagged)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 || digests.len() == 1 {
            return Ok(true);
        }
    }
}
