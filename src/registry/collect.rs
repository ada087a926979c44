//! Removes blobs that nothing refers to, in the background.
//!
//! A blob's row goes first, in a transaction that looks at its links and leases once more; its
//! file goes after that. The same content that is uploaded at that moment has a file of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::{debug, warn};

use super::blob::Files;
use super::store::{self, CollectGarbage};
use crate::clock::Clock;
use crate::db::Db;
use crate::error::Result;

/// How long the collector rests.
const PAUSE: Duration = Duration::from_mins(1);
/// How many blobs go in one transaction.
const AT_ONCE: u32 = 1000;

/// The background task; it ends with this value.
#[derive(Debug)]
pub struct Collector(JoinHandle<()>);

impl Drop for Collector {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Collector {
    /// Sweeps files that no row names, which a crash leaves, then collects from time to time.
    pub async fn start(db: Arc<Db>, files: Arc<Files>, clock: Clock) -> Result<Self> {
        // A database that was made anew does not know the files of the one that it replaces, which
        // may come back.
        if !db.is_new() {
            // Looked at before anything is served: a file that comes later is not an orphan.
            let mut orphans = files.names().map_err(crate::Error::internal)?;
            for file in store::list_files(db.readers()).await? {
                orphans.remove(&file);
            }
            files.remove(orphans.into_iter().collect()).await;
        }
        Ok(Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(PAUSE).await;
                files.forget_idle();
                match collect(&db, &files, &clock).await {
                    Ok(0) => {}
                    Ok(blobs) => debug!(blobs, "Removed {blobs} blobs that nothing refers to"),
                    Err(error) => warn!(chain = error.chain(), "Could not collect blobs"),
                }
            }
        })))
    }
}

/// Collects once; how many blobs went.
pub(super) async fn collect(db: &Db, files: &Files, clock: &Clock) -> Result<usize> {
    let write = CollectGarbage {
        now: clock.real_now().as_second(),
        most: AT_ONCE,
    };
    let unused = db.write(write).await?;
    let count = unused.len();
    files.remove(unused).await;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::AsyncReadExt;
    use tokio::task::JoinSet;

    use super::*;
    use crate::db::testing::TestDb;
    use crate::registry::Digest;
    use crate::registry::store::{CollectGarbage, LinkUploaded, UnlinkBlob, find_blob};

    /// One repository that the same few contents are uploaded to, taken out of and collected
    /// from, all at once.
    struct Race {
        db: Db,
        files: Files,
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
                files: Files::open(folder.path()).expect("made"),
                db,
                folder,
            })
        }

        async fn upload(&self, content: &'static [u8], now: i64) {
            let stored = self
                .files
                .store(Bytes::from_static(content))
                .await
                .expect("stored");
            let write = LinkUploaded {
                repository_id: self.repository_id,
                digest: Digest::of(content),
                file: stored.file.clone(),
                size: stored.size,
                now,
            };
            if !self.db.write(write).await.expect("linked") {
                self.files.remove(vec![stored.file]).await;
            }
        }

        async fn unlink(&self, content: &[u8]) {
            let write = UnlinkBlob {
                repository_id: self.repository_id,
                digest: Digest::of(content),
            };
            self.db.write(write).await.expect("decided");
        }

        async fn collect(&self, now: i64) {
            let write = CollectGarbage { now, most: 10 };
            let unused = self.db.write(write).await.expect("collected");
            self.files.remove(unused).await;
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
            match self.files.read(&file).await.expect("readable") {
                Some(mut file) => {
                    file.read_to_end(&mut found).await.expect("whole");
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

        let rows = store::list_files(race.db.readers()).await.expect("read");
        let files = race.files.names().expect("read");
        assert_eq!(
            rows.into_iter().collect::<std::collections::HashSet<_>>(),
            files
        );
        // An upload with a lease outlives any number of collections.
        race.upload(CONTENTS[0], 1).await;
        race.collect(2).await;
        let digest = Digest::of(CONTENTS[0]);
        let found = find_blob(race.db.readers(), race.repository_id, &digest);
        assert!(found.await.expect("read").is_some());
    }

    #[tokio::test]
    async fn a_start_sweeps_files_that_no_row_names() {
        let race = Race::start().await;
        race.upload(b"kept", 1).await;
        race.files
            .store(Bytes::from_static(b"orphan"))
            .await
            .expect("stored");
        assert_eq!(race.files.names().expect("read").len(), 2);
        let Some(Race {
            db, files, folder, ..
        }) = Arc::into_inner(race)
        else {
            panic!("nobody else holds it")
        };
        db.close().await;
        let path = folder.path().join("test.db");
        let db = Arc::new(Db::open(&path).await.expect("opened again"));
        let files = Arc::new(files);
        let collector =
            Collector::start(Arc::clone(&db), Arc::clone(&files), Clock::default()).await;
        collector.expect("started");
        let rows = store::list_files(db.readers()).await.expect("read");
        assert_eq!(
            rows.into_iter().collect::<std::collections::HashSet<_>>(),
            files.names().expect("read")
        );
    }
}
