//! The SQL that stores a manifest, and with it the tag that it is pushed under.

use sqlx::SqliteConnection;

use super::super::{Digest, Manifest};
use super::json;
use super::parts::{insert_parts, measure};
use crate::clock::Timestamp;
use crate::db::{BatchWrite, Touched};
use crate::engine::Verdicts;
use crate::error::{Error, Resource, Result};
use crate::push::{self, PushedBy, PutTag};
use crate::repository;
use crate::tag::TagName;

/// Stores a manifest whose parts are all there, and the tag it is pushed under.
#[derive(Debug)]
pub struct PutManifest {
    /// Which repository.
    pub repository_id: i64,
    /// What the manifest names.
    pub manifest: Manifest,
    pub digest: Digest,
    /// Its bytes.
    pub content: Vec<u8>,
    /// The tag, unless it is pushed by digest, and what is known of it and the expressions of
    /// triggers.
    pub tag: Option<(TagName, Verdicts)>,
    /// The name of the user who pushes.
    pub pushed_by: PushedBy,
    pub now: Timestamp,
}

/// What became of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    Stored,
    /// It names this, which is not in the repository; nothing was stored.
    Missing(Digest),
}

impl BatchWrite for PutManifest {
    type Output = PutOutcome;
    const WAKES_WORKERS: bool = true;

    /// What it sets off is shown nowhere before it has happened.
    fn touches(&self) -> Touched {
        repository::store::touched(self.repository_id)
    }

    async fn run(
        group: Vec<Self>,
        transaction: &mut SqliteConnection,
    ) -> Result<Vec<Result<PutOutcome>>> {
        let mut results = Vec::with_capacity(group.len());
        for write in group {
            // What is refused has written nothing: there is nothing of it to undo.
            results.push(match write.find_parts(&mut *transaction).await? {
                Parts::Here { blob_bytes } => {
                    write.put(&mut *transaction, blob_bytes).await?;
                    Ok(PutOutcome::Stored)
                }
                Parts::Missing(digest) => Ok(PutOutcome::Missing(digest)),
                Parts::NoRepository => Err(Error::NotFound(Resource::Repository)),
            });
        }
        Ok(results)
    }
}

impl PutManifest {
    /// Looks for all that the manifest names, blobs first, in its order.
    async fn find_parts(&self, transaction: &mut SqliteConnection) -> Result<Parts> {
        let Manifest {
            blobs, manifests, ..
        } = &self.manifest;
        // One statement for all of them: each statement is a hop to SQLite's thread and back.
        let (exists, blob_bytes, missing): (bool, i64, Option<i64>) = sqlx::query_as(
            "SELECT EXISTS (SELECT 1 FROM repositories WHERE id = ?1),
                    coalesce(sum(b.size), 0), min(CASE WHEN b.size IS NULL THEN d.key END)
             FROM json_each(?2) d
             LEFT JOIN repository_blobs l ON l.repository_id = ?1 AND l.digest = d.value
             LEFT JOIN blobs b ON b.digest = l.digest AND NOT b.is_damaged",
        )
        .bind(self.repository_id)
        .bind(json(blobs)?)
        .fetch_one(&mut *transaction)
        .await?;
        if !exists {
            return Ok(Parts::NoRepository);
        }
        if let Some(at) = missing {
            return Parts::missing(blobs, at);
        }
        if !manifests.is_empty() {
            let missing: Option<i64> = sqlx::query_scalar(
                "SELECT d.key FROM json_each(?2) d
                 WHERE NOT EXISTS (SELECT 1 FROM manifests m
                                   WHERE m.repository_id = ?1 AND m.digest = d.value)
                 LIMIT 1",
            )
            .bind(self.repository_id)
            .bind(json(manifests)?)
            .fetch_optional(transaction)
            .await?;
            if let Some(at) = missing {
                return Parts::missing(manifests, at);
            }
        }
        Ok(Parts::Here { blob_bytes })
    }

