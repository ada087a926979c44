//! Removes blobs that nothing refers to, and files that no blob is in, in the background; and
//! looks, at the start, whether the files of all blobs are whole.
//!
//! A blob's row goes first, in a transaction that looks at its links and leases once more; its
//! file goes after that. The same content that is uploaded at that moment has a file of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::{debug, warn};

use super::files::{Expected, Files, Walk};
use super::store::{self, BlobFile, CollectGarbage, MarkBlobs, SweepFiles};
use crate::clock::Clock;
use crate::db::Db;
use crate::error::Result;

/// How long the collector rests.
const PAUSE: Duration = Duration::from_mins(1);
/// How many blobs go in one transaction, and how many are looked at in one step.
const AT_ONCE: u32 = 1000;
const STEP: usize = 1000;
/// How many steps through the files a pass takes; the next one goes on from there.
const STEPS: usize = 10;
/// How many damaged blobs are told by their digests.
const TOLD: usize = 5;

/// The background task; it ends with this value.
#[derive(Debug)]
pub struct Collector(JoinHandle<()>);

impl Drop for Collector {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Collector {
    /// Sweeps files that no row names, which a crash leaves, and looks for blobs without a whole
    /// file; then collects from time to time.
    pub async fn start(db: Arc<Db>, files: Arc<Files>) -> Result<Self> {
        let mut sweep = Sweep::default();
        // A new database has neither files nor blobs.
        if !db.is_new() {
            while sweep.step(&db, &files).await? {}
            check(&db, &files).await?;
        }
        Ok(Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(PAUSE).await;
                files.forget_idle();
                match collect(&db, &files).await {
                    Ok(0) => {}
                    Ok(blobs) => debug!(blobs, "Removed {blobs} unreferenced blobs"),
                    Err(error) => warn!(chain = error.chain(), "Could not garbage-collect blobs"),
                }
                if let Err(error) = sweep.pass(&db, &files).await {
                    warn!(chain = error.chain(), "Could not look for orphaned files");
                }
            }
        })))
    }
}

/// Collects until nothing is left; how many blobs went. Other writes get in between.
pub(super) async fn collect(db: &Db, files: &Files) -> Result<usize> {
    let (mut all, mut after) = (0, None);
    loop {
        let write = CollectGarbage {
            now: Clock::real_now().as_second(),
            after,
            most: AT_ONCE,
        };
        let collected = db.write(write).await?;
        all += collected.files.len();
        files.remove(collected.files).await;
        after = collected.after;
        if after.is_none() {
            return Ok(all);
        }
    }
}

/// Looks through the files for those of ours that no row names: of uploads whose end failed, or
/// that a crash cut off.
#[derive(Debug, Default)]
struct Sweep {
    walk: Option<Walk>,
}

impl Sweep {
    /// A bounded part of the files; the next pass goes on from there.
    async fn pass(&mut self, db: &Db, files: &Arc<Files>) -> Result<()> {
        for _ in 0..STEPS {
            if !self.step(db, files).await? {
                break;
            }
        }
        Ok(())
    }

    /// The next few files; whether there are more.
    async fn step(&mut self, db: &Db, files: &Arc<Files>) -> Result<bool> {
        let (names, walk) = files.walk(self.walk.take(), STEP).await?;
        self.walk = walk;
        if names.is_empty() {
            return Ok(self.walk.is_some());
        }
        let unnamed = store::list_unnamed(db.readers(), &names).await?;
        if !unnamed.is_empty() {
            let orphans = db.write(SweepFiles(unnamed)).await?;
            debug!(files = orphans.len(), "Removed orphaned files");
            files.remove(orphans).await;
        }
        Ok(self.walk.is_some())
    }
}

