//! The SQL of firings and of the history they leave.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection, SqliteExecutor};

use super::UNCHANGED;
use super::destination::{Destination, MOST_NEAR};
use super::matching::Judgement;
use super::plan::{Plan, Target, plan};
use crate::account::NO_AGENCY;
use crate::clock::Moment;
use crate::db::SingleWrite;
use crate::error::{Error, Result};
use crate::excerpt::beginning;
use crate::region::Regions;
use crate::tag::TagName;
use crate::trigger::{self, AppType, Candidate, Cluster, Expression, TriggerMode, Verdict};
use crate::workload::{self, Rollout};

/// Entries of the history that a trigger keeps.
const MOST_ENTRIES: i64 = 100;
/// Triggers that a push's record names as not fired.
const MOST_PASSED_OVER: u32 = 100;
/// The longest reason why one did not, and the longest detail of one that did, in characters: the
/// tags of a condition, and the image of a container, can fill a body.
pub(super) const LONGEST_REASON: u16 = 1000;

/// Decides, in the transaction that stores a tag, which triggers fire: one firing for each
/// trigger of the repository that the tag fires now, and a reason for each other one.
pub async fn decide(
    transaction: &mut SqliteConnection,
    push_id: i64,
    repository_id: i64,
    tag: &TagName,
    digest: &str,
    mut judgement: Judgement,
) -> Result<()> {
    let candidates = trigger::store::list_candidates(&mut *transaction, repository_id).await?;
    let mut fired = Vec::new();
    for candidate in &candidates {
        if judge(candidate, tag, &mut judgement)?.fires() {
            fired.push(candidate.id);
        }
    }
    if !fired.is_empty() {
        insert_firings(&mut *transaction, push_id, tag, digest, &fired).await?;
    }
    if fired.len() == candidates.len() {
        return Ok(());
    }
    let named =
        trigger::store::list_names_but(&mut *transaction, repository_id, &fired, MOST_PASSED_OVER);
    let mut reasons = Vec::new();
    for (id, name) in named.await? {
        let at = candidates.binary_search_by_key(&id, |candidate| candidate.id);
        let candidate = &candidates[at.map_err(|_| Error::internal("an unread trigger"))?];
        let reason = judge(candidate, tag, &mut judgement)?.to_string();
        reasons.push((name, beginning(&reason, LONGEST_REASON.into()).to_owned()));
    }
    insert_passed_over(transaction, push_id, &reasons).await
}

fn judge<'a>(
    candidate: &'a Candidate,
    tag: &'a TagName,
    judgement: &mut Judgement,
) -> Result<Verdict<'a>> {
    let is_match = |expression: &Expression| judgement.judge(expression.as_str(), tag);
    trigger::judge(candidate.enabled, &candidate.condition, tag, is_match)
}

async fn insert_firings(
    db: impl SqliteExecutor<'_>,
    push_id: i64,
    tag: &TagName,
    digest: &str,
    triggers: &[i64],
) -> Result<()> {
    sqlx::query(
        "INSERT INTO firings (push_id, trigger_id, tag, digest)
         SELECT ?1, t.value, ?2, ?3 FROM json_each(?4) t",
    )
    .bind(push_id)
    .bind(tag.as_str())
    .bind(digest)
    .bind(serde_json::to_string(triggers).map_err(Error::internal)?)
    .execute(db)
    .await?;
    Ok(())
}

async fn insert_passed_over(
    db: impl SqliteExecutor<'_>,
    push_id: i64,
    reasons: &[(String, String)],
) -> Result<()> {
    sqlx::query(
        "INSERT INTO passed_over (push_id, trigger_name, reason)
         SELECT ?1, t.value->>0, t.value->>1 FROM json_each(?2) t",
    )
    .bind(push_id)
    .bind(serde_json::to_string(reasons).map_err(Error::internal)?)
    .execute(db)
    .await?;
    Ok(())
}

/// A firing without an outcome, as far as the worker has to know it.
#[derive(Debug)]
pub(super) struct WaitingFiring {
    /// Its number; firings happen in this order at each workload.
    pub(super) id: i64,
    /// What it updates.
    pub(super) destination: Destination,
}

