//! The SQL of blobs and manifests.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, SqliteConnection, SqliteExecutor};

use super::manifest::Manifest;
use super::reference::{Digest, Reference};
use crate::account::{self, DayBytes};
use crate::clock::{Day, Moment};
use crate::db::{Readers, SingleWrite};
use crate::engine::Judgement;
use crate::error::{Error, Resource, Result};
use crate::push::{self, PutTag};
use crate::repository::store::exists as repository_exists;
use crate::tag::{self, TagName};

/// How long, in seconds, a link is kept that no manifest uses, from the last time that a client
/// asked for the blob, mounted or uploaded it; and how much of it may be gone before asking
/// extends it.
const LEASE: i64 = 2 * 3600;
const LEASE_AT_LEAST: i64 = 3600;

/// The key that signs tokens.
pub async fn signing_key(db: impl SqliteExecutor<'_>) -> Result<Vec<u8>> {
    Ok(sqlx::query_scalar("SELECT key FROM signing_key")
        .fetch_one(db)
        .await?)
}

/// How the names of the files begin that belong to this database.
pub async fn file_prefix(db: impl SqliteExecutor<'_>) -> Result<String> {
    Ok(sqlx::query_scalar("SELECT prefix FROM blob_files")
        .fetch_one(db)
        .await?)
}

/// Makes a new key: what the old one signed holds no longer.
#[derive(Debug)]
pub struct RenewSigningKey;

impl SingleWrite for RenewSigningKey {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        renew_signing_key(transaction).await
    }
}

/// As [`RenewSigningKey`].
pub async fn renew_signing_key(db: impl SqliteExecutor<'_>) -> Result<()> {
    sqlx::query("UPDATE signing_key SET key = randomblob(32)")
        .execute(db)
        .await?;
    Ok(())
}

/// A blob, as one repository sees it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Blob {
    /// The file that holds it.
    pub file: String,
    /// How many bytes it has.
    pub size: i64,
    leased_until: i64,
}

impl Blob {
    /// Whether its lease has to be extended for a client that was told it is there.
    pub fn needs_lease(&self, now: i64) -> bool {
        self.leased_until < now + LEASE_AT_LEAST
    }
}

