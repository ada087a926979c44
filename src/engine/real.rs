//! One try of a firing at a real cluster.

use super::plan::{Plan, plan};
use super::store::{self, Firing, Outcome};
use super::{Engine, UNCHANGED};
use crate::account::NO_AGENCY;
use crate::error::Result;
use crate::kubernetes::Failure;

impl Engine {
    /// Reads, plans and patches at a real cluster. The patch names the version that was read, so
    /// that it never meets a workload that somebody has changed since.
    pub(super) async fn update_real(&self, firing_id: i64) -> Result<Attempt> {
        let db = self.db.lookups();
        let Some(firing) = store::find_firing(db, firing_id).await? else {
            return Ok(Attempt::Gone);
        };
        if self.require_agency && !firing.has_agency {
            let reason = NO_AGENCY.to_owned();
            return Ok(Attempt::Ended(Outcome::Failed(reason)));
        }
        let Firing { destination, .. } = &firing;
        let Ok(cluster) = destination.cluster(db).await? else {
            return Ok(Attempt::NotReal);
        };
        let Some(real) = self.real_clusters.get(&cluster.id) else {
            return Ok(Attempt::NotReal);
        };
        let key = destination.key(&cluster);
        let found = match real.read(&key).await {
            Ok(Some(found)) => found,
            Ok(None) => {
                let missing = destination.missing_in(&cluster);
                return Ok(Attempt::Ended(Outcome::Failed(missing.reason)));
            }
            Err(failure) => return Ok(failure.into()),
        };
        let plan = plan(firing.target(&self.regions), &found.template);
        if let Plan::Impossible(obstacle) = plan {
            return Ok(Attempt::Ended(Outcome::Failed(obstacle.reason())));
        }
        let Some(patch) = plan.patch(Some(&found.resource_version)) else {
            return Ok(Attempt::Ended(Outcome::Success(UNCHANGED.to_owned())));
        };
        Ok(match real.patch(&key, &patch).await {
            Ok(()) => Attempt::Ended(Outcome::Success(String::new())),
            Err(failure) => failure.into(),
        })
    }
}

/// How a try at a real cluster went.
pub(super) enum Attempt {
    Ended(Outcome),
    Again(String),
    /// The firing went away with its trigger.
    Gone,
    /// The cluster is simulated, or there is none.
    NotReal,
}

impl From<Failure> for Attempt {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Final(reason) => Self::Ended(Outcome::Failed(reason)),
            Failure::Passing(reason) => Self::Again(reason),
        }
    }
}