#[derive(FromRow)]
struct WaitingRow {
    id: i64,
    #[sqlx(flatten)]
    destination: DestinationRow,
}

/// The firings after one, in order.
pub(super) async fn list_waiting(
    db: impl SqliteExecutor<'_>,
    after: i64,
) -> Result<Vec<WaitingFiring>> {
    let found: Vec<WaitingRow> = sqlx::query_as(
        "SELECT f.id, t.app_type, t.application, t.cluster_ns, t.trigger_mode, t.cluster_id,
                t.cluster_name
         FROM firings f JOIN triggers t ON t.id = f.trigger_id
         WHERE f.id > ? ORDER BY f.id",
    )
    .bind(after)
    .fetch_all(db)
    .await?;
    let waiting = found.into_iter().map(|row| {
        Ok(WaitingFiring {
            id: row.id,
            destination: row.destination.try_into()?,
        })
    });
    waiting.collect()
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

/// A firing with what it needs of its push and its trigger.
#[derive(Debug)]
pub(super) struct Firing {
    push_id: i64,
    trigger_id: i64,
    pub(super) tag: String,
    pub(super) digest: String,
    pub(super) trigger_name: String,
    pub(super) destination: Destination,
    container: String,
    region: String,
    namespace: String,
    repository: String,
    pub(super) has_agency: bool,
}

#[derive(FromRow)]
struct FiringRow {
    push_id: i64,
    trigger_id: i64,
    tag: String,
    digest: String,
    trigger_name: String,
    #[sqlx(flatten)]
    destination: DestinationRow,
    container: String,
    region: String,
    namespace: String,
    repository: String,
    has_agency: bool,
}

#[derive(FromRow)]
struct DestinationRow {
    app_type: String,
    application: String,
    cluster_ns: String,
    trigger_mode: String,
    cluster_id: String,
    cluster_name: String,
}

impl TryFrom<DestinationRow> for Destination {
    type Error = Error;

    fn try_from(row: DestinationRow) -> Result<Self> {
        let mode = TriggerMode::parse(&row.trigger_mode).map_err(Error::internal)?;
        Ok(Self {
            app_type: AppType::parse(&row.app_type).map_err(Error::internal)?,
            application: row.application,
            cluster_ns: row.cluster_ns,
            cluster: Cluster::new(mode, row.cluster_id, row.cluster_name),
        })
    }
}

impl TryFrom<FiringRow> for Firing {
    type Error = Error;

    fn try_from(row: FiringRow) -> Result<Self> {
        Ok(Self {
            push_id: row.push_id,
            trigger_id: row.trigger_id,
            tag: row.tag,
            digest: row.digest,
            trigger_name: row.trigger_name,
            destination: row.destination.try_into()?,
            container: row.container,
            region: row.region,
            namespace: row.namespace,
            repository: row.repository,
            has_agency: row.has_agency,
        })
    }
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
    let found: Option<FiringRow> = sqlx::query_as(
        "SELECT f.push_id, f.trigger_id, f.tag, f.digest, t.name AS trigger_name, t.app_type,
                t.application, t.cluster_ns, t.trigger_mode, t.cluster_id, t.cluster_name,
                t.container, n.region, n.name AS namespace, r.name AS repository,
                EXISTS (SELECT 1 FROM agencies a WHERE a.account_id = n.account_id) AS has_agency
         FROM firings f
         JOIN triggers t ON t.id = f.trigger_id
         JOIN repositories r ON r.id = t.repository_id
         JOIN namespaces n ON n.id = r.namespace_id
         WHERE f.id = ?",
    )
    .bind(id)
    .fetch_optional(db)
    .await?;
    found.map(Firing::try_from).transpose()
}

/// What was recorded of a firing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The trigger's name.
    pub trigger: String,
    /// The pushed tag.
    pub tag: String,
    /// `success` or `failed`.
    pub result: &'static str,
    /// Why it failed, or what was special.
    pub detail: String,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deployed {
    /// The firing has ended, and its history has an entry.
    Recorded(Record),
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

/// Lets a firing update its simulated workload, and records the outcome, in one transaction.
#[derive(Debug)]
pub struct Simulate {
    /// The firing, as it is where it ends.
    pub ending: Ending,
    /// They say under which names images of a registry are known.
    pub regions: Arc<Regions>,
    /// Whether only accounts with the agency get anything deployed.
    pub require_agency: bool,
    /// How long ago the try began.
    pub waited: Duration,
}

impl SingleWrite for Simulate {
    type Output = Deployed;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Deployed> {
        let Some(firing) = find_firing(&mut *transaction, self.ending.firing_id).await? else {
            return Ok(Deployed::Gone);
        };
        match self.update(transaction, &firing).await? {
            Ok(outcome) => record(transaction, &self.ending, &firing, outcome).await,
            Err(deployed) => Ok(deployed),
        }
    }
}

impl Simulate {
    /// The outcome, or why there is none yet.
    async fn update(
        &self,
        transaction: &mut SqliteConnection,
        firing: &Firing,
    ) -> Result<std::result::Result<Outcome, Deployed>> {
        if self.require_agency && !firing.has_agency {
            return Ok(Ok(Outcome::Failed(NO_AGENCY.to_owned())));
        }
        let cluster = match firing.destination.cluster(&mut *transaction).await? {
            Ok(cluster) => cluster,
            Err(missing) => return Ok(Ok(Outcome::Failed(missing.reason))),
        };
        let key = firing.destination.key(&cluster);
        let Some(workload) = workload::store::find(&mut *transaction, &key).await? else {
            let near = workload::store::find_neighbours(transaction, &key, MOST_NEAR).await?;
            let missing = firing.destination.missing_near(&cluster, &near);
            return Ok(Ok(Outcome::Failed(missing.reason)));
        };
        let delay = Duration::from_millis(workload.misbehaviour.delay_ms.into());
        if self.waited < delay {
            return Ok(Err(Deployed::TooEarly(delay)));
        }
        if let Some(status) = workload::store::take_failure(transaction, &workload).await? {
            let reason = format!("the cluster answered {status}");
            let is_passing = matches!(status, 409 | 429 | 500..);
            return Ok(if is_passing {
                Err(Deployed::Again(reason))
            } else {
                Ok(Outcome::Failed(reason))
            });
        }
        let (template, changes) = match plan(firing.target(&self.regions), &workload.template) {
            Plan::Impossible(obstacle) => return Ok(Ok(Outcome::Failed(obstacle.reason()))),
            Plan::Unchanged => return Ok(Ok(Outcome::Success(UNCHANGED.to_owned()))),
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
        Ok(Ok(Outcome::Success(String::new())))
    }
}

/// Ends a firing with an outcome that is known already.
#[derive(Debug)]
pub struct End {
    /// What its history will say.
    pub outcome: Outcome,
    /// The firing.
    pub ending: Ending,
}

/// A firing that ends.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// Its number.
    pub firing_id: i64,
    /// How often it was tried.
    pub tries: u32,
    /// When.
    pub now: Moment,
}

impl SingleWrite for End {
    type Output = Deployed;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Deployed> {
        match find_firing(&mut *transaction, self.ending.firing_id).await? {
            Some(firing) => record(transaction, &self.ending, &firing, self.outcome).await,
            None => Ok(Deployed::Gone),
        }
    }
}

/// Writes the entry of the history and ends the firing.
async fn record(
    transaction: &mut SqliteConnection,
    ending: &Ending,
    firing: &Firing,
    outcome: Outcome,
) -> Result<Deployed> {
    let (result, detail) = match outcome {
        Outcome::Success(detail) => ("success", detail),
        Outcome::Failed(detail) => ("failed", detail),
    };
    let detail: String = detail.chars().take(LONGEST_REASON.into()).collect();
    sqlx::query(
        "INSERT INTO trigger_history (trigger_id, push_id, app_type, application, cluster_id,
                                      cluster_name, cluster_ns, condition, container,
                                      creator_name, tag, result, detail, created_at, tries)
         SELECT id, ?2, app_type, application, cluster_id, cluster_name, cluster_ns, condition,
                container, creator_name, ?3, ?4, ?5, ?6, ?7
         FROM triggers WHERE id = ?1",
    )
    .bind(firing.trigger_id)
    .bind(firing.push_id)
    .bind(&firing.tag)
    .bind(result)
    .bind(&detail)
    .bind(ending.now)
    .bind(ending.tries)
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "DELETE FROM trigger_history WHERE trigger_id = ?1 AND id <= (
             SELECT id FROM trigger_history WHERE trigger_id = ?1
             ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )
    .bind(firing.trigger_id)
    .bind(MOST_ENTRIES)
    .execute(&mut *transaction)
    .await?;
    sqlx::query("DELETE FROM firings WHERE id = ?")
        .bind(ending.firing_id)
        .execute(transaction)
        .await?;
    Ok(Deployed::Recorded(Record {
        trigger: firing.trigger_name.clone(),
        tag: firing.tag.clone(),
        result,
        detail,
    }))
}