/// The blob with this digest, if the repository is linked to it and it is not known to be damaged.
pub async fn find_blob(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    digest: &Digest,
) -> Result<Option<Blob>> {
    let found = sqlx::query_as(
        "SELECT b.file, b.size, l.leased_until
         FROM repository_blobs l JOIN blobs b ON b.digest = l.digest
         WHERE l.repository_id = ? AND l.digest = ? AND NOT b.is_damaged",
    )
    .bind(repository_id)
    .bind(digest.as_str())
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// The file of the blob with this digest, whoever is linked to it.
pub async fn find_file(db: impl SqliteExecutor<'_>, digest: &Digest) -> Result<Option<String>> {
    Ok(
        sqlx::query_scalar("SELECT file FROM blobs WHERE digest = ?")
            .bind(digest.as_str())
            .fetch_optional(db)
            .await?,
    )
}

/// Links a repository to a blob that was uploaded, whose file becomes the blob's for all: it was
/// hashed and synced a moment ago, which is not known of the one before.
#[derive(Debug)]
pub struct LinkUploaded {
    /// Which repository.
    pub repository_id: i64,
    /// The blob.
    pub digest: Digest,
    /// The file that was made for it.
    pub file: String,
    /// How many bytes it has.
    pub size: u64,
    /// Real time, in seconds since 1970.
    pub now: i64,
}

impl SingleWrite for LinkUploaded {
    /// The file that was the blob's before. No row names it any more.
    type Output = Option<String>;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Option<String>> {
        let replaced = find_file(&mut *transaction, &self.digest).await?;
        sqlx::query(
            "INSERT INTO blobs (digest, file, size) VALUES (?, ?, ?)
             ON CONFLICT (digest) DO UPDATE
             SET file = excluded.file, size = excluded.size, is_damaged = 0",
        )
        .bind(self.digest.as_str())
        .bind(&self.file)
        .bind(i64::try_from(self.size).map_err(Error::internal)?)
        .execute(&mut *transaction)
        .await?;
        link(transaction, self.repository_id, &self.digest, self.now).await?;
        Ok(replaced)
    }
}

/// Links a repository to a blob that another one is linked to, or extends its own lease.
#[derive(Debug)]
pub struct LinkFrom {
    /// The repository that the caller may pull from.
    pub source_id: i64,
    /// The repository that is to be linked.
    pub repository_id: i64,
    /// The blob.
    pub digest: Digest,
    /// Real time, in seconds since 1970.
    pub now: i64,
}

impl SingleWrite for LinkFrom {
    /// Whether the source was linked to it.
    type Output = bool;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<bool> {
        if find_blob(&mut *transaction, self.source_id, &self.digest)
            .await?
            .is_none()
        {
            return Ok(false);
        }
        link(transaction, self.repository_id, &self.digest, self.now).await?;
        Ok(true)
    }
}

async fn link(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    digest: &Digest,
    now: i64,
) -> Result<()> {
    let linked = sqlx::query(
        "INSERT INTO repository_blobs (repository_id, digest, leased_until) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET leased_until = max(leased_until, excluded.leased_until)",
    )
    .bind(repository_id)
    .bind(digest.as_str())
    .bind(now + LEASE)
    .execute(db)
    .await;
    match linked {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            Err(Error::NotFound(Resource::Repository))
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes a blob out of a repository.
#[derive(Debug)]
pub struct UnlinkBlob {
    /// Which repository.
    pub repository_id: i64,
    /// The blob.
    pub digest: Digest,
}

impl SingleWrite for UnlinkBlob {
    /// Whether it was linked.
    type Output = bool;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<bool> {
        let done =
            sqlx::query("DELETE FROM repository_blobs WHERE repository_id = ? AND digest = ?")
                .bind(self.repository_id)
                .bind(self.digest.as_str())
                .execute(transaction)
                .await?;
        Ok(done.rows_affected() > 0)
    }
}

/// Removes what nothing uses: links whose lease is over and that no manifest in their repository
/// needs, then blobs without links, some in each step. Both are decided here, inside the write.
#[derive(Debug)]
pub struct CollectGarbage {
    /// Real time, in seconds since 1970.
    pub now: i64,
    /// The digest that the last step came to; none in the first one, which removes the links.
    pub after: Option<String>,
    /// The most blobs to remove at once.
    pub most: u32,
}

/// What a step removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// The files that no row names any more.
    pub files: Vec<String>,
    /// Where the next step goes on; none where this was the last one.
    pub after: Option<String>,
}

impl SingleWrite for CollectGarbage {
    type Output = Collected;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Collected> {
        if self.after.is_none() {
            sqlx::query(
                "DELETE FROM repository_blobs
                 WHERE leased_until < ?1 AND NOT EXISTS (
                     SELECT 1 FROM manifest_blobs m
                     WHERE m.repository_id = repository_blobs.repository_id
                       AND m.digest = repository_blobs.digest)",
            )
            .bind(self.now)
            .execute(&mut *transaction)
            .await?;
        }
        let removed: Vec<(String, String)> = sqlx::query_as(
            "DELETE FROM blobs WHERE digest IN (
                 SELECT digest FROM blobs b
                 WHERE digest > ? AND NOT EXISTS (
                     SELECT 1 FROM repository_blobs l WHERE l.digest = b.digest)
                 ORDER BY digest LIMIT ?)
             RETURNING file, digest",
        )
        .bind(self.after.unwrap_or_default())
        .bind(self.most)
        .fetch_all(transaction)
        .await?;
        let is_last = removed.len() < self.most as usize;
        let (files, digests): (Vec<_>, Vec<_>) = removed.into_iter().unzip();
        Ok(Collected {
            files,
            after: digests.into_iter().max().filter(|_| !is_last),
        })
    }
}

/// A blob and its file, whoever is linked to it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct BlobFile {
    /// The blob.
    pub digest: String,
    /// The file that holds it.
    pub file: String,
    /// How many bytes it has.
    pub size: i64,
    /// Whether the file was not whole when it was last looked at.
    pub is_damaged: bool,
}

