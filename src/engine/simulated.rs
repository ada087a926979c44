//! Firings at simulated clusters: what they update there and the records of them are one
//! transaction.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::SqliteConnection;

use super::UNCHANGED;
use super::destination::MOST_NEAR;
use super::plan::{Plan, plan};
use super::rollout::{FiringRollout, Landing, Progress};
use super::store::{self, Deployed, Ending, Firing, Outcome};
use crate::account::NO_AGENCY;
use crate::cce::{self, Cluster};
use crate::clock::Timestamp;
use crate::db::{BatchWrite, Touched};
use crate::error::Result;
use crate::region::Regions;
use crate::workload::{
    self, Health, Neighbours, PodTemplate, Pods, Revision, Rollout, RolloutState, Workload,
    WorkloadKey,
};

/// Firings whose workloads are in memory together, at the most.
const MOST_TOGETHER: usize = 256;

/// Lets firings that wait for the same workload update it, one after the other, and records their
/// outcomes. It ends with the first one that has to wait or to be tried again.
#[derive(Debug)]
pub(super) struct Simulate {
    /// The firings, as they are where they end, in their order; there is one at least.
    pub(super) endings: Vec<Ending>,
    /// They say under which names images of a registry are known.
    pub(super) regions: Arc<Regions>,
    /// Whether only accounts with the agency get anything deployed.
    pub(super) require_agency: bool,
    /// How long ago the try of the first firing began; those of the others begin where it ends.
    pub(super) waited: Duration,
}

impl BatchWrite for Simulate {
    /// What became of the firings, as far as they were tried: all but the first one have ended or
    /// are gone.
    type Output = Vec<Deployed>;

    /// Nothing that is kept was read from a workload.
    fn touches(&self) -> Touched {
        Touched::Subjects(self.endings.iter().map(|ending| ending.trigger).collect())
    }

    async fn run(
        group: Vec<Self>,
        transaction: &mut SqliteConnection,
    ) -> Result<Vec<Result<Vec<Deployed>>>> {
        let mut results = Vec::with_capacity(group.len());
        let mut rest = &group[..];
        while !rest.is_empty() {
            let mut firings = 0;
            let fits = rest.iter().position(|write| {
                firings += write.endings.len();
                firings > MOST_TOGETHER
            });
            let (group, others) = rest.split_at(fits.unwrap_or(rest.len()).max(1));
            run_together(group, transaction, &mut results).await?;
            rest = others;
        }
        Ok(results)
    }
}

/// Reads what all of them need, decides in memory and in their order, and writes what came of it.
async fn run_together(
    group: &[Simulate],
    transaction: &mut SqliteConnection,
    results: &mut Vec<Result<Vec<Deployed>>>,
) -> Result<()> {
    let endings = group.iter().flat_map(|write| &write.endings);
    let ids: Vec<_> = endings.map(|ending| ending.firing_id).collect();
    let mut firings = store::find_firings(&mut *transaction, &ids).await?;
    let in_order = ids.iter().filter_map(|id| firings.get(id));
    let mut world = World::read(&mut *transaction, in_order).await?;
    let mut ended = Vec::new();
    for write in group {
        let mut deployed = Vec::with_capacity(write.endings.len());
        for (at, ending) in write.endings.iter().enumerate() {
            let Some(firing) = firings.get(&ending.firing_id) else {
                deployed.push(Deployed::Gone);
                continue;
            };
            if at > 0 && world.holds_up(firing) {
                break;
            }
            match world
                .update(&mut *transaction, write, ending, firing)
                .await?
            {
                Try::Ended(outcome, landing) => {
                    deployed.push(store::end(&mut ended, *ending, firing, outcome, landing));
                    firings.remove(&ending.firing_id);
                }
                Try::TooEarly(delay) => {
                    deployed.push(Deployed::TooEarly(delay));
                    break;
                }
                Try::Again(reason) => {
                    deployed.push(Deployed::Again(reason));
                    break;
                }
            }
        }
        results.push(Ok(deployed));
    }
    world.write(&mut *transaction).await?;
    store::record(transaction, &ended).await
}

