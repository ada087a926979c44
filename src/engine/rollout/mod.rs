//! What comes of a firing once its cluster has taken the update. It stands with the firing, whose
//! workload may go away.
//!
//! A rollout that ends at once ends in the firing's own transaction (`simulated`). The others are
//! followed by one task: it ends those of simulated workloads when the clock says so, and lets
//! `watch` look at those of real clusters. `store` is the SQL.

mod store;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};
use tokio::sync::watch as signal;
use tracing::{info, warn};

pub(super) use store::has_open;
use store::{Followed, Settle};

use super::Engine;
use super::retry::FIRST_PAUSE;
use crate::clock::Timestamp;
use crate::error::{Result, one_line};
use crate::events::Event;
use crate::workload::{self, Health, RolloutState};
use watch::Watches;

/// The longest pause until the clock is looked at again.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// The rollout of a firing, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiringRollout {
    pub health: Health,
    /// Since when it is so.
    pub since: Timestamp,
    /// When somebody looked last.
    pub observed: Timestamp,
}

/// The workload that a firing chose.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema, FromRow)]
pub struct ChosenWorkload {
    /// The cluster's id.
    pub cluster: String,
    /// The Kubernetes namespace.
    #[sqlx(rename = "cluster_ns")]
    pub namespace: String,
    /// `deployments` or `statefulsets`.
    #[sqlx(rename = "app_type")]
    pub kind: String,
    /// The workload's name.
    #[sqlx(rename = "application")]
    pub name: String,
    /// The container that the trigger names; empty for all.
    pub container: String,
}

/// Where a firing went, and what came of it there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Landed {
    /// None where the firing never chose one.
    pub workload: Option<ChosenWorkload>,
    /// None where the firing did not succeed.
    pub rollout: Option<FiringRollout>,
}

impl FromRow<'_, SqliteRow> for Landed {
    /// Reads it from an entry of a history, or from a row that has none.
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let cluster: Option<String> = row.try_get("cluster")?;
        let workload = cluster.map(|_| ChosenWorkload::from_row(row));
        let state: Option<RolloutState> = row.try_get("rollout_state")?;
        let rollout = state.map(|state| {
            Ok::<_, sqlx::Error>(FiringRollout {
                health: Health {
                    state,
                    reason: row.try_get("rollout_reason")?,
                    message: row.try_get("rollout_message")?,
                },
                since: row.try_get("rollout_since")?,
                observed: row.try_get("rollout_observed")?,
            })
        });
        Ok(Self {
            workload: workload.transpose()?,
            rollout: rollout.transpose()?,
        })
    }
}

/// What a firing that ends leaves of its rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Landing {
    /// The cluster that it chose.
    pub(super) cluster: Option<String>,
    /// What became of the workload so far.
    pub(super) rollout: Option<FiringRollout>,
    /// By what the rollout is found again, while it is progressing.
    pub(super) progress: Option<Progress>,
}

impl Landing {
    /// That of a firing which failed in a cluster.
    pub(super) fn in_cluster(id: &str) -> Self {
        Self {
            cluster: Some(id.to_owned()),
            ..Self::default()
        }
    }
}

/// A rollout that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// The simulated workload; none in a real cluster.
    pub(super) workload_id: Option<i64>,
    /// The revision of a simulated workload, the generation of a real one.
    pub(super) revision: i64,
}

/// News of a firing's rollout.
#[derive(Debug, Clone, Copy)]
pub struct RolloutChange<'a> {
    pub push_id: i64,
    /// The organization's name.
    pub namespace: &'a str,
    /// The repository's name.
    pub repository: &'a str,
    pub tag: &'a str,
    /// The trigger's name.
    pub trigger: &'a str,
    pub workload: &'a ChosenWorkload,
    pub rollout: &'a FiringRollout,
    /// Whether the firing ended just now, which has a line in the log.
    pub is_new: bool,
}

