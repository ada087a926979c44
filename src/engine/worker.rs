//! The worker: it takes firings from the queue, in order for each workload and without waiting for
//! others, and tries each until it has an outcome.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};

use super::real::Attempt;
use super::retry::{self, FIRST_PAUSE, LONGEST_PAUSE, jittered};
use super::rollout::Landing;
use super::simulated::Simulate;
use super::store::{self, Deployed, End, Ending, Outcome, Record};
use super::{Engine, Waiting};
use crate::cce;
use crate::db::Subject;
use crate::error::{Error, Result, one_line};
use crate::region::Regions;

/// Why a try is repeated that failed for a reason of our own, which the log tells.
pub(super) const DATABASE_FAILED: &str = "the database failed";

/// How many firings that wait for a workload are tried in the transaction of the one before them.
const MOST_BEHIND: usize = 63;

/// The least and the most time that one try at a real cluster gets.
const SHORTEST_TRY: Duration = Duration::from_secs(2);
const LONGEST_TRY: Duration = Duration::from_secs(30);

/// The running worker; it ends with this value.
#[derive(Debug)]
pub struct FiringWorker {
    engine: Arc<Engine>,
    task: JoinHandle<()>,
    /// Follows rollouts.
    follower: JoinHandle<()>,
}

impl Drop for FiringWorker {
    fn drop(&mut self) {
        self.engine.is_stopping.store(true, Ordering::Release);
        self.task.abort();
        self.follower.abort();
    }
}

impl Engine {
    /// Starts to work on what waits from now on, and where `has_open`, from an earlier run.
    pub fn start(self: &Arc<Self>, has_open: bool) -> FiringWorker {
        let (mut pushes, changes) = (self.db.pushes(), self.db.firing_changes());
        let mut rollouts = self.rollouts.subscribe();
        if has_open {
            pushes.mark_changed();
            rollouts.mark_changed();
        }
        let engine = Arc::clone(self);
        FiringWorker {
            engine: Arc::clone(self),
            task: tokio::spawn(Arc::clone(&engine).work(pushes, changes)),
            follower: tokio::spawn(engine.follow_rollouts(rollouts)),
        }
    }

