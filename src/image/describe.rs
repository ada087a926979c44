//! Describes the manifests that a version before schema 9 stored, once, before anything is
//! served: what lists show of them stands in columns since.

use tracing::{info, warn};

use super::store::{DescribeStored, Described, MeasureStored};
use crate::db::Db;
use crate::error::Result;

/// How many manifests are described in one transaction. Each has at most 4 MiB.
const AT_ONCE: u32 = 16;

/// Describes and measures what is not yet. What one start leaves undone, the next one does.
pub async fn describe_stored(db: &Db) -> Result<()> {
    info!("Reading the manifests that an earlier version stored");
    let mut after = 0;
    loop {
        let most = AT_ONCE;
        let Described { last, unreadable } = db.write(DescribeStored { after, most }).await?;
        for digest in unreadable {
            warn!(
                digest,
                "Could not read the manifest {digest}; lists show only part of its data"
            );
        }
        match last {
            Some(last) => after = last,
            None => break,
        }
    }
    // All of them list their parts by now: what an index takes is known.
    while db.write(MeasureStored { most: AT_ONCE }).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::SqliteConnection;

    use super::*;
    use crate::clock::Clock;
    use crate::db::Write;
    use crate::db::testing::TestDb;
    use crate::image::store::{LinkUploaded, PutManifest, PutOutcome, has_undescribed};
    use crate::image::{Digest, Manifest};

    /// Takes away what schema 9 added.
    struct Forget;

    impl Write for Forget {
        type Output = ();

        async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
            for statement in [
                "UPDATE manifests SET size = NULL, artifact_type = '', annotations = NULL",
                "DELETE FROM manifest_parts",
            ] {
                sqlx::query(statement).execute(&mut *transaction).await?;
            }
            Ok(())
        }
    }

    async fn put(test: &TestDb, content: serde_json::Value) -> serde_json::Value {
        let content = content.to_string().into_bytes();
        let digest = Digest::of(&content);
        let descriptor = json!({"digest": digest.as_str(), "size": content.len()});
        let write = PutManifest {
            repository_id: 1,
            manifest: Manifest::parse(&content, None).expect("a manifest"),
            digest,
            content,
            tag: None,
            pushed_by: crate::push::PushedBy::user("u"),
            now: Clock::default().now(),
        };
        let outcome = test.db.write(write).await.expect("decided");
        assert_eq!(outcome, PutOutcome::Stored);
        descriptor
    }

    async fn columns(test: &TestDb) -> String {
        sqlx::query_scalar(
            "SELECT json_group_array(json_array(digest, size, artifact_type, annotations,
                 (SELECT json_group_array(part) FROM manifest_parts p WHERE p.manifest = digest)))
             FROM manifests",
        )
        .fetch_one(test.db.lookups())
        .await
        .expect("read")
    }

    #[tokio::test]
    async fn what_one_start_leaves_undone_the_next_one_does() {
        let test = TestDb::seeded("organizations: [{name: g, repositories: [{name: a}]}]").await;
        let config = Digest::of(b"{}");
        let write = LinkUploaded {
            repository_id: 1,
            digest: config.clone(),
            file: "f".to_owned(),
            size: 2,
            now: 0,
        };
        test.db.write(write).await.expect("linked");
        let config = json!({"mediaType": "c/c", "digest": config.as_str(), "size": 2});
        let mut last = Vec::new();
        for at in 0..20 {
            let annotations = json!({"at": at.to_string()});
            let image = json!({"schemaVersion": 2, "config": config, "layers": [],
                               "annotations": annotations});
            let image = put(&test, image).await;
            last.push(image);
            last.push(put(&test, json!({"schemaVersion": 2, "manifests": last})).await);
        }
        let expected = columns(&test).await;

        // As if killed after this many manifests, described or measured.
        for (described, measured) in [(0, 0), (1, 0), (20, 0), (40, 0), (40, 1), (40, 39)] {
            test.db.write(Forget).await.expect("forgotten");
            assert_ne!(columns(&test).await, expected);
            let (after, most) = (0, described);
            test.db
                .write(DescribeStored { after, most })
                .await
                .expect("done");
            test.db
                .write(MeasureStored { most: measured })
                .await
                .expect("done");

            describe_stored(&test.db).await.expect("described");

            assert_eq!(columns(&test).await, expected, "{described} {measured}");
            assert!(!has_undescribed(test.db.lookups()).await.expect("read"));
        }
    }
}
