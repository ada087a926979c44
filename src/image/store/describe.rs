//! The SQL that describes the manifests which a version before schema 9 stored.

use sqlx::{SqliteConnection, SqliteExecutor};

use super::super::Manifest;
use super::parts::{insert_parts, measure};
use crate::db::Write;
use crate::error::Result;

/// Describes some of the manifests that a version before this schema stored: which manifests they
/// list, and what they say of themselves. See [`MeasureStored`] for what comes after.
#[derive(Debug)]
pub struct DescribeStored {
    /// Those after this number.
    pub after: i64,
    /// The most manifests to describe at once.
    pub most: u32,
}

/// What became of [`DescribeStored`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// The number of the last one; none when there was none left.
    pub last: Option<i64>,
    /// The digests of those that nobody can read.
    pub unreadable: Vec<String>,
}

impl Write for DescribeStored {
    type Output = Described;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Described> {
        let found: Vec<(i64, i64, String, String, Vec<u8>)> = sqlx::query_as(
            "SELECT m.rowid, m.repository_id, m.digest, m.media_type, c.content
             FROM (SELECT rowid AS id FROM manifests WHERE size IS NULL AND rowid > ?1
                   ORDER BY rowid LIMIT +?2) page
             CROSS JOIN manifests m ON m.rowid = page.id
             CROSS JOIN manifest_contents c
                 ON c.repository_id = m.repository_id AND c.digest = m.digest
             ORDER BY page.id",
        )
        .bind(self.after)
        .bind(self.most)
        .fetch_all(&mut *transaction)
        .await?;
        let mut described = Described::default();
        for (id, repository_id, digest, media_type, content) in found {
            described.last = Some(id);
            let Ok(manifest) = Manifest::parse(&content, Some(&media_type)) else {
                described.unreadable.push(digest);
                continue;
            };
            insert_parts(&mut *transaction, repository_id, &digest, &manifest.parts).await?;
            sqlx::query("UPDATE manifests SET artifact_type = ?, annotations = ? WHERE rowid = ?")
                .bind(&manifest.description.artifact_type)
                .bind(&manifest.description.annotations)
                .bind(id)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(described)
    }
}

/// Stores the sizes of some of the images whose manifests [`DescribeStored`] has described.
#[derive(Debug)]
pub struct MeasureStored {
    /// The most images to measure at once.
    pub most: u32,
}

impl Write for MeasureStored {
    /// How many there were.
    type Output = usize;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<usize> {
        let found: Vec<(i64, String)> = sqlx::query_as(
            "SELECT repository_id, digest FROM manifests WHERE size IS NULL LIMIT +?",
        )
        .bind(self.most)
        .fetch_all(&mut *transaction)
        .await?;
        for (repository_id, digest) in &found {
            measure(&mut *transaction, *repository_id, digest).await?;
        }
        Ok(found.len())
    }
}

/// Whether a version before this schema stored manifests that are not described and measured yet.
pub async fn has_undescribed(db: impl SqliteExecutor<'_>) -> Result<bool> {
    let has = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM manifests WHERE size IS NULL)")
        .fetch_one(db)
        .await?;
    Ok(has)
}