/// How a try went.
enum Try {
    Ended(Outcome, Landing),
    /// The workload wants an update to take as long as this.
    TooEarly(Duration),
    /// The cluster was not able, and why; it is worth another try.
    Again(String),
}

impl Try {
    fn failed(reason: impl Into<String>, landing: Landing) -> Self {
        Self::Ended(Outcome::Failed(reason.into()), landing)
    }
}

/// The clusters, and the workloads that some firings can update: each firing finds them as those
/// before left them.
struct World {
    clusters: Vec<Cluster>,
    workloads: Vec<Simulated>,
    /// Where in `workloads` they are.
    places: HashMap<WorkloadKey, usize>,
    /// What is near those that are missing.
    near: HashMap<WorkloadKey, Neighbours>,
}

struct Simulated {
    workload: Workload,
    is_changed: bool,
    /// What is to be recorded of it.
    rollouts: Vec<Rollout>,
    revisions: Vec<Revision>,
    /// The revision whose rollout another one ended.
    superseded: Option<i64>,
}

impl Simulated {
    /// Gives it another pod template, and begins the rollout.
    fn roll_out(&mut self, template: PodTemplate, pods: Pods<'_>, now: Timestamp) {
        let workload = &mut self.workload;
        if workload.revision == 1 {
            self.revisions.push(workload.first_revision());
        }
        if workload.due.take().is_some() {
            match self.revisions.last_mut() {
                Some(last) => last.state = RolloutState::Unknown,
                None => self.superseded = Some(workload.revision),
            }
        }
        let plan = workload.plan.as_ref();
        // What cannot be pulled does not take its time.
        let end = plan.and_then(|plan| plan.end(now));
        workload.due = end.filter(|_| pods.is_image_there);
        workload.health = match workload.due {
            None => Health::outcome(plan, pods),
            Some(end) => {
                let message = format!("the rollout ends at {end}");
                Health::new(RolloutState::Progressing, "", message)
            }
        };
        workload.since = now;
        workload.revision += 1;
        workload.template = template;
        self.is_changed = true;
        self.revisions.push(Revision {
            revision: workload.revision,
            at: now,
            images: workload.template.images(),
            state: workload.health.state,
        });
    }

    /// What a firing that succeeded finds.
    fn landing(&self, cluster: &Cluster, now: Timestamp) -> Landing {
        let Workload {
            id,
            revision,
            health,
            since,
            due,
            ..
        } = &self.workload;
        Landing {
            rollout: Some(FiringRollout {
                health: health.clone(),
                since: *since,
                observed: now,
            }),
            progress: due.map(|_| Progress {
                workload_id: Some(*id),
                revision: *revision,
            }),
            ..Landing::in_cluster(&cluster.id)
        }
    }
}

impl World {
    async fn read(
        transaction: &mut SqliteConnection,
        firings: impl Iterator<Item = &Firing>,
    ) -> Result<Self> {
        let clusters = cce::store::list(&mut *transaction).await?;
        let mut keys = Vec::new();
        let mut known = HashSet::new();
        for Firing { destination, .. } in firings {
            if let Ok(cluster) = destination.choose(&clusters) {
                let key = destination.key(&cluster);
                if known.insert(key.clone()) {
                    keys.push(key);
                }
            }
        }
        let mut workloads = Vec::new();
        let mut places = HashMap::new();
        for (key, workload) in workload::store::find_many(transaction, &keys).await? {
            places.insert(keys[key].clone(), workloads.len());
            workloads.push(Simulated {
                workload,
                is_changed: false,
                rollouts: Vec::new(),
                revisions: Vec::new(),
                superseded: None,
            });
        }
        Ok(Self {
            clusters,
            workloads,
            places,
            near: HashMap::new(),
        })
    }

    /// Whether the workload of a firing misbehaves, as a test asked it to.
    fn holds_up(&self, firing: &Firing) -> bool {
        let Ok(cluster) = firing.destination.choose(&self.clusters) else {
            return false;
        };
        let place = self.places.get(&firing.destination.key(&cluster));
        place.is_some_and(|place| {
            let misbehaviour = self.workloads[*place].workload.misbehaviour;
            misbehaviour.fail_times > 0 || misbehaviour.delay_ms > 0
        })
    }

