//! The SQL that gives one repository an image of another. The files of blobs are shared: only
//! links, manifests and what these name are copied. Tags are not.

use sqlx::SqliteConnection;

use crate::clock::Moment;
use crate::error::Result;

/// The digests of an image's manifests: itself, and where it is an index all that it lists, at
/// any depth. `?1` is the repository, `?2` the image.
macro_rules! with_parts {
    ($statement:literal) => {
        concat!(
            "WITH RECURSIVE parts (digest) AS (
                 SELECT ?2
                 UNION
                 SELECT child.value->>'digest'
                 FROM parts JOIN manifests m
                     ON m.repository_id = ?1 AND m.digest = parts.digest,
                     json_each(CAST(m.content AS TEXT), '$.manifests') child
             ) ",
            $statement
        )
    };
}

/// Copies an image from one repository to another, as it is in the source at this moment.
pub async fn copy_image(
    transaction: &mut SqliteConnection,
    source_id: i64,
    target_id: i64,
    digest: &str,
    now: Moment,
) -> Result<()> {
    // Foreign layers have no blob, and so no link.
    sqlx::query(with_parts!(
        "INSERT INTO repository_blobs (repository_id, digest, leased_until)
         SELECT ?3, l.digest, l.leased_until
         FROM repository_blobs l
         WHERE l.repository_id = ?1 AND l.digest IN (
             SELECT b.digest FROM manifest_blobs b
             WHERE b.repository_id = ?1 AND b.manifest IN (SELECT digest FROM parts))
         ON CONFLICT DO NOTHING"
    ))
    .bind(source_id)
    .bind(digest)
    .bind(target_id)
    .execute(&mut *transaction)
    .await?;
    sqlx::query(with_parts!(
        "INSERT INTO manifests (repository_id, digest, media_type, content, config, subject,
                                created_at)
         SELECT ?3, digest, media_type, content, config, subject, ?4
         FROM manifests
         WHERE repository_id = ?1 AND digest IN (SELECT digest FROM parts)
         ON CONFLICT DO NOTHING"
    ))
    .bind(source_id)
    .bind(digest)
    .bind(target_id)
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    sqlx::query(with_parts!(
        "INSERT INTO manifest_blobs (repository_id, manifest, digest)
         SELECT ?3, manifest, digest
         FROM manifest_blobs
         WHERE repository_id = ?1 AND manifest IN (SELECT digest FROM parts)
         ON CONFLICT DO NOTHING"
    ))
    .bind(source_id)
    .bind(digest)
    .bind(target_id)
    .execute(transaction)
    .await?;
    Ok(())
}
