//! One try of a firing at a simulated cluster: what it updates there and the record of it are one
//! transaction.

use std::sync::Arc;
use std::time::Duration;

use sqlx::SqliteConnection;

use super::UNCHANGED;
use super::destination::MOST_NEAR;
use super::plan::{Plan, plan};
use super::store::{Deployed, Ending, Firing, Outcome, find_firing, record};
use crate::account::NO_AGENCY;
use crate::cce;
use crate::db::Write;
use crate::error::Result;
use crate::region::Regions;
use crate::workload::{self, Rollout};

/// Lets a firing update its simulated workload, and records the outcome, in one transaction.
#[derive(Debug)]
pub(super) struct Simulate {
    /// The firing, as it is where it ends.
    pub(super) ending: Ending,
    /// They say under which names images of a registry are known.
    pub(super) regions: Arc<Regions>,
    /// Whether only accounts with the agency get anything deployed.
    pub(super) require_agency: bool,
    /// How long ago the try began.
    pub(super) waited: Duration,
}

impl Write for Simulate {
    type Output = Deployed;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Deployed> {
        let Some(firing) = find_firing(&mut *transaction, self.ending.firing_id).await? else {
            return Ok(Deployed::Gone);
        };
        match self.update(transaction, &firing).await? {
            Try::Ended(outcome) => record(transaction, &self.ending, &firing, outcome).await,
            Try::TooEarly(delay) => Ok(Deployed::TooEarly(delay)),
            Try::Again(reason) => Ok(Deployed::Again(reason)),
        }
    }
}

/// How a try went.
enum Try {
    Ended(Outcome),
    /// The workload wants an update to take as long as this.
    TooEarly(Duration),
    /// The cluster was not able, and why; it is worth another try.
    Again(String),
}

impl Try {
    fn failed(reason: impl Into<String>) -> Self {
        Self::Ended(Outcome::Failed(reason.into()))
    }
}

impl Simulate {
    async fn update(&self, transaction: &mut SqliteConnection, firing: &Firing) -> Result<Try> {
        if self.require_agency && !firing.has_agency {
            return Ok(Try::failed(NO_AGENCY));
        }
        let clusters = cce::store::list(&mut *transaction).await?;
        let cluster = match firing.destination.choose(&clusters) {
            Ok(cluster) => cluster,
            Err(missing) => return Ok(Try::failed(missing.reason)),
        };
        let key = firing.destination.key(&cluster);
        let Some(workload) = workload::store::find(&mut *transaction, &key).await? else {
            let near = workload::store::find_neighbours(transaction, &key, MOST_NEAR).await?;
            let missing = firing.destination.missing_near(&cluster, &near);
            return Ok(Try::failed(missing.reason));
        };
        let delay = Duration::from_millis(workload.misbehaviour.delay_ms.into());
        if self.waited < delay {
            return Ok(Try::TooEarly(delay));
        }
        if let Some(status) = workload::store::take_failure(transaction, &workload).await? {
            let reason = format!("the cluster answered {status}");
            let is_passing = matches!(status, 409 | 429 | 500..);
            return Ok(if is_passing {
                Try::Again(reason)
            } else {
                Try::failed(reason)
            });
        }
        let (template, changes) = match plan(firing.target(&self.regions), &workload.template) {
            Plan::Impossible(obstacle) => return Ok(Try::failed(obstacle.reason())),
            Plan::Unchanged => return Ok(Try::Ended(Outcome::Success(UNCHANGED.to_owned()))),
            Plan::Update { template, changes } => (template, changes),
        };
        workload::store::update(&mut *transaction, workload.id, &template).await?;
        let rollouts = changes
            .into_iter()
            .map(|(container, before, after)| Rollout {
                at: self.ending.now,
                trigger_name: firing.trigger_name.clone(),
                tag: firing.tag.clone(),
                digest: firing.digest.clone(),
                container,
                before,
                after,
            });
        let rollouts: Vec<_> = rollouts.collect();
        workload::store::insert_rollouts(transaction, workload.id, &rollouts).await?;
        Ok(Try::Ended(Outcome::Success(String::new())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::db::testing::TestDb;
    use crate::engine::testing::{Fire, seeded};
    use crate::region::Region;
    use crate::trigger::AppType;
    use crate::workload::store::PutWorkload;
    use crate::workload::{Container, FailureSettings, PodTemplate, WorkloadKey};

    async fn simulate(test: &TestDb, firing_id: i64, waited: Duration) -> Deployed {
        let address = "127.0.0.1:1".parse().expect("an address");
        let write = Simulate {
            ending: Ending {
                firing_id,
                tries: 1,
                now: Clock::default().now(),
            },
            regions: Arc::new(Regions::new(vec![Region::new("r1", &[], address)])),
            require_agency: false,
            waited,
        };
        test.db.write(write).await.expect("written")
    }

    fn ended(deployed: &Deployed) -> Option<(&'static str, &str)> {
        match deployed {
            Deployed::Recorded(record) => Some((record.result, &record.detail)),
            _ => None,
        }
    }

    #[tokio::test]
    async fn a_try_waits_for_the_workload_is_repeated_when_it_fails_and_ends_with_a_rollout() {
        let test = seeded(&[("t", "all", ".*", true)]).await;
        let key = WorkloadKey {
            cluster_id: "c".to_owned(),
            namespace: "default".to_owned(),
            kind: AppType::Deployments,
            name: "web".to_owned(),
        };
        let container = Container {
            name: "web".to_owned(),
            image: "127.0.0.1:1/g/a:v0".to_owned(),
        };
        let put = PutWorkload {
            cluster: "c".to_owned(),
            key: key.clone(),
            template: PodTemplate::new(vec![container], Vec::new()).expect("a template"),
            misbehaviour: FailureSettings {
                fail_status: 503,
                fail_times: 1,
                delay_ms: 1000,
            },
        };
        let fire = Fire {
            push_id: 1,
            tag: "v1",
        };
        test.db.write(fire).await.expect("fired");

        let missing = simulate(&test, 1, Duration::ZERO).await;
        let reason = "the trigger names no cluster, and there is not exactly one to default to";
        assert_eq!(ended(&missing), Some(("failed", reason)));
        assert_eq!(simulate(&test, 1, Duration::ZERO).await, Deployed::Gone);

        test.db.write(put).await.expect("put");
        let fire = Fire {
            push_id: 2,
            tag: "v2",
        };
        test.db.write(fire).await.expect("fired");
        let delay = Duration::from_secs(1);
        let early = simulate(&test, 2, Duration::ZERO).await;
        assert_eq!(early, Deployed::TooEarly(delay));
        let failed = simulate(&test, 2, delay).await;
        let reason = "the cluster answered 503".to_owned();
        assert_eq!(failed, Deployed::Again(reason));
        let success = simulate(&test, 2, delay).await;
        assert_eq!(ended(&success), Some(("success", "")));

        let found = workload::store::find(test.db.readers(), &key).await;
        let found = found.expect("read").expect("there");
        let image = &found.template.containers[0].image;
        assert_eq!(image, "127.0.0.1:1/g/a:v2");
        let rollouts = workload::store::list_rollouts(test.db.readers(), found.id, 10).await;
        let tags = rollouts
            .expect("read")
            .into_iter()
            .map(|rollout| rollout.tag);
        assert_eq!(tags.collect::<Vec<_>>(), ["v2"]);
    }
}
