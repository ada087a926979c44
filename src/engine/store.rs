//! The SQL of the queue: firings that wait for their outcome, and how each ends.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sqlx::{FromRow, SqliteConnection, SqliteExecutor};

use super::destination::Destination;
use super::plan::Target;
pub use super::rollout::Landing;
use super::rollout::{self, ChosenWorkload, FiringRollout, RolloutChange};
use super::{LONGEST_REASON, history};
use crate::clock::Timestamp;
use crate::db::{BatchWrite, Subject, Touched};
use crate::error::{Error, Result};
use crate::excerpt::beginning;
use crate::region::Regions;
use crate::trigger::{self, TriggerName};

/// A firing without an outcome, as far as the worker has to know it.
#[derive(Debug, FromRow)]
pub(super) struct WaitingFiring {
    /// Its number; firings happen in this order at each workload.
    pub(super) id: i64,
    repository_id: i64,
    #[sqlx(try_from = "String")]
    trigger_name: TriggerName,
    /// What it updates.
    #[sqlx(flatten)]
    pub(super) destination: Destination,
}

impl WaitingFiring {
    /// Its trigger with the history, which its end changes.
    pub(super) fn trigger(&self) -> Subject {
        trigger::store::subject(self.repository_id, &self.trigger_name)
    }
}

/// The firings after one, in order.
pub(super) async fn list_waiting(
    db: impl SqliteExecutor<'_>,
    after: i64,
) -> Result<Vec<WaitingFiring>> {
    let found = sqlx::query_as(
        "SELECT f.id, t.repository_id, t.name AS trigger_name, t.app_type, t.application,
                t.cluster_ns, t.trigger_mode, t.cluster_id, t.cluster_name
         FROM firings f JOIN triggers t ON t.id = f.trigger_id
         WHERE f.id > ? ORDER BY f.id",
    )
    .bind(after)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// All firings without an outcome.
pub async fn list_open(db: impl SqliteExecutor<'_>) -> Result<HashSet<i64>> {
    // In one row: each one is handed from SQLite's thread to ours, which takes a while.
    let found: String = sqlx::query_scalar("SELECT json_group_array(id) FROM firings")
        .fetch_one(db)
        .await?;
    serde_json::from_str(&found).map_err(Error::internal)
}

/// How many firings have no outcome yet.
pub async fn count_waiting(db: impl SqliteExecutor<'_>) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM firings")
        .fetch_one(db)
        .await?)
}

/// Whether an earlier run left firings or rollouts that have not ended.
pub async fn has_open(db: &mut SqliteConnection) -> Result<bool> {
    Ok(count_waiting(&mut *db).await? > 0 || rollout::has_open(db).await?)
}

/// A firing with what it needs of its push and its trigger.
#[derive(Debug, FromRow)]
pub(super) struct Firing {
    id: i64,
    pub(super) push_id: i64,
    pub(super) trigger_id: i64,
    pub(super) tag: String,
    pub(super) digest: String,
    pub(super) trigger_name: String,
    #[sqlx(flatten)]
    pub(super) destination: Destination,
    container: String,
    region: String,
    namespace: String,
    repository: String,
    request_id: Option<String>,
    pub(super) has_agency: bool,
    /// Whether the tag is still there.
    pub(super) has_image: bool,
}

impl Firing {
    pub(super) fn target<'a>(&'a self, regions: &'a Regions) -> Target<'a> {
        Target {
            registry_names: regions.registry_names(&self.region),
            namespace: &self.namespace,
            repository: &self.repository,
            tag: &self.tag,
            digest: &self.digest,
            container: &self.container,
        }
    }
}

pub(super) async fn find_firing(db: impl SqliteExecutor<'_>, id: i64) -> Result<Option<Firing>> {
    Ok(find_firings(db, &[id]).await?.remove(&id))
}

