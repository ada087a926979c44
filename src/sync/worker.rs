//! Does the jobs of sync in the background, one after the other in the order in which they were
//! made. What a job does (`job`) is one transaction, so none is half done over a crash.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::Outcome;
use super::job::DoJob;
use super::store::{self, FailJob, OpenJob, StartJob};
use crate::clock::Clock;
use crate::db::Db;
use crate::engine::{Engine, Matcher, Verdicts};
use crate::error::Result;
use crate::tag::TagName;

/// How long a pause is after the database failed, and how often a job is tried.
const PAUSE: Duration = Duration::from_millis(500);
const TRIES: u32 = 3;

/// The running worker; it ends with this value.
#[derive(Debug)]
pub struct SyncWorker(JoinHandle<()>);

impl Drop for SyncWorker {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl SyncWorker {
    /// Starts to work on what waits from now on, and where `has_jobs`, from an earlier run. It
    /// serves all regions.
    pub fn start(
        db: Arc<Db>,
        clock: Clock,
        matcher: Matcher,
        engine: Arc<Engine>,
        has_jobs: bool,
    ) -> Self {
        let mut pushes = db.pushes();
        if has_jobs {
            pushes.mark_changed();
        }
        let worker = Worker {
            db,
            clock,
            matcher,
            engine,
        };
        Self(tokio::spawn(worker.work(pushes)))
    }
}

struct Worker {
    db: Arc<Db>,
    clock: Clock,
    matcher: Matcher,
    /// Told when a job has ended, since some wait for that together with its firings.
    engine: Arc<Engine>,
}

impl Worker {
    async fn work(self, mut pushes: watch::Receiver<()>) {
        while pushes.changed().await.is_ok() {
            match store::find_open(self.db.lookups()).await {
                Ok(Some(job)) => self.end(&job).await,
                Ok(None) => continue,
                Err(error) => {
                    warn!(chain = error.chain(), "Could not read pending syncs");
                    tokio::time::sleep(PAUSE).await;
                }
            }
            // There may be more.
            pushes.mark_changed();
        }
    }

    /// Tries until the job has ended or the database fails too often; then it is found again.
    async fn end(&self, job: &OpenJob) {
        let OpenJob {
            tag,
            source,
            target,
            ..
        } = job;
        for _ in 0..TRIES {
            match self.sync(job).await {
                Ok(None) => return self.engine.wake(),
                Ok(Some(outcome)) => {
                    let (status, reason) = (outcome.status().as_str(), outcome.reason());
                    info!(
                        job = job.id, tag, %source, %target, status, reason,
                        "Synced `{source}:{tag}` to `{target}`: {status} {reason}"
                    );
                    return self.engine.wake();
                }
                Err(error) => {
                    warn!(chain = error.chain(), job = job.id, "A sync job failed");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        let write = FailJob {
            id: job.id,
            now: self.clock.now(),
        };
        if let Err(error) = self.db.write(write).await {
            warn!(
                chain = error.chain(),
                job = job.id,
                "Could not record the failure of a sync job"
            );
        }
        self.engine.wake();
    }

    async fn sync(&self, job: &OpenJob) -> Result<Option<Outcome>> {
        let start = StartJob {
            id: job.id,
            now: self.clock.now(),
        };
        self.db.write(start).await?;
        // A repository that the job makes has no triggers.
        let verdicts = match (job.target_id, TagName::parse(&job.tag)) {
            (Some(id), Some(tag)) => self.matcher.judge(&self.db, id, &tag).await?,
            _ => Verdicts::default(),
        };
        let write = DoJob {
            id: job.id,
            verdicts,
            now: self.clock.now(),
        };
        self.db.write(write).await
    }
}