/// An entry of a trigger's history.
#[derive(Debug, Clone, FromRow)]
pub struct HistoryEntry {
    /// See the trigger's own field.
    pub app_type: String,
    /// See the trigger's own field.
    pub application: String,
    /// See the trigger's own field.
    pub cluster_id: String,
    /// See the trigger's own field.
    pub cluster_name: String,
    /// See the trigger's own field.
    pub cluster_ns: String,
    /// See the trigger's own field.
    pub condition: String,
    /// See the trigger's own field.
    pub container: String,
    /// See the trigger's own field.
    pub creator_name: String,
    /// The tag that fired it.
    pub tag: String,
    /// `success` or `failed`.
    pub result: String,
    /// Why it failed, or what was special.
    pub detail: String,
    /// When it was recorded.
    pub created_at: Moment,
}

/// A trigger's history, newest first.
pub async fn list_history(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    trigger: &str,
) -> Result<Vec<HistoryEntry>> {
    let found = sqlx::query_as(
        "SELECT h.app_type, h.application, h.cluster_id, h.cluster_name, h.cluster_ns,
                h.condition, h.container, h.creator_name, h.tag, h.result, h.detail, h.created_at
         FROM trigger_history h JOIN triggers t ON t.id = h.trigger_id
         WHERE t.repository_id = ? AND t.name = ? ORDER BY h.id DESC",
    )
    .bind(repository_id)
    .bind(trigger)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// What is known of a trigger at a push.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    /// The trigger's number.
    pub(super) trigger_id: i64,
    /// Whether it has a firing without an outcome.
    pub(super) is_open: bool,
    /// The entry that the push left in its history.
    pub(super) entry: Option<HistoryEntry>,
    /// Why it did not fire, where the push remembers that.
    pub(super) reason: Option<String>,
}

