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
const PAUSE: Duration = Duration::from_secs(60);
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
        // Looked at before anything is served: a file that comes later is not an orphan.
        let mut orphans = files.names().map_err(crate::Error::internal)?;
        if !orphans.is_empty() {
            for file in store::list_files(db.readers()).await? {
                orphans.remove(&file);
            }
            files.remove(orphans.into_iter().collect()).await;
        }
        Ok(Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(PAUSE).await;
                files.forget_idle();
                match collect(&db, &files, clock).await {
                    Ok(0) => {}
                    Ok(blobs) => debug!(blobs, "Removed {blobs} blobs that nothing refers to"),
                    Err(error) => warn!(chain = error.chain(), "Could not collect blobs"),
                }
            }
        })))
    }
}

/// Collects once; how many blobs went.
pub(super) async fn collect(db: &Db, files: &Files, clock: Clock) -> Result<usize> {
    let write = CollectGarbage {
        now: clock.real_now().as_second(),
        most: AT_ONCE,
    };
    let unused = db.write(write).await?;
    let count = unused.len();
    files.remove(unused).await;
    Ok(count)
}
