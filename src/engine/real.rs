//! One try of a firing at a real cluster.

use std::time::Duration;

use tracing::warn;

use super::plan::{Plan, plan};
use super::rollout::{FiringRollout, Landing, Progress};
use super::store::{self, Firing, Outcome};
use super::worker::{DATABASE_FAILED, Trial};
use super::{Engine, UNCHANGED};
use crate::account::NO_AGENCY;
use crate::cce;
use crate::error::Result;
use crate::kubernetes::Failure;
use crate::workload::{Health, RolloutState};

impl Engine {
    /// One try at a real cluster, which gets some time, and ends early where the firing goes away.
    pub(super) async fn try_real(&self, firing: &mut Trial<'_>, time: Duration) -> Attempt {
        let firing_id = firing.id;
        let updated = tokio::select! {
            updated = tokio::time::timeout(time, self.update_real(firing_id)) => updated,
            () = firing.goes_away() => return Attempt::Gone,
        };
        let Ok(updated) = updated else {
            let reason = format!("the cluster took more than {} s", time.as_secs());
            return Attempt::Again(reason);
        };
        updated.unwrap_or_else(|error| {
            warn!(
                chain = error.chain(),
                firing = firing_id,
                "Could not read a firing"
            );
            Attempt::Again(DATABASE_FAILED.to_owned())
        })
    }

    /// Reads, plans and patches at a real cluster. The patch names the version that was read, so
    /// that it never meets a workload that somebody has changed since.
    async fn update_real(&self, firing_id: i64) -> Result<Attempt> {
        let db = self.db.lookups();
        let Some(firing) = store::find_firing(db, firing_id).await? else {
            return Ok(Attempt::Gone);
        };
        if self.require_agency && !firing.has_agency {
            let outcome = Outcome::Failed(NO_AGENCY.to_owned());
            return Ok(Attempt::Ended(outcome, Landing::default()));
        }
        let Firing { destination, .. } = &firing;
        let Ok(cluster) = destination.choose(&cce::store::list(db).await?) else {
            return Ok(Attempt::NotReal);
        };
        let real_clusters = self.real_clusters();
        let Some(real) = real_clusters.get(&cluster.id) else {
            return Ok(Attempt::NotReal);
        };
        let key = destination.key(&cluster);
        let found = match real.read(&key).await {
            Ok(Some(found)) => found,
            Ok(None) => {
                let outcome = Outcome::Failed(destination.missing_in(&cluster).reason);
                return Ok(Attempt::Ended(outcome, Landing::in_cluster(&cluster.id)));
            }
            Err(failure) => return Ok(Attempt::failed(failure, &cluster.id)),
        };
        let plan = plan(firing.target(&self.regions), &found.template);
        if let Plan::Impossible(obstacle) = plan {
            let outcome = Outcome::Failed(obstacle.reason());
            return Ok(Attempt::Ended(outcome, Landing::in_cluster(&cluster.id)));
        }
        let Some(patch) = plan.patch(Some(&found.resource_version)) else {
            let landing = self.landed_in(&cluster.id, found.generation);
            let outcome = Outcome::Success(UNCHANGED.to_owned());
            return Ok(Attempt::Ended(outcome, landing));
        };
        Ok(match real.patch(&key, &patch).await {
            Ok(generation) => {
                let landing = self.landed_in(&cluster.id, generation);
                Attempt::Ended(Outcome::Success(String::new()), landing)
            }
            Err(failure) => Attempt::failed(failure, &cluster.id),
        })
    }

    /// The rollout of a workload that a cluster has with this generation.
    fn landed_in(&self, cluster: &str, generation: i64) -> Landing {
        let now = self.clock.now();
        let message = "the cluster has taken the update";
        let rollout = FiringRollout {
            health: Health::new(RolloutState::Progressing, "", message),
            since: now,
            observed: now,
        };
        Landing {
            rollout: Some(rollout),
            progress: Some(Progress {
                workload_id: None,
                revision: generation,
            }),
            ..Landing::in_cluster(cluster)
        }
    }
}

/// How a try at a real cluster went.
pub(super) enum Attempt {
    Ended(Outcome, Landing),
    Again(String),
    /// The firing went away with its trigger.
    Gone,
    /// The cluster is simulated, or there is none.
    NotReal,
}

impl Attempt {
    fn failed(failure: Failure, cluster: &str) -> Self {
        match failure {
            Failure::Final(reason) => {
                Self::Ended(Outcome::Failed(reason), Landing::in_cluster(cluster))
            }
            Failure::Passing(reason) => Self::Again(reason),
        }
    }
}
