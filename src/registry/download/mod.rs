//! Counts pulls and their bytes. Each would cost a write; they are gathered for a moment and
//! written together.

mod store;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tracing::warn;

use self::store::CountDownloads;
use crate::clock::Timestamp;
use crate::db::Db;

/// How long pulls are gathered.
const GATHER: Duration = Duration::from_millis(250);

/// Pulls that are not in the database yet.
#[derive(Debug)]
pub struct Downloads {
    db: Arc<Db>,
    gathered: Mutex<CountDownloads>,
    /// Held while something is written, so that who flushes finds all of it in the database.
    flushing: tokio::sync::Mutex<()>,
}

impl Downloads {
    /// None yet.
    pub fn new(db: Arc<Db>) -> Arc<Self> {
        Arc::new(Self {
            db,
            gathered: Mutex::default(),
            flushing: tokio::sync::Mutex::default(),
        })
    }

    /// Counts a pull from a repository.
    pub fn count(self: &Arc<Self>, repository_id: i64) {
        self.gather(|gathered| {
            *gathered.pulls.entry(repository_id).or_default() += 1;
        });
    }

    /// Counts bytes of a blob that go out now from an organization.
    pub fn count_bytes(self: &Arc<Self>, namespace_id: i64, bytes: usize, now: Timestamp) {
        let key = (namespace_id, now.day());
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.gather(|gathered| {
            *gathered.bytes.entry(key).or_default() += bytes;
        });
    }

    /// The first one of a moment sees to it that all are written.
    fn gather(self: &Arc<Self>, add: impl FnOnce(&mut CountDownloads)) {
        let mut gathered = self.gathered();
        let is_first = gathered.pulls.is_empty() && gathered.bytes.is_empty();
        add(&mut gathered);
        if is_first {
            let downloads = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(GATHER).await;
                downloads.flush().await;
            });
        }
    }

    /// Writes what was gathered.
    pub async fn flush(&self) {
        let _flushing = self.flushing.lock().await;
        let gathered = std::mem::take(&mut *self.gathered());
        if gathered.pulls.is_empty() && gathered.bytes.is_empty() {
            return;
        }
        if let Err(error) = self.db.write(gathered).await {
            warn!(chain = error.chain(), "Could not count pulls");
        }
    }

    fn gathered(&self) -> MutexGuard<'_, CountDownloads> {
        self.gathered.lock()
    }
}
