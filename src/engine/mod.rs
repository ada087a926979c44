//! The engine: from a pushed tag to an updated workload and an entry in the trigger's history.
//!
//! Which triggers fire is decided in the transaction that stores the tag (`decision`): it leaves
//! one firing for each in the queue (`store`). `matching` tells beforehand which expressions the
//! tag matches. This module's worker takes firings from the queue, in order for each workload and
//! without waiting for others, lets each act at its cluster (`real`, `simulated`), and records the
//! outcome (`history`).
//! `destination` finds the workload, `plan` says, without any I/O, what a firing changes in its
//! pod template, and `explain` what it would change. `retry` holds what is tried again, `fate`
//! tells what became of a trigger at a push, and `pushes` what a push meant for all triggers.
//!
//! A firing and its record are in the database, so none is lost over a crash, and none recorded
//! twice: the record and the end of the firing are one transaction.

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
mod simulated;
pub mod store;
#[cfg(test)]
mod testing;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};

pub use destination::missing_target;
pub use explain::{Expected, Explained};
pub use fate::Fate;
pub use matching::{Matcher, Verdicts};
pub use retry::Retry;

use crate::account;
use crate::cce;
use crate::clock::Clock;
use crate::db::{BatchWrite, Db};
use crate::error::{Error, Result, one_line};
use crate::kubernetes::RealClusters;
use crate::region::Regions;
use real::Attempt;
use retry::{FIRST_PAUSE, LONGEST_PAUSE, Retries, jittered};
use simulated::Simulate;
use store::{Deployed, End, Ending, Outcome, Record};

/// The detail of a firing that found its workload as it wants it.
const UNCHANGED: &str = "template unchanged, no rollout";

/// Why a try is repeated that failed for a reason of our own, which the log tells.
const DATABASE_FAILED: &str = "the database failed";

/// The longest reason why a trigger did not fire, and the longest detail of one that did, in
/// characters: the tags of a condition, and the image of a container, can fill a body.
const LONGEST_REASON: usize = 1000;

/// The least and the most time that one try at a real cluster gets.
const SHORTEST_TRY: Duration = Duration::from_secs(2);
const LONGEST_TRY: Duration = Duration::from_secs(30);

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

/// What the worker needs to act.
#[derive(Debug)]
pub struct Engine {
    db: Arc<Db>,
    clock: Clock,
    /// They say under which names images of a registry are known.
    regions: Arc<Regions>,
    /// The clusters that are not simulated.
    real_clusters: RealClusters,
    /// How long a firing is tried.
    deploy_timeout: Duration,
    /// Whether only accounts with the agency get anything deployed.
    require_agency: bool,
    /// Firings that wait for an earlier one at the same workload, by workload.
    lanes: Mutex<HashMap<String, VecDeque<i64>>>,
    /// Those without an outcome, as they were when some may have gone away.
    open: watch::Sender<HashSet<i64>>,
    /// Those whose last try failed.
    retries: Retries,
    counts: watch::Sender<Counts>,
    /// Whether what waits is left to the next run.
    is_stopping: AtomicBool,
}

