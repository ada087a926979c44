//! The engine: from a pushed tag to an updated workload and an entry in the trigger's history.
//!
//! Which triggers fire is decided in the transaction that stores the tag (`decision`): it leaves
//! one firing for each in the queue (`store`). `matching` tells beforehand which expressions the
//! tag matches. The `worker` takes firings from the queue, lets each act at its cluster (`real`,
//! `simulated`), and records the outcome (`history`).
//! `destination` finds the workload, `plan` says, without any I/O, what a firing changes in its
//! pod template, and `explain` what it would change. `retry` holds what is tried again, `fate`
//! tells what became of a trigger at a push, `wait` waits for that, and `pushes` tells what a push
//! meant for all triggers. `rollout` follows what comes of an update. `announce` tells those who
//! listen of pushes, outcomes and rollouts.
//!
//! A firing and its record are in the database, so none is lost over a crash, and none recorded
//! twice: the record and the end of the firing are one transaction.

mod announce;
pub mod decision;
mod destination;
mod explain;
mod fate;
pub mod history;
mod matching;
mod nearest_miss;
mod plan;
pub mod pushes;
mod real;
mod retry;
mod rollout;
mod simulated;
pub mod store;
#[cfg(test)]
mod testing;
mod wait;
mod worker;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Mutex as AsyncMutex, watch};

pub use destination::missing_target;
pub use explain::{Expected, Explained, Hindrance};
pub use fate::Ended;
use fate::Fate;
pub use matching::{Matcher, Verdicts};
pub use retry::Retry;
pub use rollout::{ChosenWorkload, FiringRollout, Landed};
pub use wait::{Until, Wait, Waited};
pub use worker::FiringWorker;

use crate::account;
use crate::cce::Cluster;
use crate::clock::Clock;
use crate::db::{Db, Subject};
use crate::error::Result;
use crate::events::Events;
use crate::kubernetes::RealClusters;
use crate::region::Regions;
use crate::trigger::ClusterRef;
use retry::Retries;

/// The detail of a firing that found its workload as it wants it.
const UNCHANGED: &str = "template unchanged, no rollout";

/// The longest reason why a trigger did not fire, and the longest detail of one that did, in
/// characters: the tags of a condition, and the image of a container, can fill a body.
const LONGEST_REASON: usize = 1000;

/// How many firings have ended since the start, and how many are just being recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Those whose outcome may be in the database but is not counted yet.
    pub recording: u64,
    /// All that have ended with an outcome.
    pub fired: u64,
    /// Those that failed.
    pub failed: u64,
}

/// A firing that waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    id: i64,
    /// Its trigger with the history.
    trigger: Subject,
}

/// What the worker needs to act.
#[derive(Debug)]
pub struct Engine {
    db: Arc<Db>,
    clock: Clock,
    /// They say under which names images of a registry are known.
    regions: Arc<Regions>,
    /// The clusters that are not simulated.
    real_clusters: RwLock<Arc<RealClusters>>,
    /// How long a firing is tried.
    deploy_timeout: Duration,
    /// Whether only accounts with the agency get anything deployed.
    require_agency: bool,
    /// Firings that wait for an earlier one at the same workload, by workload.
    lanes: Mutex<HashMap<String, VecDeque<Waiting>>>,
    /// Those without an outcome, as they were when some may have gone away.
    open: watch::Sender<HashSet<i64>>,
    /// Those whose last try failed.
    retries: Retries,
    counts: watch::Sender<Counts>,
    /// Told of rollouts that begin.
    rollouts: watch::Sender<()>,
    /// Whether what waits is left to the next run.
    is_stopping: AtomicBool,
    events: Arc<Events>,
    /// The newest push that those who listen were told of, or need not be; none where that is not
    /// known.
    told: AsyncMutex<Option<i64>>,
}

impl Engine {
    /// An engine that does not run yet.
    pub fn new(
        db: Arc<Db>,
        clock: Clock,
        regions: Arc<Regions>,
        real_clusters: RealClusters,
        deploy_timeout: Duration,
        require_agency: bool,
        events: Arc<Events>,
    ) -> Arc<Self> {
        Arc::new(Self {
            db,
            clock,
            regions,
            real_clusters: RwLock::new(Arc::new(real_clusters)),
            deploy_timeout,
            require_agency,
            lanes: Mutex::default(),
            open: watch::Sender::default(),
            retries: Retries::default(),
            counts: watch::Sender::new(Counts::default()),
            rollouts: watch::Sender::default(),
            is_stopping: AtomicBool::new(false),
            events,
            told: AsyncMutex::default(),
        })
    }

    /// How many firings have ended, as it changes.
    pub fn counts(&self) -> watch::Receiver<Counts> {
        self.counts.subscribe()
    }

    /// What is known of a firing whose last try failed, until it has an outcome.
    pub fn retry(&self, firing_id: i64) -> Option<Retry> {
        self.retries.get(firing_id)
    }

    /// The clusters that are not simulated.
    pub fn real_clusters(&self) -> Arc<RealClusters> {
        Arc::clone(&self.real_clusters.read())
    }

    /// Lets others be the clusters that are not simulated.
    pub fn replace_real_clusters(&self, real_clusters: RealClusters) {
        *self.real_clusters.write() = Arc::new(real_clusters);
    }

    /// Whether nothing is deployed for an account, for want of the agency.
    pub async fn lacks_agency(&self, account_id: &str) -> Result<bool> {
        Ok(self.require_agency
            && !account::store::has_agency(self.db.lookups(), account_id).await?)
    }

    /// The cluster among all there are that triggers mean with these fields; the error says what is
    /// missing.
    pub fn choose<'a>(
        cluster: &ClusterRef,
        clusters: &'a [Cluster],
    ) -> std::result::Result<&'a Cluster, String> {
        destination::choose(cluster, clusters).map_err(|missing| missing.reason)
    }

    /// Tells those who wait for firings to end that some may have gone away without an outcome.
    pub fn wake(&self) {
        self.counts.send_modify(|_| {});
    }
}