/// The blobs whose digests come after one, `most` at once.
pub async fn list_blob_files(
    db: impl SqliteExecutor<'_>,
    after: &str,
    most: usize,
) -> Result<Vec<BlobFile>> {
    let found = sqlx::query_as(
        "SELECT digest, file, size, is_damaged FROM blobs WHERE digest > ? ORDER BY digest LIMIT ?",
    )
    .bind(after)
    .bind(i64::try_from(most).map_err(Error::internal)?)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// Notes for blobs whether their files are whole.
#[derive(Debug)]
pub struct MarkBlobs(pub Vec<BlobFile>);

impl SingleWrite for MarkBlobs {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        for blob in self.0 {
            // A push may have brought another file since.
            sqlx::query("UPDATE blobs SET is_damaged = ? WHERE digest = ? AND file = ?")
                .bind(blob.is_damaged)
                .bind(blob.digest)
                .bind(blob.file)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(())
    }
}

/// Of some files those that no row names.
pub async fn list_unnamed(db: impl SqliteExecutor<'_>, files: &[String]) -> Result<Vec<String>> {
    let files = serde_json::to_string(files).map_err(Error::internal)?;
    let unnamed = sqlx::query_scalar(
        "SELECT value FROM json_each(?)
         WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE file = value)",
    )
    .bind(files)
    .fetch_all(db)
    .await?;
    Ok(unnamed)
}

/// Decides which files can go. A commit that failed can still come back from the log after a
/// crash, with the name of its file, until the next one that changes something takes its place:
/// so this is one that does, and what it does not see never comes back.
#[derive(Debug)]
pub struct SweepFiles(pub Vec<String>);

impl SingleWrite for SweepFiles {
    /// Those that no row names.
    type Output = Vec<String>;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Vec<String>> {
        sqlx::query("UPDATE blob_files SET sweeps = sweeps + 1")
            .execute(&mut *transaction)
            .await?;
        list_unnamed(transaction, &self.0).await
    }
}

/// A manifest as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredManifest {
    /// Its digest.
    pub digest: String,
    /// What it was sent as.
    pub media_type: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// The manifest with this tag or digest.
pub async fn find_manifest(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    reference: &Reference,
) -> Result<Option<StoredManifest>> {
    let query = match reference {
        Reference::Digest(digest) => sqlx::query_as(
            "SELECT m.digest, m.media_type, c.content FROM manifests m
             JOIN manifest_contents c ON c.repository_id = m.repository_id AND c.digest = m.digest
             WHERE m.repository_id = ? AND m.digest = ?",
        )
        .bind(repository_id)
        .bind(digest.as_str()),
        Reference::Tag(tag) => sqlx::query_as(
            "SELECT m.digest, m.media_type, c.content FROM tags t
             JOIN manifests m ON m.repository_id = t.repository_id AND m.digest = t.digest
             JOIN manifest_contents c ON c.repository_id = m.repository_id AND c.digest = m.digest
             WHERE t.repository_id = ? AND t.name = ?",
        )
        .bind(repository_id)
        .bind(tag.as_str()),
    };
    Ok(query.fetch_optional(db).await?)
}

/// The bytes of some manifests of a repository, by digest; those that went away are left out.
pub async fn list_contents(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    digests: &[&str],
) -> Result<HashMap<String, Vec<u8>>> {
    let digests = serde_json::to_string(digests).map_err(Error::internal)?;
    let found: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT c.digest, c.content
         FROM json_each(?2) d CROSS JOIN manifest_contents c
             ON c.repository_id = ?1 AND c.digest = d.value",
    )
    .bind(repository_id)
    .bind(digests)
    .fetch_all(db)
    .await?;
    Ok(found.into_iter().collect())
}

/// Some of a manifest's bytes, from one on; none where the manifest went away.
pub async fn find_content_slice(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    digest: &str,
    first: i64,
    length: i64,
) -> Result<Option<Vec<u8>>> {
    // SQLite counts from 1.
    let found = sqlx::query_scalar(
        "SELECT substr(content, ?3 + 1, ?4) FROM manifest_contents
         WHERE repository_id = ?1 AND digest = ?2",
    )
    .bind(repository_id)
    .bind(digest)
    .bind(first)
    .bind(length)
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// A manifest that is about another one, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Referrer {
    /// Its number; later ones have higher numbers.
    pub id: i64,
    /// Its digest.
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
                     ORDER BY rowid LIMIT ?4)) page
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

/// Stores a manifest whose parts are all there, and the tag it is pushed under.
#[derive(Debug)]
pub struct PutManifest {
    /// Which repository.
    pub repository_id: i64,
    /// What the manifest names.
    pub manifest: Manifest,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub content: Vec<u8>,
    /// The tag, unless it is pushed by digest, and what is known of it and the expressions of
    /// triggers.
    pub tag: Option<(TagName, Judgement)>,
    /// The name of the user who pushes.
    pub pushed_by: String,
    /// When.
    pub now: Moment,
}