/// Those of some firings that have no outcome yet, by their number.
pub(super) async fn find_firings(
    db: impl SqliteExecutor<'_>,
    ids: &[i64],
) -> Result<HashMap<i64, Firing>> {
    let found: Vec<Firing> = sqlx::query_as(
        "SELECT f.id, f.push_id, f.trigger_id, f.tag, f.digest, t.name AS trigger_name,
                t.app_type, t.application, t.cluster_ns, t.trigger_mode, t.cluster_id,
                t.cluster_name, t.container, n.region, n.name AS namespace,
                r.name AS repository,
                (SELECT p.request_id FROM pushes p WHERE p.id = f.push_id) AS request_id,
                EXISTS (SELECT 1 FROM agencies a WHERE a.account_id = n.account_id) AS has_agency,
                EXISTS (SELECT 1 FROM tags g WHERE g.repository_id = r.id AND g.name = f.tag)
                    AS has_image
         FROM json_each(?) i
         CROSS JOIN firings f ON f.id = i.value
         JOIN triggers t ON t.id = f.trigger_id
         JOIN repositories r ON r.id = t.repository_id
         JOIN namespaces n ON n.id = r.namespace_id",
    )
    .bind(serde_json::to_string(ids).map_err(Error::internal)?)
    .fetch_all(db)
    .await?;
    Ok(found
        .into_iter()
        .map(|firing| (firing.id, firing))
        .collect())
}

/// What was recorded of a firing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The trigger's name.
    pub trigger: String,
    /// The pushed image, `organization/repository:tag`.
    pub image: String,
    /// The workload, `namespace/kind/name`.
    pub workload: String,
    /// The id of the request that pushed, where it is known.
    pub request_id: Option<String>,
    /// The pushed tag.
    pub tag: String,
    /// `success` or `failed`.
    pub result: &'static str,
    /// Why it failed, or what was special.
    pub detail: String,
    /// How often it was tried.
    pub tries: u32,
    /// The number of the push.
    pub push_id: i64,
    pub region: String,
    /// The organization's name.
    pub namespace: String,
    /// The repository's name.
    pub repository: String,
    /// The workload that it chose.
    pub chosen: Option<ChosenWorkload>,
    /// What became of the workload so far.
    pub rollout: Option<FiringRollout>,
}

impl Record {
    /// The news of its rollout.
    pub(super) fn change(&self) -> Option<RolloutChange<'_>> {
        Some(RolloutChange {
            push_id: self.push_id,
            namespace: &self.namespace,
            repository: &self.repository,
            tag: &self.tag,
            trigger: &self.trigger,
            workload: self.chosen.as_ref()?,
            rollout: self.rollout.as_ref()?,
            is_new: true,
        })
    }
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deployed {
    /// The firing has ended, and its history has an entry.
    Recorded(Box<Record>),
    /// The firing went away with its trigger.
    Gone,
    /// Nothing was done: the workload wants an update to take as long as this.
    TooEarly(Duration),
    /// The cluster could not be reached or was not able; it is worth another try.
    Again(String),
}

/// What came of a firing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The workload is as the trigger wants it. The text is empty unless something was special.
    Success(String),
    /// Why it is not.
    Failed(String),
}

/// Ends a firing with an outcome that is known already.
#[derive(Debug)]
pub struct End {
    /// What its history will say.
    pub outcome: Outcome,
    /// Where it went.
    pub landing: Landing,
    /// The firing.
    pub ending: Ending,
}

/// A firing that ends.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// Its number.
    pub firing_id: i64,
    /// Its trigger with the history: of what answers are kept about, an end changes nothing else.
    pub trigger: Subject,
    /// How often it was tried.
    pub tries: u32,
    pub now: Timestamp,
}

impl BatchWrite for End {
    type Output = Deployed;

    fn touches(&self) -> Touched {
        Touched::Subjects(vec![self.ending.trigger])
    }

    async fn run(
        group: Vec<Self>,
        transaction: &mut SqliteConnection,
    ) -> Result<Vec<Result<Deployed>>> {
        let ids: Vec<_> = group.iter().map(|end| end.ending.firing_id).collect();
        let mut firings = find_firings(&mut *transaction, &ids).await?;
        let mut results = Vec::with_capacity(group.len());
        let mut ended = Vec::new();
        for one in group {
            let End {
                outcome,
                landing,
                ending,
            } = one;
            results.push(Ok(match firings.remove(&ending.firing_id) {
                Some(firing) => end(&mut ended, ending, &firing, outcome, landing),
                None => Deployed::Gone,
            }));
        }
        record(transaction, &ended).await?;
        Ok(results)
    }
}

/// A firing with its outcome, which are to be recorded.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) ending: Ending,
    pub(super) trigger_id: i64,
    pub(super) push_id: i64,
    pub(super) record: Record,
    pub(super) landing: Landing,
}