impl FromRow<'_, SqliteRow> for Trace {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let has_entry: bool = row.try_get("has_entry")?;
        Ok(Self {
            trigger_id: row.try_get("trigger_id")?,
            is_open: row.try_get("is_open")?,
            entry: has_entry.then(|| HistoryEntry::from_row(row)).transpose()?,
            reason: row.try_get("reason")?,
        })
    }
}

/// What is known of the trigger with this name at a push. One statement: what has no firing any
/// more has its entry then.
pub(super) async fn find_trace(
    db: impl SqliteExecutor<'_>,
    push_id: i64,
    repository_id: i64,
    trigger: &str,
) -> Result<Option<Trace>> {
    let found = sqlx::query_as(
        "SELECT t.id AS trigger_id,
                EXISTS (SELECT 1 FROM firings f WHERE f.push_id = ?1 AND f.trigger_id = t.id)
                    AS is_open,
                h.id IS NOT NULL AS has_entry,
                (SELECT reason FROM passed_over WHERE push_id = ?1 AND trigger_name = ?3)
                    AS reason,
                h.app_type, h.application, h.cluster_id, h.cluster_name, h.cluster_ns,
                h.condition, h.container, h.creator_name, h.tag, h.result, h.detail, h.created_at
         FROM triggers t
         LEFT JOIN trigger_history h ON h.trigger_id = t.id AND h.push_id = ?1
         WHERE t.repository_id = ?2 AND t.name = ?3",
    )
    .bind(push_id)
    .bind(repository_id)
    .bind(trigger)
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// Whether a trigger's history would still have the entry of a push, had there been one.
pub(super) async fn reaches_back_to(
    db: impl SqliteExecutor<'_>,
    trigger_id: i64,
    push_id: i64,
) -> Result<bool> {
    let reaches = sqlx::query_scalar(
        "SELECT count(*) < ?3 OR coalesce(min(push_id) < ?2, 0)
         FROM trigger_history WHERE trigger_id = ?1",
    )
    .bind(trigger_id)
    .bind(push_id)
    .bind(MOST_ENTRIES)
    .fetch_one(db)
    .await?;
    Ok(reaches)
}

/// A push that is remembered.
#[derive(Debug, Clone, FromRow)]
pub struct RecordedPush {
    /// Its number.
    pub id: i64,
    /// The tag.
    pub tag: String,
    /// The digest that the tag had.
    pub digest: String,
    /// The user's name.
    pub pushed_by: String,
    /// When.
    pub pushed_at: Moment,
    /// The newest trigger of all that there was.
    pub newest_trigger: i64,
}

/// The pushes of a repository, or of one tag of it, newest first; those before one, where that is
/// named.
pub async fn list_pushes(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    tag: Option<&str>,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<RecordedPush>> {
    let found = sqlx::query_as(
        "SELECT id, tag, digest, pushed_by, pushed_at, newest_trigger FROM pushes
         WHERE repository_id = ?1 AND (?2 IS NULL OR tag = ?2) AND id < ?3
         ORDER BY id DESC LIMIT ?4",
    )
    .bind(repository_id)
    .bind(tag)
    .bind(before.unwrap_or(i64::MAX))
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// The newest push of a tag, of those after one.
pub async fn find_newest_push(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    tag: &TagName,
    after: i64,
) -> Result<Option<RecordedPush>> {
    let mut newest = list_pushes(db, repository_id, Some(tag.as_str()), None, 1).await?;
    Ok(newest.pop().filter(|push| push.id > after))
}

/// Whether a firing of a push has no outcome yet.
pub async fn is_open(db: impl SqliteExecutor<'_>, push_id: i64) -> Result<bool> {
    let is_open = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM firings WHERE push_id = ?)")
        .bind(push_id)
        .fetch_one(db)
        .await?;
    Ok(is_open)
}

/// What a push meant for a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The trigger's name.
    pub trigger_name: String,
    /// What came of it.
    pub state: FiringState,
}

/// What came of a trigger at a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FiringState {
    /// It did not fire.
    PassedOver {
        /// Why.
        reason: String,
    },
    /// It fired, and has no outcome yet.
    Open {
        /// The firing.
        firing_id: i64,
    },
    /// It fired, and this is the outcome.
    Ended {
        /// `success` or `failed`.
        result: String,
        /// Why it failed, or what was special.
        detail: String,
        /// How often it was tried.
        tries: u32,
    },
    /// It fired, and the history does not reach back to the push any more.
    Forgotten,
}

