//! The SQL that gives one repository an image of another. The files of blobs are shared: only
//! links, manifests and what these name are copied. Tags are not.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::store::WITH_PARTS;
use crate::clock::Timestamp;
use crate::error::Result;

/// Copies an image from one repository to another, as it is in the source at this moment.
pub async fn copy_image(
    transaction: &mut SqliteConnection,
    source_id: i64,
    target_id: i64,
    digest: &str,
    now: Timestamp,
) -> Result<()> {
    let mut copy = async |statement: String| {
        sqlx::query(AssertSqlSafe(statement))
            .bind(source_id)
            .bind(digest)
            .bind(target_id)
            .bind(now)
            .execute(&mut *transaction)
            .await
    };
    // Foreign layers have no blob, and so no link.
    copy(format!(
        "{WITH_PARTS}
         INSERT INTO repository_blobs (repository_id, digest, leased_until)
         SELECT ?3, l.digest, l.leased_until
         FROM parts
         CROSS JOIN manifest_blobs b ON b.repository_id = ?1 AND b.manifest = parts.digest
         CROSS JOIN repository_blobs l ON l.repository_id = ?1 AND l.digest = b.digest
         WHERE TRUE ON CONFLICT DO NOTHING"
    ))
    .await?;
    copy(format!(
        "{WITH_PARTS}
         INSERT INTO manifests (repository_id, digest, media_type, config, subject, created_at,
                                content_size, size, artifact_type, annotations)
         SELECT ?3, m.digest, m.media_type, m.config, m.subject, ?4, m.content_size, m.size,
                m.artifact_type, m.annotations
         FROM parts
         CROSS JOIN manifests m ON m.repository_id = ?1 AND m.digest = parts.digest
         WHERE TRUE ON CONFLICT DO NOTHING"
    ))
    .await?;
    copy(format!(
        "{WITH_PARTS}
         INSERT INTO manifest_contents (repository_id, digest, content)
         SELECT ?3, c.digest, c.content
         FROM parts
         CROSS JOIN manifest_contents c ON c.repository_id = ?1 AND c.digest = parts.digest
         WHERE TRUE ON CONFLICT DO NOTHING"
    ))
    .await?;
    copy(format!(
        "{WITH_PARTS}
         INSERT INTO manifest_blobs (repository_id, manifest, digest)
         SELECT ?3, b.manifest, b.digest
         FROM parts
         CROSS JOIN manifest_blobs b ON b.repository_id = ?1 AND b.manifest = parts.digest
         WHERE TRUE ON CONFLICT DO NOTHING"
    ))
    .await?;
    copy(format!(
        "{WITH_PARTS}
         INSERT INTO manifest_parts (repository_id, manifest, part)
         SELECT ?3, p.manifest, p.part
         FROM parts
         CROSS JOIN manifest_parts p ON p.repository_id = ?1 AND p.manifest = parts.digest
         WHERE TRUE ON CONFLICT DO NOTHING"
    ))
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Clock;
    use crate::db::Write;
    use crate::db::testing::TestDb;
    use crate::image::store::{
        CollectGarbage, DeleteManifest, LinkUploaded, PutManifest, PutOutcome, find_blob,
        find_manifest,
    };
    use crate::image::{Digest, Manifest, Reference};

    struct Copy(i64, i64, Digest);

    impl Write for Copy {
        type Output = ();

        async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
            let now = Clock::default().now();
            copy_image(transaction, self.0, self.1, self.2.as_str(), now).await
        }
    }

    fn descriptor(content: &[u8]) -> Value {
        json!({"digest": Digest::of(content).as_str(), "size": content.len()})
    }

    async fn put(test: &TestDb, repository_id: i64, content: &Value) -> Vec<u8> {
        let content = content.to_string().into_bytes();
        let write = PutManifest {
            repository_id,
            manifest: Manifest::parse(&content, None).expect("a manifest"),
            digest: Digest::of(&content),
            content: content.clone(),
            tag: None,
            pushed_by: crate::push::PushedBy::user("u"),
            now: Clock::default().now(),
        };
        let outcome = test.db.write(write).await.expect("decided");
        assert_eq!(outcome, PutOutcome::Stored);
        content
    }

    #[tokio::test]
    async fn a_copy_holds_all_that_the_image_names_and_outlives_the_original() {
        let test =
            TestDb::seeded("organizations: [{name: g, repositories: [{name: a}, {name: b}]}]")
                .await;
        let db = test.db.readers();
        let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM repositories ORDER BY id")
            .fetch_all(db)
            .await
            .expect("read");
        for content in ["config", "layer", "unrelated"] {
            let write = LinkUploaded {
                repository_id: ids[0],
                digest: Digest::of(content.as_bytes()),
                file: content.to_owned(),
                size: content.len() as u64,
                now: 0,
            };
            test.db.write(write).await.expect("linked");
        }
        let mut foreign = descriptor(b"far away");
        foreign["urls"] = json!(["http://elsewhere.test/layer"]);
        let image = json!({"schemaVersion": 2, "config": descriptor(b"config"),
                           "layers": [descriptor(b"layer"), foreign]});
        let image = put(&test, ids[0], &image).await;
        let index =
            |content: &[u8]| json!({"schemaVersion": 2, "manifests": [descriptor(content)]});
        let inner = put(&test, ids[0], &index(&image)).await;
        let outer = put(&test, ids[0], &index(&inner)).await;
        put(&test, ids[0], &index(&outer)).await;

        // The second one finds everything there.
        for _ in 0..2 {
            let copy = Copy(ids[0], ids[1], Digest::of(&outer));
            test.db.write(copy).await.expect("copied");
        }
        let manifests: i64 =
            sqlx::query_scalar("SELECT count(*) FROM manifests WHERE repository_id = ?")
                .bind(ids[1])
                .fetch_one(db)
                .await
                .expect("a number");
        assert_eq!(manifests, 3);
        for content in [&image, &inner, &outer] {
            let reference = Reference::Digest(Digest::of(content));
            let found = find_manifest(db, ids[1], &reference).await.expect("read");
            assert_eq!(found.map(|found| found.content).as_ref(), Some(content));
            let delete = DeleteManifest {
                repository_id: ids[0],
                digest: Digest::of(content),
                now: Clock::default().now(),
            };
            assert!(test.db.write(delete).await.expect("deleted"));
        }
        let collect = CollectGarbage {
            now: i64::MAX,
            after: None,
            most: 10,
        };
        let unused = test.db.write(collect).await.expect("collected");
        assert_eq!(unused.files, ["unrelated"]);
        for content in ["config", "layer"] {
            let digest = Digest::of(content.as_bytes());
            let found = find_blob(db, ids[1], &digest).await.expect("read");
            assert_eq!(found.map(|found| found.file).as_deref(), Some(content));
        }
    }
}