    async fn update(
        &mut self,
        transaction: &mut SqliteConnection,
        write: &Simulate,
        ending: &Ending,
        firing: &Firing,
    ) -> Result<Try> {
        if write.require_agency && !firing.has_agency {
            return Ok(Try::failed(NO_AGENCY, Landing::default()));
        }
        let cluster = match firing.destination.choose(&self.clusters) {
            Ok(cluster) => cluster,
            Err(missing) => return Ok(Try::failed(missing.reason, Landing::default())),
        };
        let key = firing.destination.key(&cluster);
        let Some(place) = self.places.get(&key) else {
            let near = match self.near.entry(key) {
                Entry::Occupied(near) => near.into_mut(),
                Entry::Vacant(near) => {
                    let found =
                        workload::store::find_neighbours(transaction, near.key(), MOST_NEAR);
                    let found = found.await?;
                    near.insert(found)
                }
            };
            let missing = firing.destination.missing_near(&cluster, near);
            return Ok(Try::failed(
                missing.reason,
                Landing::in_cluster(&cluster.id),
            ));
        };
        let simulated = &mut self.workloads[*place];
        let workload = &mut simulated.workload;
        let delay = Duration::from_millis(workload.misbehaviour.delay_ms.into());
        if write.waited < delay {
            return Ok(Try::TooEarly(delay));
        }
        if let Some(status) = workload.take_failure() {
            simulated.is_changed = true;
            let reason = format!("the cluster answered {status}");
            let is_passing = matches!(status, 409 | 429 | 500..);
            return Ok(if is_passing {
                Try::Again(reason)
            } else {
                Try::failed(reason, Landing::in_cluster(&cluster.id))
            });
        }
        let (template, changes) = match plan(firing.target(&write.regions), &workload.template) {
            Plan::Impossible(obstacle) => {
                let landing = Landing::in_cluster(&cluster.id);
                return Ok(Try::failed(obstacle.reason(), landing));
            }
            Plan::Unchanged => {
                let landing = simulated.landing(&cluster, ending.now);
                let outcome = Outcome::Success(UNCHANGED.to_owned());
                return Ok(Try::Ended(outcome, landing));
            }
            Plan::Update { template, changes } => (template, changes),
        };
        let updated = changes.first();
        let pods = Pods {
            kind: firing.destination.app_type,
            workload: &firing.destination.application,
            container: updated.map_or("", |(container, ..)| container),
            image: updated.map_or("", |(.., image)| image),
            is_image_there: firing.has_image,
        };
        simulated.roll_out(template, pods, ending.now);
        let changes = changes
            .into_iter()
            .map(|(container, before, after)| Rollout {
                at: ending.now,
                trigger_name: firing.trigger_name.clone(),
                tag: firing.tag.clone(),
                digest: firing.digest.clone(),
                container,
                before,
                after,
            });
        simulated.rollouts.extend(changes);
        let landing = simulated.landing(&cluster, ending.now);
        Ok(Try::Ended(Outcome::Success(String::new()), landing))
    }