#[derive(FromRow)]
struct DecisionRow {
    trigger_name: String,
    reason: Option<String>,
    firing_id: Option<i64>,
    result: Option<String>,
    detail: Option<String>,
    tries: Option<u32>,
}

const COUNT_DECISIONS: &str = "SELECT (SELECT count(*) FROM trigger_history WHERE push_id = ?1)
    + (SELECT count(*) FROM firings WHERE push_id = ?1)
    + (SELECT count(*) FROM passed_over WHERE push_id = ?1)";

/// For how many triggers it is known what a push meant for them.
pub async fn count_decisions(db: impl SqliteExecutor<'_>, push_id: i64) -> Result<i64> {
    let count = sqlx::query_scalar(COUNT_DECISIONS)
        .bind(push_id)
        .fetch_one(db)
        .await?;
    Ok(count)
}

const LIST_DECISIONS: &str = "SELECT t.name AS trigger_name, NULL AS reason, NULL AS firing_id,
           h.result, h.detail, h.tries
    FROM trigger_history h JOIN triggers t ON t.id = h.trigger_id WHERE h.push_id = ?1
    UNION ALL
    SELECT t.name, NULL, f.id, NULL, NULL, NULL
    FROM firings f JOIN triggers t ON t.id = f.trigger_id WHERE f.push_id = ?1
    UNION ALL
    SELECT trigger_name, reason, NULL, NULL, NULL, NULL FROM passed_over WHERE push_id = ?1
    LIMIT ?2";