    async fn work(
        self: Arc<Self>,
        mut pushes: watch::Receiver<()>,
        mut changes: watch::Receiver<()>,
    ) {
        let mut last = 0;
        let mut are_changed = false;
        loop {
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
            pushes.mark_unchanged();
            if changes.has_changed().unwrap_or(false) {
                changes.mark_unchanged();
                are_changed = true;
            }
            let looked = async {
                let waiting = store::list_waiting(self.db.lookups(), last).await?;
                self.tell_of_pushes().await;
                if !waiting.is_empty() {
                    let clusters = cce::store::list(self.db.lookups()).await?;
                    for firing in waiting {
                        last = firing.id;
                        let waiting = Waiting {
                            id: firing.id,
                            trigger: firing.trigger(),
                        };
                        self.line_up(waiting, firing.destination.lane(&clusters));
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
                pushes.mark_changed();
            }
        }
    }

    /// Puts a firing behind the others at its workload; the first one starts the lane.
    fn line_up(self: &Arc<Self>, firing: Waiting, lane: String) {
        let mut lanes = self.lanes.lock();
        if let Some(waiting) = lanes.get_mut(&lane) {
            waiting.push_back(firing);
            return;
        }
        lanes.insert(lane.clone(), VecDeque::from([firing]));
        let engine = Arc::clone(self);
        tokio::spawn(async move { engine.drive(&lane).await });
    }

    /// Takes out of the lanes what a deletion or a reset took away, and lets those that are being
    /// tried look for themselves.
    async fn drop_what_is_gone(&self) -> Result<()> {
        let is_idle = || {
            let lanes = self.lanes.lock();
            lanes.is_empty()
        };
        if !is_idle() {
            let open = store::list_open(self.db.lookups()).await?;
            let mut lanes = self.lanes.lock();
            for lane in lanes.values_mut() {
                lane.retain(|firing| open.contains(&firing.id));
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
                let mut lanes = self.lanes.lock();
                let next = lanes.get_mut(lane).and_then(VecDeque::pop_front);
                if next.is_none() {
                    lanes.remove(lane);
                }
                next.map(|Waiting { id, trigger }| Trial {
                    id,
                    trigger,
                    lane,
                    regions: &self.regions,
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
                // Where the last try went is not known to those that come here.
                let outcome = Outcome::Failed(reason);
                if let Step::Over = self.end(firing, outcome, Landing::default()).await {
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
        if !self.real_clusters().is_empty() {
            let time = left.clamp(SHORTEST_TRY, LONGEST_TRY);
            match self.try_real(firing, time).await {
                Attempt::Ended(outcome, landing) => {
                    return self.end(firing, outcome, landing).await;
                }
                Attempt::Again(reason) => return Step::Again(reason),
                Attempt::Gone => return Step::Over,
                Attempt::NotReal => {}
            }
        }
        self.simulate(firing, waited).await
    }

    /// One try at a simulated cluster. Those that wait behind it go along, as far as they end at
    /// once: a transaction of its own would take each of them longer than all that it does.
    async fn simulate(&self, firing: &Trial<'_>, waited: Duration) -> Step {
        let first = self.ending(firing);
        let behind = self.behind(firing.lane);
        let others = behind.iter().map(|behind| Ending {
            firing_id: behind.id,
            trigger: behind.trigger,
            tries: 1,
            ..first
        });
        let simulate = Simulate {
            endings: std::iter::once(first).chain(others).collect(),
            regions: Arc::clone(&self.regions),
            require_agency: self.require_agency,
            waited,
        };
        let written = self.record(1 + behind.len(), self.db.write(simulate)).await;
        let mut deployed = match written {
            Ok(deployed) => deployed.into_iter(),
            Err(error) => return firing.not_recorded(&error),
        };
        let step = deployed
            .next()
            .map_or(Step::Over, |deployed| firing.step(deployed));
        self.leave(firing.lane, &behind[..deployed.len()]);
        for deployed in deployed {
            if let Deployed::Recorded(record) = deployed {
                log(&self.regions, &record, 1, firing.started);
            }
        }
        step
    }

    async fn end(&self, firing: &Trial<'_>, outcome: Outcome, landing: Landing) -> Step {
        let end = End {
            outcome,
            landing,
            ending: self.ending(firing),
        };
        let written = self.record(1, async { Ok([self.db.write(end).await?]) });
        match written.await {
            Ok([deployed]) => firing.step(deployed),
            Err(error) => firing.not_recorded(&error),
        }
    }

    fn ending(&self, firing: &Trial<'_>) -> Ending {
        Ending {
            firing_id: firing.id,
            trigger: firing.trigger,
            tries: firing.tries,
            now: self.clock.now(),
        }
    }

    /// The next ones that wait for the same workload. With real clusters there are none: which one
    /// a firing means is looked up when its turn comes.
    fn behind(&self, lane: &str) -> Vec<Waiting> {
        if !self.real_clusters().is_empty() {
            return Vec::new();
        }
        let lanes = self.lanes.lock();
        let waiting = lanes.get(lane).into_iter().flatten();
        waiting.take(MOST_BEHIND).copied().collect()
    }

    /// Takes those that have ended out of a lane, in which they are the first.
    fn leave(&self, lane: &str, ended: &[Waiting]) {
        let mut lanes = self.lanes.lock();
        let Some(waiting) = lanes.get_mut(lane) else {
            return;
        };
        for firing in ended {
            // One that is not there was taken away meanwhile.
            if waiting.front() == Some(firing) {
                waiting.pop_front();
            }
        }
    }

    /// Waits for a write that may end so many firings, and counts those that it did.
    async fn record<D: AsRef<[Deployed]>>(
        &self,
        firings: usize,
        write: impl Future<Output = Result<D>>,
    ) -> Result<D> {
        let firings = firings as u64;
        self.counts
            .send_modify(|counts| counts.recording += firings);
        let written = write.await;
        if let Ok(deployed) = &written {
            self.tell_of_outcomes(deployed.as_ref());
        }
        self.counts.send_modify(|counts| {
            counts.recording -= firings;
            for deployed in written.iter().flat_map(AsRef::as_ref) {
                if let Deployed::Recorded(record) = deployed {
                    counts.fired += 1;
                    counts.failed += u64::from(record.result == "failed");
                }
            }
        });
        for deployed in written.iter().flat_map(AsRef::as_ref) {
            if let Deployed::Recorded(record) = deployed
                && let Some(change) = record.change()
            {
                self.rollout_changed(&change);
            }
        }
        written
    }
}

/// Tells the log what came of a firing, with the id of the request whose push set it off; of one that
/// failed, also where the console shows the push.
fn log(regions: &Regions, record: &Record, tries: u32, started: Instant) {
    let Record {
        trigger,
        image,
        workload,
        request_id,
        tag,
        result,
        detail,
        ..
    } = record;
    let milliseconds = started.elapsed().as_millis();
    let page = (*result == "failed")
        .then(|| regions.get(&record.region))
        .flatten()
        .map(|region| region.page_of_push(&record.namespace, &record.repository, record.push_id));
    let detail = one_line(detail);
    let separator = if detail.is_empty() { "" } else { ": " };
    let id = request_id.as_deref().unwrap_or("-");
    let message = format_args!(
        "fired {trigger} for {image} \u{2192} {workload}: {result}{separator}{detail} \
         ({milliseconds} ms) {id}{}",
        page.as_deref()
            .map_or_else(String::new, |page| format!(" {page}")),
    );
    macro_rules! line {
        ($level:ident) => {
            $level!(
                trigger.name = %trigger,
                image.tag = tag,
                workload.name = workload,
                firing.result = result,
                firing.tries = tries,
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
pub(super) struct Trial<'a> {
    pub(super) id: i64,
    /// Its trigger with the history.
    trigger: Subject,
    lane: &'a str,
    regions: &'a Regions,
    /// When the engine took it up.
    started: Instant,
    /// How many tries it makes, the one that is made or comes next included.
    pub(super) tries: u32,
    /// What the log calls it; looked up once it has something to tell.
    about: Option<About>,
    /// See [`Engine::open`]; changes when this firing may have gone away, or its workload changed.
    open: watch::Receiver<HashSet<i64>>,
}

impl Trial<'_> {
    /// What a write that could end it comes to.
    fn step(&self, deployed: Deployed) -> Step {
        match deployed {
            Deployed::Again(reason) => Step::Again(reason),
            Deployed::TooEarly(delay) => Step::TooEarly(delay),
            Deployed::Gone => Step::Over,
            Deployed::Recorded(record) => {
                log(self.regions, &record, self.tries, self.started);
                Step::Over
            }
        }
    }

    fn not_recorded(&self, error: &Error) -> Step {
        warn!(
            chain = error.chain(),
            firing = self.id,
            "Could not record a firing"
        );
        Step::Again(DATABASE_FAILED.to_owned())
    }

    /// Waits until somebody takes the firing away.
    pub(super) async fn goes_away(&mut self) {
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