    async fn write(self, transaction: &mut SqliteConnection) -> Result<()> {
        let changed = self.workloads.iter().filter(|one| one.is_changed);
        let changed: Vec<_> = changed.collect();
        if changed.is_empty() {
            return Ok(());
        }
        let workloads = changed.iter().map(|one| &one.workload);
        workload::store::update(&mut *transaction, workloads).await?;
        let rollouts = changed.iter().filter(|one| !one.rollouts.is_empty());
        let rollouts: Vec<_> = rollouts
            .map(|one| (one.workload.id, &one.rollouts[..]))
            .collect();
        if rollouts.is_empty() {
            return Ok(());
        }
        workload::store::insert_rollouts(&mut *transaction, &rollouts).await?;
        let updated = changed.iter().filter(|one| !one.revisions.is_empty());
        let revisions: Vec<_> = updated
            .map(|one| (one.workload.id, &one.revisions[..]))
            .collect();
        workload::store::insert_revisions(&mut *transaction, &revisions).await?;
        let superseded = changed
            .iter()
            .filter_map(|one| Some((one.workload.id, one.superseded?)));
        let superseded: Vec<_> = superseded.collect();
        if superseded.is_empty() {
            return Ok(());
        }
        workload::store::abandon(transaction, &superseded).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::db::testing::TestDb;
    use crate::db::{Subject, Write};
    use crate::engine::testing::{Fire, seeded};
    use crate::region::Region;
    use crate::trigger::AppType;
    use crate::workload::store::PutWorkload;
    use crate::workload::{Container, FailureSettings, PodTemplate, WorkloadKey};

    const NOW: Timestamp = Timestamp::from_microseconds(1_000_000);

    async fn simulate(test: &TestDb, firing_id: i64, waited: Duration) -> Deployed {
        let write = write(&[firing_id], waited);
        let mut deployed = test.db.write(write).await.expect("written");
        assert_eq!(deployed.len(), 1);
        deployed.remove(0)
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
            plan: None,
            now: NOW,
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

    /// Runs writes in one transaction, which the queue does where they come together.
    struct Together(Vec<Simulate>);

    impl Write for Together {
        type Output = Vec<Vec<Deployed>>;

        async fn run(self, transaction: &mut SqliteConnection) -> Result<Vec<Vec<Deployed>>> {
            let results = BatchWrite::run(self.0, transaction).await?;
            results.into_iter().collect()
        }
    }

    fn write(firings: &[i64], waited: Duration) -> Simulate {
        let endings = firings.iter().map(|id| Ending {
            firing_id: *id,
            trigger: Subject::new("trigger", 1),
            tries: 1,
            now: NOW,
        });
        let address = "127.0.0.1:1".parse().expect("an address");
        Simulate {
            endings: endings.collect(),
            regions: Arc::new(Regions::new(vec![Region::new("r1", &[], address)])),
            require_agency: false,
            waited,
        }
    }

    /// Workloads of all kinds, with triggers of each, and three pushes that fire all of them.
    async fn world() -> TestDb {
        let triggers = [
            ("one", "web", "c", ""),
            ("two", "web", "c", "web"),
            ("three", "web", "", ""),
            ("no-container", "web", "c", "none"),
            ("other-image", "web", "c", "side"),
            ("fails", "failing", "c", ""),
            ("breaks", "breaking", "c", ""),
            ("waits", "slow", "c", ""),
            ("near", "wbe", "c", ""),
            ("nearer", "wbe", "c", ""),
            ("no-cluster", "web", "d", ""),
        ];
        let triggers = triggers.map(|(name, workload, cluster, container)| {
            json!({
                "name": name, "action": "update", "app_type": "deployments",
                "application": workload, "cluster_id": cluster, "cluster_ns": "default",
                "condition": ".*", "enable": "true", "trigger_type": "all",
                "container": container,
            })
        });
        let repositories = json!([{"name": "a", "triggers": triggers}]);
        let seed = json!({"organizations": [{"name": "g", "repositories": repositories}]});
        let test = TestDb::seeded(&seed.to_string()).await;
        for (name, fail_status, fail_times, delay_ms) in [
            ("web", 0, 0, 0),
            ("failing", 503, 2, 0),
            ("breaking", 404, 1, 0),
            ("slow", 0, 0, 1000),
        ] {
            let container = |name: &str, image: &str| Container {
                name: name.to_owned(),
                image: image.to_owned(),
            };
            let containers = vec![
                container("web", "127.0.0.1:1/g/a:v0"),
                container("side", "b:1"),
            ];
            let put = PutWorkload {
                cluster: "c".to_owned(),
                key: WorkloadKey {
                    cluster_id: "c".to_owned(),
                    namespace: "default".to_owned(),
                    kind: AppType::Deployments,
                    name: name.to_owned(),
                },
                template: PodTemplate::new(containers, Vec::new()).expect("a template"),
                misbehaviour: FailureSettings {
                    fail_status,
                    fail_times,
                    delay_ms,
                },
                plan: None,
                now: NOW,
            };
            test.db.write(put).await.expect("put");
        }
        for (push_id, tag) in [(1, "v1"), (2, "v1"), (3, "v2")] {
            let fire = Fire { push_id, tag };
            test.db.write(fire).await.expect("fired");
        }
        test
    }

    /// All that firings leave behind but moments.
    async fn left_behind(test: &TestDb) -> Vec<String> {
        let statements = [
            "SELECT json_group_array(json_array(id, push_id, trigger_id, tag, digest))
             FROM firings",
            "SELECT json_group_array(json_array(id, trigger_id, push_id, app_type, application,
                                                cluster_id, cluster_name, cluster_ns, condition,
                                                container, creator_name, tag, result, detail,
                                                tries, cluster, rollout_state, rollout_reason,
                                                rollout_message, rollout_since, rollout_observed,
                                                workload_id, revision))
             FROM trigger_history",
            "SELECT json_group_array(json_array(workload_id, revision, at, images, state))
             FROM revisions",
            // Their numbers say nothing of different workloads.
            "SELECT json_group_array(json_array(workload_id, trigger_name, tag, digest, container,
                                                before, after) ORDER BY workload_id, id)
             FROM rollouts",
            "SELECT json_group_array(json_array(id, containers, init_containers, annotations,
                                                fail_status, fail_times, delay_ms, revision, state,
                                                reason, message, since, due))
             FROM workloads",
        ];
        let mut found = Vec::new();
        for statement in statements {
            let rows = sqlx::query_scalar(statement).fetch_one(test.db.readers());
            found.push(rows.await.expect("read"));
        }
        found
    }

    #[tokio::test]
    async fn firings_that_end_together_end_as_they_would_one_by_one() {
        let firings: Vec<_> = (1..=33).collect();
        let (one_by_one, together) = (world().await, world().await);
        let mut expected = Vec::new();
        for firing in &firings {
            let write = write(&[*firing], Duration::ZERO);
            expected.push(one_by_one.db.write(write).await.expect("written"));
        }
        let writes = firings
            .iter()
            .map(|firing| write(&[*firing], Duration::ZERO));

        let deployed = together.db.write(Together(writes.collect())).await;

        assert_eq!(deployed.expect("written"), expected);
        let left = left_behind(&together).await;
        assert_eq!(left, left_behind(&one_by_one).await);
        let ended = expected.iter().flatten();
        let ended = ended.filter(|one| matches!(one, Deployed::Recorded(_)));
        assert_eq!(ended.count(), 33 - 2 - 3, "two failed for now, three wait");
    }

    #[tokio::test]
    async fn firings_behind_one_go_along_until_one_is_held_up() {
        let test = world().await;
        let run = async |firings: &[i64], waited| {
            let deployed = test.db.write(write(firings, waited)).await;
            let deployed = deployed.expect("written");
            let told = deployed.iter().map(|one| match one {
                Deployed::Recorded(record) => format!("{} {}", record.result, record.detail),
                other => format!("{other:?}"),
            });
            told.collect::<Vec<_>>()
        };
        let zero = Duration::ZERO;
        let unchanged = format!("success {UNCHANGED}");
        // Those of `one` and `two` at all pushes, in their order.
        assert_eq!(
            run(&[1, 2, 12, 13, 23, 24], zero).await,
            [
                "success ", &unchanged, &unchanged, &unchanged, "success ", &unchanged
            ]
        );
        assert_eq!(run(&[1, 3, 2], zero).await, ["Gone", "success ", "Gone"]);
        let again = r#"Again("the cluster answered 503")"#;
        assert_eq!(run(&[6, 17, 28], zero).await, [again]);
        assert_eq!(run(&[6, 17, 28], zero).await, [again]);
        assert_eq!(
            run(&[6, 17, 28], zero).await,
            ["success ", &unchanged, "success "]
        );
        let broken = "failed the cluster answered 404";
        assert_eq!(run(&[7, 18, 29], zero).await[0], broken);
        let delay = Duration::from_secs(1);
        assert_eq!(run(&[8, 19], zero).await, ["TooEarly(1s)"]);
        assert_eq!(run(&[8, 19], delay).await, ["success "]);
        assert_eq!(run(&[19, 30], delay).await, [unchanged]);
    }
}
