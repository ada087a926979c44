//! Looks at rollouts in real clusters until they end. A cluster tells of changes; who may not be told
//! looks again and again. No more than some workloads are watched at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tracing::warn;

use super::FiringRollout;
use super::store::{Followed, Note, list_real};
use crate::clock::Timestamp;
use crate::engine::Engine;
use crate::error::Result;
use crate::kubernetes::{Changes, Failure};
use crate::workload::{Health, RolloutState, WorkloadKey};

/// How many workloads are watched at once.
const MOST_WATCHED: usize = 64;
/// How long it is until the next look, where the cluster tells of changes and where it does not.
const LOOK_WHEN_TOLD: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_secs(1);
/// How long changes that come together are collected.
const COLLECT: Duration = Duration::from_millis(20);
/// How much later than the cluster itself a rollout is given up.
const GRACE: Duration = Duration::from_secs(30);
/// How long a cluster may keep silent.
const LONGEST_SILENCE: Duration = Duration::from_mins(10);

/// The workloads that are watched.
#[derive(Default)]
pub(super) struct Watches {
    tasks: JoinSet<()>,
    known: HashMap<WorkloadKey, AbortHandle>,
}

impl Watches {
    /// Watches each workload with a rollout that goes on, and no other.
    pub(super) async fn adjust(&mut self, engine: &Arc<Engine>) -> Result<()> {
        self.known.retain(|_, task| !task.is_finished());
        let open = list_real(engine.db.lookups()).await?;
        let keys: Result<Vec<_>> = open.iter().map(Followed::key).collect();
        let keys = keys?;
        self.known.retain(|key, task| {
            let goes_on = keys.contains(key);
            if !goes_on {
                task.abort();
            }
            goes_on
        });
        for key in keys {
            if self.known.len() >= MOST_WATCHED {
                break;
            }
            if !self.known.contains_key(&key) {
                let watch = watch(Arc::clone(engine), key.clone());
                self.known.insert(key, self.tasks.spawn(watch));
            }
        }
        Ok(())
    }

    /// Waits until one is not watched any more.
    pub(super) async fn one_ends(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

async fn watch(engine: Arc<Engine>, key: WorkloadKey) {
    let mut watched = Watched {
        engine: &engine,
        key: &key,
        generation: 0,
        begun: Instant::now(),
        told: None,
    };
    let mut rollouts = engine.rollouts.subscribe();
    let mut changes = Changes::default();
    loop {
        rollouts.mark_unchanged();
        let pause = match watched.look(&mut changes).await {
            Ok(Some(pause)) => pause,
            Ok(None) => return,
            Err(error) => {
                warn!(chain = error.chain(), "Could not follow a rollout");
                LOOK
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = changes.next() => tokio::time::sleep(COLLECT).await,
            changed = rollouts.changed() => if changed.is_err() { return },
        }
    }
}

/// A workload that is watched.
struct Watched<'a> {
    engine: &'a Arc<Engine>,
    key: &'a WorkloadKey,
    /// The newest one that a firing made.
    generation: i64,
    /// When there was news last.
    begun: Instant,
    /// What was noted last, and since when it is so.
    told: Option<(Health, Timestamp)>,
}

impl Watched<'_> {
    /// Looks once; how long to wait for the next time, and none where nobody wants to know more.
    async fn look(&mut self, changes: &mut Changes) -> Result<Option<Duration>> {
        let mut open = list_real(self.engine.db.lookups()).await?;
        open.retain(|firing| firing.key().is_ok_and(|key| key == *self.key));
        let Some(generation) = open.iter().map(|firing| firing.revision).max() else {
            return Ok(None);
        };
        if generation > self.generation {
            self.generation = generation;
            self.begun = Instant::now();
            self.told = None;
        }
        let (health, pause) = self.see(changes).await;
        let now = self.engine.clock.now();
        let since = match &self.told {
            Some((told, since)) if told.state == health.state => *since,
            _ => now,
        };
        let is_news = self.told.as_ref().is_none_or(|(told, _)| *told != health);
        if is_news {
            self.begun = Instant::now();
            let news = open.into_iter().map(|firing| {
                let (health, since) = if firing.revision < generation {
                    (Health::superseded(), now)
                } else {
                    (health.clone(), since)
                };
                let rollout = FiringRollout {
                    health,
                    since,
                    observed: now,
                };
                (firing, rollout)
            });
            let noted = self.engine.db.write(Note(news.collect())).await?;
            self.engine.tell(&noted);
        }
        let goes_on = health.state == RolloutState::Progressing;
        self.told = Some((health, since));
        Ok(goes_on.then_some(pause))
    }

    /// How the rollout is, and how long to wait for the next look.
    async fn see(&self, changes: &mut Changes) -> (Health, Duration) {
        let real = self.engine.real_clusters();
        let Some(cluster) = real.get(&self.key.cluster_id) else {
            let message = "the cluster is not a real one any more";
            return (
                Health::new(RolloutState::Unknown, "NoCluster", message),
                LOOK,
            );
        };
        let seen = match cluster.look(self.key, self.generation).await {
            Ok(Some(seen)) => seen,
            Ok(None) => return (Health::gone(), LOOK),
            Err(Failure::Final(reason)) => {
                return (Health::new(RolloutState::Unknown, "Refused", reason), LOOK);
            }
            Err(Failure::Passing(reason)) => {
                let state = if self.begun.elapsed() > LONGEST_SILENCE {
                    RolloutState::Unknown
                } else {
                    RolloutState::Progressing
                };
                return (Health::new(state, "", reason), LOOK);
            }
        };
        if seen.health.state != RolloutState::Progressing {
            return (seen.health, LOOK);
        }
        let late = seen.progress_deadline.saturating_add(GRACE);
        if self.begun.elapsed() > late {
            let reason = "ProgressDeadlineExceeded";
            let health = Health::new(RolloutState::Degraded, reason, seen.health.message);
            return (health, LOOK);
        }
        changes.open(cluster, self.key, &seen).await;
        let pause = if changes.are_all_told() {
            LOOK_WHEN_TOLD
        } else {
            LOOK
        };
        (seen.health, pause)
    }
}