/// What became of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// It is stored.
    Stored,
    /// It names this, which is not in the repository; nothing was stored.
    Missing(Digest),
}

impl SingleWrite for PutManifest {
    type Output = PutOutcome;
    const PUSHES: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<PutOutcome> {
        if !repository_exists(&mut *transaction, self.repository_id).await? {
            return Err(Error::NotFound(Resource::Repository));
        }
        let blob_bytes = match self.find_parts(transaction).await? {
            Parts::Here { blob_bytes } => blob_bytes,
            Parts::Missing(digest) => return Ok(PutOutcome::Missing(digest)),
        };
        self.insert(transaction, blob_bytes).await?;
        if let Some((name, judgement)) = self.tag {
            let put = PutTag {
                repository_id: self.repository_id,
                name,
                digest: self.digest.to_string(),
                pushed_by: self.pushed_by,
                judgement,
                now: self.now,
            };
            push::put(transaction, put).await?;
        }
        Ok(PutOutcome::Stored)
    }
}

impl PutManifest {
    /// Looks for all that the manifest names, blobs first, in its order.
    async fn find_parts(&self, transaction: &mut SqliteConnection) -> Result<Parts> {
        let Manifest {
            blobs, manifests, ..
        } = &self.manifest;
        let mut blob_bytes = 0;
        if !blobs.is_empty() {
            // One statement for all of them: each statement is a hop to SQLite's thread and back.
            let (bytes, missing): (i64, Option<i64>) = sqlx::query_as(
                "SELECT coalesce(sum(b.size), 0), min(CASE WHEN b.size IS NULL THEN d.key END)
                 FROM json_each(?2) d
                 LEFT JOIN repository_blobs l ON l.repository_id = ?1 AND l.digest = d.value
                 LEFT JOIN blobs b ON b.digest = l.digest AND NOT b.is_damaged",
            )
            .bind(self.repository_id)
            .bind(json(blobs)?)
            .fetch_one(&mut *transaction)
            .await?;
            if let Some(at) = missing {
                return Parts::missing(blobs, at);
            }
            blob_bytes = bytes;
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
        sqlx::query(
            "INSERT INTO manifest_contents (repository_id, digest, content) VALUES (?, ?, ?)",
        )
        .bind(self.repository_id)
        .bind(self.digest.as_str())
        .bind(&self.content)
        .execute(&mut *transaction)
        .await?;
        let blobs: Vec<_> = [&self.manifest.blobs[..], &self.manifest.foreign].concat();
        sqlx::query(
            "INSERT INTO manifest_blobs (repository_id, manifest, digest)
             SELECT ?1, ?2, d.value FROM json_each(?3) d WHERE TRUE ON CONFLICT DO NOTHING",
        )
        .bind(self.repository_id)
        .bind(self.digest.as_str())
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
}

impl Parts {
    fn missing(digests: &[Digest], at: i64) -> Result<Self> {
        let at = usize::try_from(at).map_err(Error::internal)?;
        let digest = digests.get(at);
        let digest = digest.ok_or_else(|| Error::internal("a part without a place"))?;
        Ok(Self::Missing(digest.clone()))
    }
}

fn json(digests: &[Digest]) -> Result<String> {
    let digests: Vec<_> = digests.iter().map(Digest::as_str).collect();
    serde_json::to_string(&digests).map_err(Error::internal)
}

async fn insert_parts(
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
pub(super) const WITH_PARTS: &str = "WITH RECURSIVE parts (digest) AS (
         SELECT ?2
         UNION
         SELECT p.part FROM parts CROSS JOIN manifest_parts p
             ON p.repository_id = ?1 AND p.manifest = parts.digest)";

/// Stores how many bytes an image takes: its manifest and the blobs of all manifests that it is
/// made of. Nothing of that changes afterwards.
async fn measure(db: impl SqliteExecutor<'_>, repository_id: i64, digest: &str) -> Result<()> {
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

impl SingleWrite for DescribeStored {
    type Output = Described;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Described> {
        let found: Vec<(i64, i64, String, String, Vec<u8>)> = sqlx::query_as(
            "SELECT m.rowid, m.repository_id, m.digest, m.media_type, c.content
             FROM (SELECT rowid AS id FROM manifests WHERE size IS NULL AND rowid > ?1
                   ORDER BY rowid LIMIT ?2) page
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

impl SingleWrite for MeasureStored {
    /// How many there were.
    type Output = usize;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<usize> {
        let found: Vec<(i64, String)> = sqlx::query_as(
            "SELECT repository_id, digest FROM manifests WHERE size IS NULL LIMIT ?",
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

/// Removes a manifest with all of its tags.
#[derive(Debug)]
pub struct DeleteManifest {
    /// Which repository.
    pub repository_id: i64,
    /// The manifest.
    pub digest: Digest,
    /// When.
    pub now: Moment,
}

impl SingleWrite for DeleteManifest {
    /// Whether it was there.
    type Output = bool;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<bool> {
        account::store::settle(transaction, self.repository_id, self.now).await?;
        let done = sqlx::query("DELETE FROM manifests WHERE repository_id = ? AND digest = ?")
            .bind(self.repository_id)
            .bind(self.digest.as_str())
            .execute(&mut *transaction)
            .await?;
        let was_there = done.rows_affected() > 0;
        if was_there {
            tag::store::touch(transaction, self.repository_id, self.now).await?;
        }
        Ok(was_there)
    }
}

/// Adds to the number of pulls of repositories and to the bytes that went out.
#[derive(Debug, Default)]
pub struct CountDownloads {
    /// Pulls by repository.
    pub pulls: HashMap<i64, i64>,
    /// Bytes of blobs by organization and day.
    pub bytes: HashMap<(i64, Day), i64>,
}

impl SingleWrite for CountDownloads {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        for (repository_id, pulls) in self.pulls {
            sqlx::query("UPDATE repositories SET num_download = num_download + ? WHERE id = ?")
                .bind(pulls)
                .bind(repository_id)
                .execute(&mut *transaction)
                .await?;
        }
        for ((namespace_id, day), bytes) in self.bytes {
            let pulled = DayBytes { day, bytes };
            account::store::add_pulled(&mut *transaction, namespace_id, pulled).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::db::testing::TestDb;
    use crate::registry::MediaType;
    use crate::registry::manifest::Description;

    const NOW: i64 = 1_000_000;

    async fn seeded() -> (TestDb, i64, i64) {
        let test =
            TestDb::seeded("organizations: [{name: g, repositories: [{name: a}, {name: b}]}]")
                .await;
        let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM repositories ORDER BY id")
            .fetch_all(test.db.readers())
            .await
            .expect("read");
        (test, ids[0], ids[1])
    }

    fn uploaded(repository_id: i64, content: &str, file: &str) -> LinkUploaded {
        LinkUploaded {
            repository_id,
            digest: Digest::of(content.as_bytes()),
            file: file.to_owned(),
            size: content.len() as u64,
            now: NOW,
        }
    }

    fn manifest(repository_id: i64, blobs: &[&str], tag: Option<&str>) -> PutManifest {
        let content = format!("{blobs:?}").into_bytes();
        PutManifest {
            repository_id,
            manifest: Manifest {
                media_type: MediaType::OciManifest,
                config: None,
                blobs: blobs
                    .iter()
                    .map(|blob| Digest::of(blob.as_bytes()))
                    .collect(),
                foreign: Vec::new(),
                manifests: Vec::new(),
                parts: Vec::new(),
                subject: None,
                description: Description::default(),
            },
            digest: Digest::of(&content),
            content,
            tag: tag.map(|tag| (TagName::parse(tag).expect("a tag"), Judgement::default())),
            pushed_by: "u".to_owned(),
            now: Clock::default().now(),
        }
    }

    #[tokio::test]
    async fn a_blob_is_seen_only_through_a_link() {
        let (test, a, b) = seeded().await;
        let db = test.db.readers();
        let digest = Digest::of(b"x");
        let first = test.db.write(uploaded(a, "x", "f1")).await;
        assert_eq!(first.expect("linked"), None);
        // The same content again: its file takes the place of the first.
        let second = test.db.write(uploaded(a, "x", "f2")).await;
        assert_eq!(second.expect("linked").as_deref(), Some("f1"));
        let found = find_blob(db, a, &digest)
            .await
            .expect("read")
            .expect("there");
        assert_eq!((found.file.as_str(), found.size), ("f2", 1));
        assert!(find_blob(db, b, &digest).await.expect("read").is_none());

        let mount = |source_id, repository_id| LinkFrom {
            source_id,
            repository_id,
            digest: digest.clone(),
            now: NOW,
        };
        assert!(!test.db.write(mount(b, b)).await.expect("decided"));
        assert!(test.db.write(mount(a, b)).await.expect("decided"));
        assert!(find_blob(db, b, &digest).await.expect("read").is_some());
        let unlink = || UnlinkBlob {
            repository_id: a,
            digest: digest.clone(),
        };
        assert!(test.db.write(unlink()).await.expect("decided"));
        assert!(!test.db.write(unlink()).await.expect("decided"));
        assert!(find_blob(db, b, &digest).await.expect("read").is_some());
        let gone = test.db.write(uploaded(b + 1, "y", "f3")).await;
        assert!(matches!(gone, Err(Error::NotFound(Resource::Repository))));
    }

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

    #[tokio::test]
    async fn which_files_can_go_is_decided_by_a_write_that_changes_something() {
        let (test, a, _) = seeded().await;
        test.db.write(uploaded(a, "x", "f1")).await.expect("linked");
        let files = ["f0", "f1", "f2"].map(str::to_owned);
        let orphans = test.db.write(SweepFiles(files.into())).await;
        assert_eq!(orphans.expect("decided"), ["f0", "f2"]);
        let sweeps: i64 = sqlx::query_scalar("SELECT sweeps FROM blob_files")
            .fetch_one(test.db.readers())
            .await
            .expect("one row");
        assert_eq!(sweeps, 1);
    }

    #[tokio::test]
    async fn a_damaged_blob_is_not_there_until_it_is_pushed_again() {
        let (test, a, b) = seeded().await;
        let db = test.db.readers();
        let digest = Digest::of(b"x");
        test.db.write(uploaded(a, "x", "f1")).await.expect("linked");
        let mark = |file: &str, is_damaged| {
            MarkBlobs(vec![BlobFile {
                digest: digest.to_string(),
                file: file.to_owned(),
                size: 1,
                is_damaged,
            }])
        };
        let is_there = async || find_blob(db, a, &digest).await.expect("read").is_some();
        test.db.write(mark("f0", true)).await.expect("marked");
        assert!(is_there().await, "that was another file");
        test.db.write(mark("f1", true)).await.expect("marked");
        assert!(!is_there().await);
        let mount = LinkFrom {
            source_id: a,
            repository_id: b,
            digest: digest.clone(),
            now: NOW,
        };
        assert!(!test.db.write(mount).await.expect("decided"));
        let put = test.db.write(manifest(a, &["x"], None)).await;
        assert_eq!(put.expect("decided"), PutOutcome::Missing(digest.clone()));

        test.db.write(uploaded(b, "x", "f2")).await.expect("linked");
        assert!(is_there().await);
        test.db.write(mark("f2", true)).await.expect("marked");
        test.db.write(mark("f2", false)).await.expect("marked");
        assert!(is_there().await);
    }

    #[tokio::test]
    async fn collection_spares_what_is_leased_or_used() {
        let (test, a, b) = seeded().await;
        for (content, file) in [("used", "f1"), ("leased", "f2"), ("unused", "f3")] {
            test.db
                .write(uploaded(a, content, file))
                .await
                .expect("linked");
        }
        test.db
            .write(manifest(a, &["used"], None))
            .await
            .expect("stored");
        let collect = async |now| {
            let write = CollectGarbage {
                now,
                after: None,
                most: 100,
            };
            test.db.write(write).await.expect("collected").files
        };
        assert!(collect(NOW + LEASE).await.is_empty());
        let late = LinkFrom {
            source_id: a,
            repository_id: b,
            digest: Digest::of(b"leased"),
            now: NOW + LEASE,
        };
        test.db.write(late).await.expect("linked");
        assert_eq!(collect(NOW + LEASE + 1).await, ["f3"]);
        assert_eq!(collect(NOW + 2 * LEASE + 1).await, ["f2"]);
        let digest = manifest(a, &["used"], None).digest;
        let delete = DeleteManifest {
            repository_id: a,
            digest,
            now: Clock::default().now(),
        };
        assert!(test.db.write(delete).await.expect("deleted"));
        assert_eq!(collect(NOW + 2 * LEASE + 1).await, ["f1"]);
        let left = list_blob_files(test.db.readers(), "", 100).await;
        assert_eq!(left.expect("read"), []);
    }
}