/// The running worker; it ends with this value.
#[derive(Debug)]
pub struct Worker {
    engine: Arc<Engine>,
    task: JoinHandle<()>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.engine.is_stopping.store(true, Ordering::Release);
        self.task.abort();
    }
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
    ) -> Arc<Self> {
        Arc::new(Self {
            db,
            clock,
            regions,
            real_clusters,
            deploy_timeout,
            require_agency,
            lanes: Mutex::default(),
            open: watch::Sender::default(),
            retries: Retries::default(),
            counts: watch::Sender::new(Counts::default()),
            is_stopping: AtomicBool::new(false),
        })
    }

    /// Starts to work on what waits, also from an earlier run.
    pub fn start(self: &Arc<Self>) -> Worker {
        let engine = Arc::clone(self);
        Worker {
            engine: Arc::clone(self),
            task: tokio::spawn(engine.work()),
        }
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
    pub fn real_clusters(&self) -> &RealClusters {
        &self.real_clusters
    }

    /// Whether nothing is deployed for an account, for want of the agency.
    pub async fn lacks_agency(&self, account_id: &str) -> Result<bool> {
        Ok(self.require_agency
            && !account::store::has_agency(self.db.lookups(), account_id).await?)
    }

    /// Tells those who wait for firings to end that some may have gone away without an outcome.
    pub fn wake(&self) {
        self.counts.send_modify(|_| {});
    }

    async fn work(self: Arc<Self>) {
        let mut last = 0;
        let mut pushes = self.db.pushes();
        let mut changes = self.db.firing_changes();
        let mut are_changed = false;
        loop {
            pushes.mark_unchanged();
            if changes.has_changed().unwrap_or(false) {
                changes.mark_unchanged();
                are_changed = true;
            }
            let looked = async {
                let waiting = store::list_waiting(self.db.lookups(), last).await?;
                if !waiting.is_empty() {
                    let clusters = cce::store::list(self.db.lookups()).await?;
                    for firing in waiting {
                        last = firing.id;
                        self.line_up(firing.id, firing.destination.lane(&clusters));
                    }
                }
                if are_changed {
                    self.drop_what_is_gone().await?;
                    are_changed = false;
                }
                Ok::<_, Error>(())
            };
            if let Err(error) = looked.await {
                warn!(chain = error.chain(), "Could not read pending firings");
                tokio::time::sleep(FIRST_PAUSE).await;
                continue;
            }
            let changed = tokio::select! {
                changed = pushes.changed() => changed,
                changed = changes.changed() => {
                    are_changed = true;
                    changed
                }
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Puts a firing behind the others at its workload; the first one starts the lane.
    fn line_up(self: &Arc<Self>, id: i64, lane: String) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = lanes.get_mut(&lane) {
            waiting.push_back(id);
            return;
        }
        lanes.insert(lane.clone(), VecDeque::from([id]));
        let engine = Arc::clone(self);
        tokio::spawn(async move { engine.drive(&lane).await });
    }

    /// Takes out of the lanes what a deletion or a reset took away, and lets those that are being
    /// tried look for themselves.
    async fn drop_what_is_gone(&self) -> Result<()> {
        let is_idle = || {
            let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            lanes.is_empty()
        };
        if !is_idle() {
            let open = store::list_open(self.db.lookups()).await?;
            let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            for lane in lanes.values_mut() {
                lane.retain(|id| open.contains(id));
            }
            // Under the lock: who takes a firing from its lane sees all that comes after.
            self.open.send_replace(open);
        }
        self.wake();
        Ok(())
    }

    async fn drive(&self, lane: &str) {
        loop {
            let next = {
                let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
                let next = lanes.get_mut(lane).and_then(VecDeque::pop_front);
                if next.is_none() {
                    lanes.remove(lane);
                }
                next.map(|id| Trial {
                    id,
                    lane,
                    started: Instant::now(),
                    tries: 1,
                    about: None,
                    open: self.open.subscribe(),
                })
            };
            let Some(mut firing) = next else {
                return;
            };
            self.fire(&mut firing).await;
        }
    }

    /// Tries until the firing has an outcome that is recorded, or has gone away.
    async fn fire(&self, firing: &mut Trial<'_>) {
        let _retry = self.retries.forgetting(firing.id);
        let started = firing.started;
        let mut begun = started;
        let mut pause = FIRST_PAUSE;
        while !self.is_stopping.load(Ordering::Acquire) {
            let left = self.deploy_timeout.saturating_sub(started.elapsed());
            let reason = match self.try_once(firing, begun.elapsed(), left).await {
                Step::Over => return,
                Step::TooEarly(delay) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(begun + delay) => {}
                        () = firing.may_have_changed() => {}
                    }
                    continue;
                }
                Step::Again(reason) => reason,
            };
            if started.elapsed() + pause > self.deploy_timeout {
                let tries = retry::count(firing.tries);
                let reason = format!("gave up after {tries}: {reason}");
                if let Step::Over = self.end(firing, Outcome::Failed(reason)).await {
                    return;
                }
            }
            let now = jittered(pause);
            self.retries.note(firing.id, firing.tries, &reason, now);
            self.warn_of(firing, &reason, now).await;
            tokio::select! {
                () = tokio::time::sleep(now) => {}
                () = firing.goes_away() => return,
            }
            self.retries.begin(firing.id);
            pause = (pause * 2).min(LONGEST_PAUSE);
            begun = Instant::now();
            firing.tries += 1;
        }
    }

    /// Tells the log of a try that failed and will be repeated after a pause.
    async fn warn_of(&self, firing: &mut Trial<'_>, reason: &str, pause: Duration) {
        if firing.about.is_none() {
            // It is about the words only: the next try tells what is wrong with the database.
            let found = store::find_firing(self.db.lookups(), firing.id).await;
            firing.about = found.ok().flatten().map(|found| About {
                trigger: found.trigger_name,
                tag: found.tag,
            });
        }
        let Some(About { trigger, tag }) = &firing.about else {
            return;
        };
        let (tries, next) = (firing.tries, retry::length(pause));
        warn!(
            trigger.name = %trigger, image.tag = tag, firing.tries = tries,
            workload.name = %firing.lane,
            "Try {tries} of trigger {trigger} for tag {tag} failed: {}; next try in {next}",
            one_line(reason)
        );
    }

    /// One try, which `waited` for the workload already.
    async fn try_once(&self, firing: &mut Trial<'_>, waited: Duration, left: Duration) -> Step {
        if !self.real_clusters.is_empty() {
            let time = left.clamp(SHORTEST_TRY, LONGEST_TRY);
            match self.try_real(firing, time).await {
                Attempt::Ended(outcome) => return self.end(firing, outcome).await,
                Attempt::Again(reason) => return Step::Again(reason),
                Attempt::Gone => return Step::Over,
                Attempt::NotReal => {}
            }
        }
        let simulate = Simulate {
            ending: self.ending(firing),
            regions: Arc::clone(&self.regions),
            require_agency: self.require_agency,
            waited,
        };
        self.record(firing, simulate).await
    }

    async fn end(&self, firing: &Trial<'_>, outcome: Outcome) -> Step {
        let end = End {
            outcome,
            ending: self.ending(firing),
        };
        self.record(firing, end).await
    }

    fn ending(&self, firing: &Trial<'_>) -> Ending {
        Ending {
            firing_id: firing.id,
            tries: firing.tries,
            now: self.clock.now(),
        }
    }

    /// Runs a write that may end a firing, and counts it if it did.
    async fn record<W: BatchWrite<Output = Deployed>>(&self, firing: &Trial<'_>, write: W) -> Step {
        self.counts.send_modify(|counts| counts.recording += 1);
        let outcome = self.db.write(write).await;
        self.counts.send_modify(|counts| {
            counts.recording -= 1;
            if let Ok(Deployed::Recorded(record)) = &outcome {
                counts.fired += 1;
                counts.failed += u64::from(record.result == "failed");
            }
        });
        match outcome {
            Ok(Deployed::Again(reason)) => Step::Again(reason),
            Ok(Deployed::TooEarly(delay)) => Step::TooEarly(delay),
            Ok(Deployed::Gone) => Step::Over,
            Ok(Deployed::Recorded(record)) => {
                log(&record, firing);
                Step::Over
            }
            Err(error) => {
                warn!(
                    chain = error.chain(),
                    firing = firing.id,
                    "Could not record a firing"
                );
                Step::Again(DATABASE_FAILED.to_owned())
            }
        }
    }
}