/// What a push meant for each trigger, those that fired first; `limit` at most.
pub async fn list_decisions(
    db: impl SqliteExecutor<'_>,
    push_id: i64,
    limit: u32,
) -> Result<Vec<Decision>> {
    let rows: Vec<DecisionRow> = sqlx::query_as(LIST_DECISIONS)
        .bind(push_id)
        .bind(limit)
        .fetch_all(db)
        .await?;
    let decisions = rows.into_iter().map(|row| {
        let state = match (row.reason, row.firing_id) {
            (Some(reason), _) => FiringState::PassedOver { reason },
            (None, Some(firing_id)) => FiringState::Open { firing_id },
            (None, None) => FiringState::Ended {
                result: row.result.unwrap_or_default(),
                detail: row.detail.unwrap_or_default(),
                tries: row.tries.unwrap_or_default(),
            },
        };
        Decision {
            trigger_name: row.trigger_name,
            state,
        }
    });
    Ok(decisions.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::testing::TestDb;
    use crate::engine::Matcher;
    use crate::trigger::store::{DeleteTrigger, EnableTrigger};
    use crate::trigger::{Condition, TriggerName, TriggerType, judge};

    /// What is written of a push that stands for all else that a push stores.
    #[derive(Debug)]
    struct Decide {
        tag: TagName,
        judgement: Judgement,
    }

    impl SingleWrite for Decide {
        type Output = i64;

        async fn run(self, transaction: &mut SqliteConnection) -> Result<i64> {
            let push: i64 = sqlx::query_scalar(
                "INSERT INTO pushes (repository_id, tag, digest, pushed_by, pushed_at)
                 SELECT id, ?, 'd', 'u', 0 FROM repositories RETURNING id",
            )
            .bind(self.tag.as_str())
            .fetch_one(&mut *transaction)
            .await?;
            let repository: i64 = sqlx::query_scalar("SELECT id FROM repositories")
                .fetch_one(&mut *transaction)
                .await?;
            decide(
                transaction,
                push,
                repository,
                &self.tag,
                "d",
                self.judgement,
            )
            .await?;
            Ok(push)
        }
    }

    /// A repository with triggers, given by type, condition and whether each is enabled.
    async fn seeded(triggers: &[(&str, &str, &str, bool)]) -> TestDb {
        let triggers: Vec<_> = triggers
            .iter()
            .map(|(name, kind, condition, enabled)| {
                serde_json::json!({
                    "name": name, "action": "update", "app_type": "deployments",
                    "application": "web", "cluster_ns": "default", "condition": condition,
                    "enable": enabled.to_string(), "trigger_type": kind,
                })
            })
            .collect();
        let repositories = serde_json::json!([{"name": "a", "triggers": triggers}]);
        let seed = serde_json::json!({
            "organizations": [{"name": "g", "repositories": repositories}],
        });
        TestDb::seeded(&seed.to_string()).await
    }

    fn tag(text: &str) -> TagName {
        TagName::parse(text).expect("a tag")
    }

    /// The triggers that a push fired, in the order of their firings, and those that it did not,
    /// each with the reason.
    async fn decided(test: &TestDb, push: i64) -> (Vec<String>, Vec<(String, String)>) {
        let fired = sqlx::query_scalar(
            "SELECT t.name FROM firings f JOIN triggers t ON t.id = f.trigger_id
             WHERE f.push_id = ? AND f.digest = 'd' ORDER BY f.id",
        )
        .bind(push)
        .fetch_all(test.db.readers())
        .await;
        let passed_over = sqlx::query_as(
            "SELECT trigger_name, reason FROM passed_over WHERE push_id = ? ORDER BY trigger_name",
        )
        .bind(push)
        .fetch_all(test.db.readers())
        .await;
        (fired.expect("read"), passed_over.expect("read"))
    }

    #[tokio::test]
    async fn a_push_does_with_each_trigger_what_the_rule_says() {
        let rules = [
            ("all", ".*"),
            ("tag", "v1"),
            ("tag", "v1;v2"),
            ("tag", "v10;1"),
            ("regular", "^v1"),
            ("regular", "1$"),
            ("regular", "\"|';\\.\n"),
        ];
        let names: Vec<_> = (0..rules.len())
            .map(|at| [format!("on{at}"), format!("off{at}")])
            .collect();
        let triggers: Vec<_> = rules
            .iter()
            .zip(&names)
            .flat_map(|((kind, condition), [on, off])| {
                [(on, true), (off, false)]
                    .map(|(name, enabled)| (name.as_str(), *kind, *condition, enabled))
            })
            .collect();
        let test = seeded(&triggers).await;
        let matcher = Matcher::default();
        for text in ["v1", "v2", "v10", "1", "w", "V1"] {
            let judgement = Judgement::default();
            let write = Decide {
                tag: tag(text),
                judgement,
            };
            let push = test.db.write(write).await.expect("decided");

            let (mut fired, mut passed_over) = (Vec::new(), Vec::new());
            for (name, kind, condition, enabled) in &triggers {
                let kind = TriggerType::parse(kind).expect("a type");
                let condition = Condition::parse(kind, condition).expect("a condition");
                let is_match =
                    |expression: &Expression| matcher.is_match(expression.as_str(), text);
                let tag = tag(text);
                let verdict = judge(*enabled, &condition, &tag, is_match).expect("judged");
                if verdict.fires() {
                    fired.push((*name).to_owned());
                } else {
                    passed_over.push(((*name).to_owned(), verdict.to_string()));
                }
            }
            passed_over.sort();
            assert_eq!(decided(&test, push).await, (fired, passed_over), "{text}");
        }
    }

    #[tokio::test]
    async fn the_triggers_that_there_are_as_the_tag_is_stored_decide() {
        let test = seeded(&[
            ("stays", "regular", "^v", true),
            ("disabled", "regular", "^v", true),
            ("enabled", "regular", "^v1", false),
            ("deleted", "all", ".*", true),
        ])
        .await;
        let judgement = Matcher::default().judge(&test.db, 1, &tag("v1")).await;
        let name = |text| TriggerName::parse("name", text).expect("a name");
        for (text, enabled) in [("disabled", false), ("enabled", true)] {
            let write = EnableTrigger {
                repository_id: 1,
                name: name(text),
                enabled,
            };
            test.db.write(write).await.expect("changed");
        }
        let write = DeleteTrigger {
            repository_id: 1,
            name: name("deleted"),
        };
        test.db.write(write).await.expect("deleted");

        let write = Decide {
            tag: tag("v1"),
            judgement: judgement.expect("judged"),
        };
        let push = test.db.write(write).await.expect("decided");

        let disabled = "the trigger is disabled".to_owned();
        let passed_over = vec![("disabled".to_owned(), disabled)];
        let fired = vec!["stays".to_owned(), "enabled".to_owned()];
        assert_eq!(decided(&test, push).await, (fired, passed_over));
    }

    #[tokio::test]
    async fn what_became_of_a_push_is_found_without_reading_all_history() {
        let test = TestDb::seeded("").await;
        for sql in [LIST_DECISIONS, COUNT_DECISIONS] {
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
                    .fetch_all(test.db.readers())
                    .await
                    .expect("a plan");
            let steps: Vec<_> = plan.into_iter().map(|step| step.3).collect();
            assert!(steps.len() > 3, "{steps:?}");
            for step in &steps {
                // The one row that the counts are in is no table.
                let reads_all = step.starts_with("SCAN ") && !step.contains("CONSTANT");
                assert!(!reads_all, "{steps:?}");
            }
        }
    }
}