/// Puts a firing among those that [`record`] ends.
pub(super) fn end(
    ended: &mut Vec<Ended>,
    ending: Ending,
    firing: &Firing,
    outcome: Outcome,
    landing: Landing,
) -> Deployed {
    let (result, detail) = match outcome {
        Outcome::Success(detail) => ("success", detail),
        Outcome::Failed(detail) => ("failed", detail),
    };
    let record = Record {
        trigger: firing.trigger_name.clone(),
        image: format!("{}/{}:{}", firing.namespace, firing.repository, firing.tag),
        workload: firing.destination.workload(),
        request_id: firing.request_id.clone(),
        tag: firing.tag.clone(),
        result,
        detail: beginning(&detail, LONGEST_REASON).to_owned(),
        tries: ending.tries,
        push_id: firing.push_id,
        region: firing.region.clone(),
        namespace: firing.namespace.clone(),
        repository: firing.repository.clone(),
        chosen: landing.cluster.clone().map(|cluster| ChosenWorkload {
            cluster,
            namespace: firing.destination.cluster_ns.clone(),
            kind: firing.destination.app_type.as_str().to_owned(),
            name: firing.destination.application.clone(),
            container: firing.container.clone(),
        }),
        rollout: landing.rollout.clone(),
    };
    ended.push(Ended {
        ending,
        trigger_id: firing.trigger_id,
        push_id: firing.push_id,
        record: record.clone(),
        landing,
    });
    Deployed::Recorded(Box::new(record))
}

/// Writes the entries of histories and ends the firings, in their order.
pub(super) async fn record(transaction: &mut SqliteConnection, ended: &[Ended]) -> Result<()> {
    if ended.is_empty() {
        return Ok(());
    }
    history::insert(&mut *transaction, ended).await?;
    let ids: Vec<_> = ended.iter().map(|ended| ended.ending.firing_id).collect();
    sqlx::query("DELETE FROM firings WHERE id IN (SELECT value FROM json_each(?))")
        .bind(serde_json::to_string(&ids).map_err(Error::internal)?)
        .execute(transaction)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::db::testing::TestDb;
    use crate::engine::testing::{Fire, seeded};
    use crate::trigger::TriggerName;
    use crate::trigger::store::DeleteTrigger;

    async fn waiting(test: &TestDb, after: i64) -> Vec<i64> {
        let found = list_waiting(test.db.readers(), after).await.expect("read");
        found.into_iter().map(|firing| firing.id).collect()
    }

    #[tokio::test]
    async fn a_firing_waits_in_its_order_until_it_ends_or_its_trigger_goes() {
        let test = seeded(&[("t", "all", ".*", true), ("u", "all", ".*", true)]).await;
        for (push_id, tag) in [(1, "v1"), (2, "v2")] {
            let fire = Fire { push_id, tag };
            test.db.write(fire).await.expect("fired");
        }
        assert_eq!(waiting(&test, 0).await, [1, 2, 3, 4]);
        assert_eq!(waiting(&test, 2).await, [3, 4]);

        let end = |firing_id| End {
            outcome: Outcome::Success("\u{e9}".repeat(LONGEST_REASON + 1)),
            landing: Landing::default(),
            ending: Ending {
                firing_id,
                trigger: Subject::new("trigger", 1),
                tries: 2,
                now: Clock::default().now(),
            },
        };
        let ended = test.db.write(end(3)).await.expect("ended");
        let record = Record {
            trigger: "t".to_owned(),
            image: "g/a:v2".to_owned(),
            workload: "default/deployments/web".to_owned(),
            request_id: None,
            tag: "v2".to_owned(),
            result: "success",
            detail: "\u{e9}".repeat(LONGEST_REASON),
            tries: 2,
            push_id: 2,
            region: "r1".to_owned(),
            namespace: "g".to_owned(),
            repository: "a".to_owned(),
            chosen: None,
            rollout: None,
        };
        assert_eq!(ended, Deployed::Recorded(Box::new(record)));
        assert_eq!(waiting(&test, 0).await, [1, 2, 4]);
        let again = test.db.write(end(3)).await.expect("read");
        assert_eq!(again, Deployed::Gone);

        let delete = DeleteTrigger {
            repository_id: 1,
            name: TriggerName::parse("name", "u").expect("a name"),
        };
        test.db.write(delete).await.expect("deleted");
        let open = list_open(test.db.readers()).await.expect("read");
        assert_eq!(open, HashSet::from([1]));
        assert_eq!(count_waiting(test.db.readers()).await.ok(), Some(1));
    }
}