/// Tells the log what came of a firing, with the id of the request whose push set it off.
fn log(record: &Record, firing: &Trial<'_>) {
    let Record {
        trigger,
        image,
        workload,
        request_id,
        tag,
        result,
        detail,
    } = record;
    let milliseconds = firing.started.elapsed().as_millis();
    let detail = one_line(detail);
    let separator = if detail.is_empty() { "" } else { ": " };
    let id = request_id.as_deref().unwrap_or("-");
    let message = format_args!(
        "fired {trigger} for {image} \u{2192} {workload}: {result}{separator}{detail} \
         ({milliseconds} ms) {id}"
    );
    macro_rules! line {
        ($level:ident) => {
            $level!(
                trigger.name = %trigger,
                image.tag = tag,
                workload.name = workload,
                firing.result = result,
                firing.tries = firing.tries,
                error.message = (*result == "failed").then_some(&*detail),
                request.id = request_id.as_deref(),
                "{message}"
            )
        };
    }
    if *result == "failed" {
        line!(warn);
    } else {
        line!(info);
    }
}

/// A firing that is being tried.
struct Trial<'a> {
    id: i64,
    lane: &'a str,
    /// When the engine took it up.
    started: Instant,
    /// How many tries it makes, the one that is made or comes next included.
    tries: u32,
    /// What the log calls it; looked up once it has something to tell.
    about: Option<About>,
    /// See [`Engine::open`]; changes when this firing may have gone away, or its workload changed.
    open: watch::Receiver<HashSet<i64>>,
}

impl Trial<'_> {
    /// Waits until somebody takes the firing away.
    async fn goes_away(&mut self) {
        loop {
            self.may_have_changed().await;
            if !self.open.borrow().contains(&self.id) {
                return;
            }
        }
    }

    /// Waits until somebody takes the firing away, or changes its workload.
    async fn may_have_changed(&mut self) {
        if self.open.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What the log calls a firing.
struct About {
    trigger: String,
    tag: String,
}

/// How a try went.
enum Step {
    /// Nothing is left to do: there is an outcome, or the firing has gone away.
    Over,
    /// The workload wants an update to take as long as this.
    TooEarly(Duration),
    /// It is worth another one, and why.
    Again(String),
}