    async fn put(self, transaction: &mut SqliteConnection, blob_bytes: i64) -> Result<()> {
        self.insert(&mut *transaction, blob_bytes).await?;
        let Some((name, verdicts)) = self.tag else {
            return Ok(());
        };
        let tag = PutTag {
            repository_id: self.repository_id,
            name,
            digest: self.digest.to_string(),
            pushed_by: self.pushed_by,
            verdicts,
            now: self.now,
        };
        push::put(transaction, tag).await
    }

    async fn insert(&self, transaction: &mut SqliteConnection, blob_bytes: i64) -> Result<()> {
        let content_size = i64::try_from(self.content.len()).map_err(Error::internal)?;
        // What an index takes, and a foreign layer that is here all the same, has to be looked up.
        let is_plain = self.manifest.parts.is_empty() && self.manifest.foreign.is_empty();
        let size = is_plain.then_some(content_size + blob_bytes);
        let config = self.manifest.config.as_ref().map_or("", Digest::as_str);
        let description = &self.manifest.description;
        let inserted: Option<i64> = sqlx::query_scalar(
            "INSERT INTO manifests (repository_id, digest, media_type, config, subject,
                                    created_at, content_size, size, artifact_type, annotations)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (repository_id, digest) DO NOTHING RETURNING rowid",
        )
        .bind(self.repository_id)
        .bind(self.digest.as_str())
        .bind(self.manifest.media_type.as_str())
        .bind(config)
        .bind(self.manifest.subject.as_ref().map(Digest::as_str))
        .bind(self.now)
        .bind(content_size)
        .bind(size)
        .bind(&description.artifact_type)
        .bind(&description.annotations)
        .fetch_optional(&mut *transaction)
        .await?;
        if inserted.is_none() {
            // The same bytes are there: only what they were sent as can be another thing.
            sqlx::query(
                "UPDATE manifests SET media_type = ?3 WHERE repository_id = ?1 AND digest = ?2",
            )
            .bind(self.repository_id)
            .bind(self.digest.as_str())
            .bind(self.manifest.media_type.as_str())
            .execute(transaction)
            .await?;
            return Ok(());
        }
        let blobs: Vec<_> = [&self.manifest.blobs[..], &self.manifest.foreign].concat();
        // In one go, as above.
        sqlx::query(
            "INSERT INTO manifest_contents (repository_id, digest, content) VALUES (?1, ?2, ?3);
             INSERT INTO manifest_blobs (repository_id, manifest, digest)
             SELECT ?1, ?2, d.value FROM json_each(?4) d WHERE TRUE ON CONFLICT DO NOTHING",
        )
        .bind(self.repository_id)
        .bind(self.digest.as_str())
        .bind(&self.content)
        .bind(json(&blobs)?)
        .execute(&mut *transaction)
        .await?;
        if is_plain {
            return Ok(());
        }
        let (id, digest) = (self.repository_id, self.digest.as_str());
        insert_parts(&mut *transaction, id, digest, &self.manifest.parts).await?;
        measure(transaction, id, digest).await
    }
}

/// What a repository has of all that a manifest names.
enum Parts {
    /// All of it; its blobs have so many bytes.
    Here { blob_bytes: i64 },
    /// Not this, and nothing is known of what comes after.
    Missing(Digest),
    /// Nothing: it is gone.
    NoRepository,
}