impl Engine {
    /// Told of each rollout that begins, goes on or ends, once that is on disk.
    pub(super) fn rollout_changed(&self, change: &RolloutChange<'_>) {
        self.events.publish(|| Event::Rollout(change.into()));
        let RolloutChange {
            push_id,
            namespace,
            repository,
            tag,
            trigger,
            workload,
            rollout,
            is_new,
        } = change;
        let Health {
            state,
            reason,
            message,
        } = &rollout.health;
        if *is_new && *state != RolloutState::Healthy {
            self.follow();
        }
        if *state == RolloutState::Progressing {
            return;
        }
        let state_name = state.as_str();
        let told = [reason, message].map(|text| one_line(text));
        let mut told: Vec<_> = told.into_iter().filter(|text| !text.is_empty()).collect();
        told.insert(0, state_name.into());
        let told = told.join(": ");
        let place = format!("{}/{}/{}", workload.namespace, workload.kind, workload.name);
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    trigger.name = %trigger,
                    image.tag = tag,
                    push.id = push_id,
                    workload.name = place,
                    rollout.state = state_name,
                    "rollout of {trigger} for {namespace}/{repository}:{tag} \u{2192} {place}: {told}"
                )
            };
        }
        match state {
            RolloutState::Healthy if *is_new => {}
            RolloutState::Healthy => line!(info),
            _ => line!(warn),
        }
    }

    /// Lets somebody look at rollouts that have just begun.
    fn follow(&self) {
        self.rollouts.send_replace(());
    }

    /// Does what has become due by a move of the clock, before that is answered.
    pub async fn time_has_moved(&self) -> Result<()> {
        let settled = self.settle_rollouts().await;
        self.follow();
        self.wake();
        settled.map(drop)
    }

    /// Follows rollouts for as long as the engine runs.
    pub(super) async fn follow_rollouts(self: Arc<Self>, mut begun: signal::Receiver<()>) {
        let mut changes = self.db.firing_changes();
        let mut watches = Watches::default();
        let mut pause = LONGEST_SLEEP;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = begun.changed() => if changed.is_err() { return },
                // A workload or a trigger may be gone, or everything is another.
                changed = changes.changed() => if changed.is_err() { return },
                () = watches.one_ends() => {}
            }
            begun.mark_unchanged();
            changes.mark_unchanged();
            let looked = async {
                let next = self.settle_rollouts().await?;
                watches.adjust(&self).await?;
                Ok::<_, crate::error::Error>(next)
            };
            pause = match looked.await {
                Ok(next) => self.pause_until(next),
                Err(error) => {
                    warn!(chain = error.chain(), "Could not follow rollouts");
                    FIRST_PAUSE
                }
            };
        }
    }

    /// How long it is until a moment of the instance's clock.
    fn pause_until(&self, moment: Option<Timestamp>) -> Duration {
        let now = self.clock.now().as_microseconds();
        let left = moment.map(|moment| moment.as_microseconds().saturating_sub(now).max(0));
        let left = left.and_then(|left| u64::try_from(left).ok());
        left.map_or(LONGEST_SLEEP, |left| {
            Duration::from_micros(left).min(LONGEST_SLEEP)
        })
    }

    /// Ends the rollouts of simulated workloads that are due, and those that nobody will see the
    /// end of; when the next one is due.
    async fn settle_rollouts(&self) -> Result<Option<Timestamp>> {
        loop {
            let next = workload::store::find_next_end(self.db.lookups()).await?;
            let now = self.clock.now();
            let is_due = next.is_some_and(|next| next <= now);
            if !is_due && !store::has_settled(self.db.lookups()).await? {
                return Ok(next);
            }
            let changed = self.db.write(Settle { now }).await?;
            self.tell(&changed);
        }
    }

    /// Tells all who want to know of rollouts.
    fn tell(&self, changed: &[(Followed, FiringRollout)]) {
        for (firing, rollout) in changed {
            self.rollout_changed(&firing.change(rollout));
        }
        self.wake();
    }
}