/// Compares the files with what the database has of them. What is not whole is as if it were not
/// there from now on, so that clients bring it again; what is whole again is there again.
async fn check(db: &Db, files: &Files) -> Result<()> {
    let (mut damaged, mut count, mut back) = (Vec::new(), 0, 0);
    let mut after = String::new();
    loop {
        let blobs = store::list_blob_files(db.lookups(), &after, STEP).await?;
        let Some(last) = blobs.last() else {
            break;
        };
        after.clone_from(&last.digest);
        let expected = blobs.iter().map(|blob| Expected {
            name: blob.file.clone(),
            size: blob.size.unsigned_abs(),
        });
        let are_whole = files.are_whole(expected.collect()).await?;
        let mut changed = Vec::new();
        for (blob, is_whole) in blobs.into_iter().zip(are_whole) {
            let was_damaged = blob.is_damaged;
            let blob = BlobFile {
                is_damaged: !is_whole,
                ..blob
            };
            if blob.is_damaged {
                count += 1;
                if damaged.len() < TOLD {
                    damaged.push(blob.digest.clone());
                }
            }
            if blob.is_damaged != was_damaged {
                back += usize::from(is_whole);
                changed.push(blob);
            }
        }
        if !changed.is_empty() {
            db.write(MarkBlobs(changed)).await?;
        }
    }
    if count > 0 {
        warn!(
            blobs = count,
            "The files of {count} blobs are missing or have the wrong size; pushing them \
             again restores them. The first are: {}",
            damaged.join(", ")
        );
    }
    if back > 0 {
        warn!(
            blobs = back,
            "The files of {back} damaged blobs are intact again"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Read;

    use bytes::Bytes;
    use tokio::task::JoinSet;

    use super::*;
    use crate::db::testing::TestDb;
    use crate::image::Digest;
    use crate::image::store::{CollectGarbage, LinkUploaded, UnlinkBlob, find_blob};
    use crate::image::testing::files_in;

    /// One repository that the same few contents are uploaded to, taken out of and collected
    /// from, all at once.
    struct Race {
        db: Arc<Db>,
        files: Arc<Files>,
        repository_id: i64,
        folder: tempfile::TempDir,
    }

    impl Race {
        async fn start() -> Arc<Self> {
            let test =
                TestDb::seeded("organizations: [{name: g, repositories: [{name: a}]}]").await;
            let TestDb { db, folder, .. } = test;
            Arc::new(Self {
                repository_id: sqlx::query_scalar("SELECT id FROM repositories")
                    .fetch_one(db.readers())
                    .await
                    .expect("there is one"),
                files: Arc::new(files_in(folder.path())),
                db: Arc::new(db),
                folder,
            })
        }

        async fn upload(&self, content: &'static [u8], now: i64) {
            let mut stored = self
                .files
                .store(Bytes::from_static(content))
                .await
                .expect("stored");
            let write = LinkUploaded {
                repository_id: self.repository_id,
                digest: Digest::of(content),
                file: stored.name().to_owned(),
                size: stored.size(),
                now,
            };
            stored.keep();
            let replaced = self.db.write(write).await.expect("linked");
            self.files.remove(replaced.into_iter().collect()).await;
        }

        /// The files that rows name.
        async fn rows(&self) -> HashSet<String> {
            let rows = store::list_blob_files(self.db.readers(), "", 100).await;
            rows.expect("read")
                .into_iter()
                .map(|row| row.file)
                .collect()
        }

        /// The files of ours that are there.
        fn names(&self) -> HashSet<String> {
            let entries = std::fs::read_dir(self.folder.path().join("blobs")).expect("there");
            entries
                .map(|entry| {
                    entry
                        .expect("an entry")
                        .file_name()
                        .into_string()
                        .expect("UTF-8")
                })
                .filter(|name| name.starts_with("swr-test-"))
                .collect()
        }

        async fn unlink(&self, content: &[u8]) {
            let write = UnlinkBlob {
                repository_id: self.repository_id,
                digest: Digest::of(content),
            };
            self.db.write(write).await.expect("decided");
        }

        async fn collect(&self, now: i64) {
            let write = CollectGarbage {
                now,
                after: None,
                most: 10,
            };
            let unused = self.db.write(write).await.expect("collected");
            self.files.remove(unused.files).await;
        }

        /// Reads a blob as a pull does. What a row names may be gone a moment later, but then the
        /// row is gone as well.
        async fn read(&self, content: &[u8]) {
            let digest = Digest::of(content);
            let find = async || {
                let found = find_blob(self.db.readers(), self.repository_id, &digest).await;
                found.expect("read").map(|blob| blob.file)
            };
            let Some(file) = find().await else {
                return;
            };
            let mut found = Vec::new();
            let size = content.len() as u64;
            match self.files.read(&file, size).await.expect("readable") {
                Some(mut file) => {
                    file.read_to_end(&mut found).expect("whole");
                    assert_eq!(found, content);
                }
                None => assert_ne!(find().await.as_deref(), Some(file.as_str())),
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn collection_races_uploads_deletions_and_pulls_without_losing_or_leaking_a_file() {
        const CONTENTS: [&[u8]; 3] = [b"one", b"two", b"three"];
        const ROUNDS: usize = 400;
        let race = Race::start().await;
        let mut tasks = JoinSet::new();
        for (at, content) in CONTENTS.into_iter().cycle().take(9).enumerate() {
            let race = Arc::clone(&race);
            tasks.spawn(async move {
                for round in 0..ROUNDS {
                    match (at + round) % 4 {
                        // A lease that is over at once, so that collection has something to do.
                        0 => race.upload(content, -1_000_000).await,
                        1 => race.unlink(content).await,
                        2 => race.collect(0).await,
                        _ => race.read(content).await,
                    }
                }
            });
        }
        tasks.join_all().await;

        assert_eq!(race.rows().await, race.names());
        // An upload with a lease outlives any number of collections.
        race.upload(CONTENTS[0], 1).await;
        race.collect(2).await;
        let digest = Digest::of(CONTENTS[0]);
        let found = find_blob(race.db.readers(), race.repository_id, &digest);
        assert!(found.await.expect("read").is_some());
    }

    #[tokio::test]
    async fn a_start_and_a_pass_sweep_files_of_ours_that_no_row_names() {
        for is_start in [true, false] {
            let race = Race::start().await;
            race.upload(b"kept", 1).await;
            let mut orphan = race.files.store(Bytes::from_static(b"orphan")).await;
            orphan.as_mut().expect("stored").keep();
            drop(orphan);
            let theirs = race.folder.path().join("blobs").join("0".repeat(32));
            std::fs::write(&theirs, "theirs").expect("written");
            // This one is about to be linked.
            let coming = race.files.store(Bytes::from_static(b"coming")).await;
            let coming = coming.expect("stored");
            assert_eq!(race.names().len(), 3);
            let mut expected = race.rows().await;
            expected.insert(coming.name().to_owned());
            if is_start {
                race.db.close().await;
                let db = Db::open(&race.folder.path().join("test.db")).await;
                let db = Arc::new(db.expect("opened"));
                let collector = Collector::start(db, Arc::clone(&race.files)).await;
                collector.expect("started");
            } else {
                let passed = Sweep::default().pass(&race.db, &race.files).await;
                passed.expect("read");
            }
            assert_eq!(race.names(), expected);
            assert!(theirs.exists());
        }
    }

    #[tokio::test]
    async fn a_walk_goes_on_where_it_stopped_until_it_has_seen_all() {
        let race = Race::start().await;
        for content in [b"one".as_slice(), b"two", b"three"] {
            race.upload(content, 1).await;
        }
        let (mut seen, mut walk) = (HashSet::new(), None);
        for step in 0.. {
            let (names, next) = race.files.walk(walk, 2).await.expect("read");
            seen.extend(names);
            walk = next;
            if walk.is_none() {
                assert!(step > 0);
                break;
            }
        }
        assert_eq!(seen, race.rows().await);
    }

    #[tokio::test]
    async fn one_pass_removes_all_that_nothing_refers_to() {
        const BLOBS: usize = 2500;
        let race = Race::start().await;
        let mut writes = JoinSet::new();
        for at in 0..BLOBS {
            let race = Arc::clone(&race);
            writes.spawn(async move {
                let write = LinkUploaded {
                    repository_id: race.repository_id,
                    digest: Digest::of(&at.to_le_bytes()),
                    file: format!("file {at}"),
                    size: 8,
                    now: -1_000_000,
                };
                race.db.write(write).await.expect("linked");
            });
        }
        writes.join_all().await;
        let gone = collect(&race.db, &race.files).await;
        assert_eq!(gone.expect("collected"), BLOBS);
    }
}