impl Parts {
    fn missing(digests: &[Digest], at: i64) -> Result<Self> {
        let at = usize::try_from(at).map_err(Error::internal)?;
        let digest = digests.get(at);
        let digest = digest.ok_or_else(|| Error::internal("a part without a place"))?;
        Ok(Self::Missing(digest.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Reference;
    use super::super::testing::{manifest, seeded, uploaded};
    use super::super::{MarkBlobs, find_manifest, list_blob_files};
    use super::*;
    use crate::db::Write;

    #[tokio::test]
    async fn of_the_parts_that_are_missing_the_first_one_is_told() {
        let (test, a, b) = seeded().await;
        for (content, file) in [("x", "f1"), ("yy", "f2"), ("damaged", "f3")] {
            let linked = test.db.write(uploaded(a, content, file)).await;
            linked.expect("linked");
        }
        let elsewhere = test.db.write(uploaded(b, "elsewhere", "f4")).await;
        elsewhere.expect("linked");
        let mut files = list_blob_files(test.db.readers(), "", 10)
            .await
            .expect("read");
        files.retain(|blob| blob.file == "f3");
        files[0].is_damaged = true;
        test.db.write(MarkBlobs(files)).await.expect("marked");
        let put = async |blobs: &[&str], manifests: &[&str]| {
            let mut write = manifest(a, blobs, None);
            let digests = manifests.iter().map(|part| Digest::of(part.as_bytes()));
            write.manifest.manifests = digests.collect();
            test.db.write(write).await.expect("decided")
        };
        for (blobs, manifests, missing) in [
            (&["x", "none", "damaged"][..], &["m"][..], "none"),
            (&["x", "damaged", "none"], &[], "damaged"),
            (&["elsewhere", "x", "none"], &[], "elsewhere"),
            (&["x", "yy"], &["m", "n"], "m"),
            (&[], &["n", "m"], "n"),
        ] {
            let expected = PutOutcome::Missing(Digest::of(missing.as_bytes()));
            assert_eq!(put(blobs, manifests).await, expected, "{blobs:?}");
        }
        assert_eq!(put(&["yy", "x"], &[]).await, PutOutcome::Stored);
        let blob_bytes: i64 = sqlx::query_scalar("SELECT size - content_size FROM manifests")
            .fetch_one(test.db.readers())
            .await
            .expect("one is stored");
        assert_eq!(blob_bytes, 3);
    }

    /// Manifests that come together.
    struct Together(Vec<PutManifest>);

    impl Write for Together {
        type Output = Vec<Result<PutOutcome>>;

        async fn run(self, transaction: &mut SqliteConnection) -> Result<Self::Output> {
            BatchWrite::run(self.0, transaction).await
        }
    }

    #[tokio::test]
    async fn of_manifests_that_come_together_each_has_its_own_fate() {
        let (test, a, b) = seeded().await;
        test.db.write(uploaded(a, "x", "f1")).await.expect("linked");
        let index = || {
            let mut index = manifest(a, &[], Some("index"));
            index.manifest.manifests = vec![manifest(a, &["x"], None).digest];
            index
        };
        let group = vec![
            index(),
            manifest(a, &["x"], Some("v1")),
            manifest(b, &["x"], Some("v1")),
            manifest(b + 1, &["x"], Some("v1")),
            index(),
        ];
        let results = test.db.write(Together(group)).await.expect("decided");
        let missing = |digest| Some(PutOutcome::Missing(digest));
        let outcomes: Vec<_> = results.iter().map(|one| one.clone().ok()).collect();
        let part = manifest(a, &["x"], None).digest;
        let expected = [
            missing(part),
            Some(PutOutcome::Stored),
            missing(Digest::of(b"x")),
            None,
            Some(PutOutcome::Stored),
        ];
        assert_eq!(outcomes, expected);
        assert!(matches!(
            results[3],
            Err(Error::NotFound(Resource::Repository))
        ));
        let tags: Vec<String> = sqlx::query_scalar("SELECT name FROM tags ORDER BY id")
            .fetch_all(test.db.readers())
            .await
            .expect("read");
        assert_eq!(tags, ["v1", "index"]);
    }

    #[tokio::test]
    async fn a_manifest_is_stored_only_when_its_parts_are_there() {
        let (test, a, b) = seeded().await;
        test.db.write(uploaded(a, "x", "f1")).await.expect("linked");
        let put = async |write| test.db.write(write).await.expect("decided");
        assert_eq!(
            put(manifest(a, &["x"], Some("v1"))).await,
            PutOutcome::Stored
        );
        let missing = PutOutcome::Missing(Digest::of(b"y"));
        assert_eq!(put(manifest(a, &["x", "y"], Some("v1"))).await, missing);
        let elsewhere = PutOutcome::Missing(Digest::of(b"x"));
        assert_eq!(put(manifest(b, &["x"], None)).await, elsewhere);
        let tag = Reference::Tag(TagName::parse("v1").expect("a tag"));
        let found = find_manifest(test.db.readers(), a, &tag)
            .await
            .expect("read");
        assert_eq!(
            found.expect("there").digest,
            manifest(a, &["x"], None).digest.as_str()
        );
    }
}
