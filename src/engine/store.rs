//! The SQL of firings and of the history they leave.

use sqlx::{FromRow, SqliteConnection, SqliteExecutor};

use super::matching::Judgement;
use super::plan::{Plan, Target, plan};
use crate::cce;
use crate::clock::Moment;
use crate::db::SingleWrite;
use crate::error::{Error, Result};
use crate::repository::RepositoryRef;
use crate::tag::TagName;
use crate::trigger::{self, AppType};
use crate::workload::{self, Rollout, Workload, WorkloadKey};

/// Entries of the history that a trigger keeps.
const MOST_ENTRIES: i64 = 100;
/// Triggers that a push's record names as not fired.
const MOST_PASSED_OVER: i64 = 100;

/// The expressions that enabled triggers of a repository wait with.
pub async fn list_expressions(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
) -> Result<Vec<String>> {
    let found = sqlx::query_scalar(
        "SELECT DISTINCT condition FROM triggers
         WHERE repository_id = ? AND trigger_type = 'regular' AND enabled",
    )
    .bind(repository_id)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// Decides, in the transaction that stores a tag, which triggers fire: one firing for each
/// enabled trigger of the repository that matches now, and a reason for each other one.
pub async fn decide(
    transaction: &mut SqliteConnection,
    push_id: i64,
    repository_id: i64,
    tag: &TagName,
    digest: &str,
    mut judgement: Judgement,
) -> Result<()> {
    let mut matched = Vec::new();
    for expression in list_expressions(&mut *transaction, repository_id).await? {
        if judgement.judge(&expression, tag)? {
            matched.push(expression);
        }
    }
    let matched = serde_json::to_string(&matched).map_err(Error::internal)?;
    sqlx::query(
        "INSERT INTO firings (push_id, trigger_id, tag, digest)
         SELECT ?1, id, ?3, ?4 FROM triggers
         WHERE repository_id = ?2 AND enabled AND CASE trigger_type
             WHEN 'all' THEN 1
             WHEN 'tag' THEN instr(';' || condition || ';', ';' || ?3 || ';') > 0
             ELSE condition IN (SELECT value FROM json_each(?5)) END
         ORDER BY id",
    )
    .bind(push_id)
    .bind(repository_id)
    .bind(tag.as_str())
    .bind(digest)
    .bind(matched)
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "INSERT INTO passed_over (push_id, trigger_name, reason)
         SELECT ?1, name, CASE
             WHEN NOT enabled THEN 'the trigger is disabled'
             WHEN trigger_type = 'tag'
                 THEN 'tag ' || ?3 || ' is not one of ' || replace(condition, ';', ', ')
             ELSE condition || ' does not match ' || ?3 END
         FROM triggers t
         WHERE repository_id = ?2 AND NOT EXISTS (
             SELECT 1 FROM firings f WHERE f.push_id = ?1 AND f.trigger_id = t.id)
         ORDER BY id LIMIT ?4",
    )
    .bind(push_id)
    .bind(repository_id)
    .bind(tag.as_str())
    .bind(MOST_PASSED_OVER)
    .execute(transaction)
    .await?;
    Ok(())
}

/// A firing without an outcome, as far as the worker has to know it.
#[derive(Debug, Clone, FromRow)]
pub struct WaitingFiring {
    /// Its number; firings happen in this order at each workload.
    pub id: i64,
    /// What it has in common with others at the same workload.
    pub lane: String,
    /// How long an update of its workload takes.
    pub delay_ms: u32,
}

/// The firings after one, in order.
pub async fn list_waiting(db: impl SqliteExecutor<'_>, after: i64) -> Result<Vec<WaitingFiring>> {
    let found = sqlx::query_as(
        "SELECT id, coalesce(cluster, 'none') || ' ' || cluster_ns || '/' || app_type || '/'
                    || application AS lane,
                coalesce((SELECT w.delay_ms FROM workloads w
                          WHERE w.cluster_id = cluster AND w.namespace = cluster_ns
                            AND w.kind = app_type AND w.name = application), 0) AS delay_ms
         FROM (SELECT f.id, t.cluster_ns, t.app_type, t.application,
                      (SELECT c.id FROM clusters c WHERE CASE
                           WHEN t.trigger_mode = 'cci' THEN c.name = 'cci'
                           WHEN t.cluster_id <> '' THEN c.id = t.cluster_id
                           WHEN t.cluster_name <> '' THEN c.name = t.cluster_name
                           ELSE c.name <> 'cci' END
                       ORDER BY c.id LIMIT 1) AS cluster
               FROM firings f JOIN triggers t ON t.id = f.trigger_id
               WHERE f.id > ?)
         ORDER BY id",
    )
    .bind(after)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// How many firings have no outcome yet.
pub async fn count_waiting(db: impl SqliteExecutor<'_>) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM firings")
        .fetch_one(db)
        .await?)
}

#[derive(FromRow)]
struct Firing {
    push_id: i64,
    trigger_id: i64,
    tag: String,
    digest: String,
    trigger_name: String,
    app_type: String,
    application: String,
    cluster_ns: String,
    trigger_mode: String,
    cluster_id: String,
    cluster_name: String,
    container: String,
    namespace: String,
    repository: String,
}

async fn find_firing(db: impl SqliteExecutor<'_>, id: i64) -> Result<Option<Firing>> {
    let found = sqlx::query_as(
        "SELECT f.push_id, f.trigger_id, f.tag, f.digest, t.name AS trigger_name, t.app_type,
                t.application, t.cluster_ns, t.trigger_mode, t.cluster_id, t.cluster_name,
                t.container, n.name AS namespace, r.name AS repository
         FROM firings f
         JOIN triggers t ON t.id = f.trigger_id
         JOIN repositories r ON r.id = t.repository_id
         JOIN namespaces n ON n.id = r.namespace_id
         WHERE f.id = ?",
    )
    .bind(id)
    .fetch_optional(db)
    .await?;
    Ok(found)
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
    /// The cluster could not be reached or was not able; it is worth another try.
    Again(String),
}

/// Lets a firing update its simulated workload, and records the outcome, in one transaction.
#[derive(Debug)]
pub struct Deploy {
    /// The firing.
    pub firing_id: i64,
    /// All names of the registry in images.
    pub registry_names: Vec<String>,
    /// When.
    pub now: Moment,
}

impl SingleWrite for Deploy {
    type Output = Deployed;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Deployed> {
        let Some(firing) = find_firing(&mut *transaction, self.firing_id).await? else {
            return Ok(Deployed::Gone);
        };
        let outcome = match self.act(transaction, &firing).await? {
            Act::Again(reason) => return Ok(Deployed::Again(reason)),
            Act::Done(detail) => ("success", detail),
            Act::Failed(detail) => ("failed", detail),
        };
        record(transaction, self.firing_id, &firing, outcome, self.now).await
    }
}

enum Act {
    Done(String),
    Failed(String),
    Again(String),
}

impl Deploy {
    async fn act(&self, transaction: &mut SqliteConnection, firing: &Firing) -> Result<Act> {
        let workload = match locate(transaction, firing).await? {
            Ok(workload) => workload,
            Err(reason) => return Ok(Act::Failed(reason)),
        };
        if let Some(status) = workload::store::take_failure(transaction, &workload).await? {
            let reason = format!("the cluster answered {status}");
            let is_final = !matches!(status, 409 | 429 | 500..);
            return Ok(if is_final {
                Act::Failed(reason)
            } else {
                Act::Again(reason)
            });
        }
        let (template, changes) =
            match plan(firing.target(&self.registry_names), &workload.template) {
                Plan::Impossible(reason) => return Ok(Act::Failed(reason)),
                Plan::Unchanged => {
                    return Ok(Act::Done("template unchanged, no rollout".to_owned()));
                }
                Plan::Update { template, changes } => (template, changes),
            };
        workload::store::update(&mut *transaction, workload.id, &template).await?;
        for (container, before, after) in changes {
            let rollout = Rollout {
                at: self.now,
                trigger_name: firing.trigger_name.clone(),
                tag: firing.tag.clone(),
                digest: firing.digest.clone(),
                container,
                before,
                after,
            };
            workload::store::insert_rollout(&mut *transaction, workload.id, &rollout).await?;
        }
        Ok(Act::Done(String::new()))
    }
}

/// The workload that a firing is to update; the inner error is the reason why there is none.
async fn locate(
    transaction: &mut SqliteConnection,
    firing: &Firing,
) -> Result<std::result::Result<Workload, String>> {
    let cluster = match find_cluster(&mut *transaction, firing).await? {
        Ok(cluster) => cluster,
        Err(reason) => return Ok(Err(reason)),
    };
    let key = WorkloadKey {
        cluster_id: cluster.id,
        namespace: firing.cluster_ns.clone(),
        kind: AppType::parse(&firing.app_type).map_err(Error::internal)?,
        name: firing.application.clone(),
    };
    let found = workload::store::find(transaction, &key).await?;
    Ok(found.ok_or_else(|| {
        format!(
            "{} \"{}\" not found in namespace {} of cluster {}",
            firing.app_type, firing.application, firing.cluster_ns, cluster.name
        )
    }))
}

impl Firing {
    fn target<'a>(&'a self, registry_names: &'a [String]) -> Target<'a> {
        Target {
            registry_names,
            namespace: &self.namespace,
            repository: &self.repository,
            tag: &self.tag,
            digest: &self.digest,
            container: &self.container,
        }
    }
}

/// The cluster of a trigger: by its id, else by its name, else the only one of CCE; the inner
/// error is the reason why there is none.
async fn find_cluster(
    transaction: &mut SqliteConnection,
    firing: &Firing,
) -> Result<std::result::Result<cce::Cluster, String>> {
    let clusters = cce::store::list(&mut *transaction).await?;
    let find = |is_it: &dyn Fn(&cce::Cluster) -> bool| clusters.iter().find(|c| is_it(c)).cloned();
    let is_cci = |cluster: &cce::Cluster| cluster.name == "cci";
    let (found, reason) = if firing.trigger_mode == "cci" {
        (find(&is_cci), "there is no cluster named cci".to_owned())
    } else if !firing.cluster_id.is_empty() {
        let reason = format!("there is no cluster with the id {}", firing.cluster_id);
        (find(&|cluster| cluster.id == firing.cluster_id), reason)
    } else if !firing.cluster_name.is_empty() {
        let reason = format!("there is no cluster named {}", firing.cluster_name);
        (find(&|cluster| cluster.name == firing.cluster_name), reason)
    } else {
        let of_cce: Vec<_> = clusters.iter().filter(|cluster| !is_cci(cluster)).collect();
        let only = match of_cce[..] {
            [only] => Some(only.clone()),
            _ => None,
        };
        let reason = format!(
            "the trigger names no cluster, and there are {}",
            of_cce.len()
        );
        (only, reason)
    };
    Ok(found.ok_or(reason))
}

/// Ends a firing that could not be done in time.
#[derive(Debug)]
pub struct GiveUp {
    /// The firing.
    pub firing_id: i64,
    /// What its history will say.
    pub detail: String,
    /// When.
    pub now: Moment,
}

impl SingleWrite for GiveUp {
    type Output = Deployed;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Deployed> {
        let Some(firing) = find_firing(&mut *transaction, self.firing_id).await? else {
            return Ok(Deployed::Gone);
        };
        record(
            transaction,
            self.firing_id,
            &firing,
            ("failed", self.detail),
            self.now,
        )
        .await
    }
}

/// Writes the entry of the history and ends the firing.
async fn record(
    transaction: &mut SqliteConnection,
    firing_id: i64,
    firing: &Firing,
    (result, detail): (&'static str, String),
    now: Moment,
) -> Result<Deployed> {
    sqlx::query(
        "INSERT INTO trigger_history (trigger_id, push_id, app_type, application, cluster_id,
                                      cluster_name, cluster_ns, condition, container,
                                      creator_name, tag, result, detail, created_at)
         SELECT id, ?2, app_type, application, cluster_id, cluster_name, cluster_ns, condition,
                container, creator_name, ?3, ?4, ?5, ?6
         FROM triggers WHERE id = ?1",
    )
    .bind(firing.trigger_id)
    .bind(firing.push_id)
    .bind(&firing.tag)
    .bind(result)
    .bind(&detail)
    .bind(now)
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
        .bind(firing_id)
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

/// The entry that a push left in a trigger's history.
pub async fn find_history(
    db: impl SqliteExecutor<'_>,
    push_id: i64,
    repository_id: i64,
    trigger: &str,
) -> Result<Option<HistoryEntry>> {
    let found = sqlx::query_as(
        "SELECT h.app_type, h.application, h.cluster_id, h.cluster_name, h.cluster_ns,
                h.condition, h.container, h.creator_name, h.tag, h.result, h.detail, h.created_at
         FROM trigger_history h JOIN triggers t ON t.id = h.trigger_id
         WHERE h.push_id = ? AND t.repository_id = ? AND t.name = ?",
    )
    .bind(push_id)
    .bind(repository_id)
    .bind(trigger)
    .fetch_optional(db)
    .await?;
    Ok(found)
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
}

/// The pushes of a repository, or of one tag of it, newest first.
pub async fn list_pushes(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    tag: Option<&str>,
    limit: u32,
) -> Result<Vec<RecordedPush>> {
    let found = sqlx::query_as(
        "SELECT id, tag, digest, pushed_by, pushed_at FROM pushes
         WHERE repository_id = ?1 AND (?2 IS NULL OR tag = ?2) ORDER BY id DESC LIMIT ?3",
    )
    .bind(repository_id)
    .bind(tag)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// The newest push of a tag.
pub async fn find_newest_push(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    tag: &TagName,
) -> Result<Option<RecordedPush>> {
    let mut newest = list_pushes(db, repository_id, Some(tag.as_str()), 1).await?;
    Ok(newest.pop())
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
    Open,
    /// It fired, and this is the outcome.
    Ended {
        /// `success` or `failed`.
        result: String,
        /// Why it failed, or what was special.
        detail: String,
    },
}

#[derive(FromRow)]
struct DecisionRow {
    trigger_name: String,
    reason: Option<String>,
    result: Option<String>,
    detail: Option<String>,
}

/// What a push meant for each trigger, those that fired first.
pub async fn list_decisions(db: impl SqliteExecutor<'_>, push_id: i64) -> Result<Vec<Decision>> {
    let rows: Vec<DecisionRow> = sqlx::query_as(
        "SELECT t.name AS trigger_name, NULL AS reason, h.result, h.detail
         FROM trigger_history h JOIN triggers t ON t.id = h.trigger_id WHERE h.push_id = ?1
         UNION ALL
         SELECT t.name, NULL, NULL, NULL
         FROM firings f JOIN triggers t ON t.id = f.trigger_id WHERE f.push_id = ?1
         UNION ALL
         SELECT trigger_name, reason, NULL, NULL FROM passed_over WHERE push_id = ?1",
    )
    .bind(push_id)
    .fetch_all(db)
    .await?;
    let decisions = rows.into_iter().map(|row| {
        let state = match (row.reason, row.result) {
            (Some(reason), _) => FiringState::PassedOver { reason },
            (None, Some(result)) => FiringState::Ended {
                result,
                detail: row.detail.unwrap_or_default(),
            },
            (None, None) => FiringState::Open,
        };
        Decision {
            trigger_name: row.trigger_name,
            state,
        }
    });
    Ok(decisions.collect())
}

/// What a push of a tag would mean for a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The trigger's name.
    pub trigger_name: String,
    /// Whether it would fire.
    pub fires: bool,
    /// Why, or why not.
    pub reason: String,
    /// What it would do, where it finds a workload.
    pub plan: Option<Plan>,
}

/// What a push of a tag would mean for each trigger of a repository now.
pub async fn explain(
    db: &sqlx::SqlitePool,
    repository: &RepositoryRef,
    tag: &TagName,
    mut judgement: Judgement,
    registry_names: &[String],
) -> Result<Vec<Explained>> {
    let digest: Option<String> =
        sqlx::query_scalar("SELECT digest FROM tags WHERE repository_id = ? AND name = ?")
            .bind(repository.id)
            .bind(tag.as_str())
            .fetch_optional(db)
            .await?;
    let digest = digest.unwrap_or_else(|| "{digest}".to_owned());
    let mut connection = db.acquire().await?;
    let mut explained = Vec::new();
    for trigger in trigger::store::list(&mut *connection, repository.id).await? {
        let (fires, reason) = match trigger.trigger_type.as_str() {
            _ if !trigger.enabled => (false, "the trigger is disabled".to_owned()),
            "all" => (true, "every tag matches .*".to_owned()),
            "tag" => {
                let tags: Vec<_> = trigger.condition.split(';').collect();
                let is_one = tags.contains(&tag.as_str());
                let verb = if is_one { "is" } else { "is not" };
                (
                    is_one,
                    format!("tag {} {verb} one of {}", tag.as_str(), tags.join(", ")),
                )
            }
            _ => {
                let matches = judgement.judge(&trigger.condition, tag)?;
                let verb = if matches { "matches" } else { "does not match" };
                (
                    matches,
                    format!("{} {verb} {}", trigger.condition, tag.as_str()),
                )
            }
        };
        let mut entry = Explained {
            trigger_name: trigger.name.clone(),
            fires,
            reason,
            plan: None,
        };
        if fires {
            let firing = Firing {
                push_id: 0,
                trigger_id: 0,
                tag: tag.as_str().to_owned(),
                digest: digest.clone(),
                trigger_name: trigger.name,
                app_type: trigger.app_type,
                application: trigger.application,
                cluster_ns: trigger.cluster_ns,
                trigger_mode: trigger.trigger_mode,
                cluster_id: trigger.cluster_id,
                cluster_name: trigger.cluster_name,
                container: trigger.container,
                namespace: repository.namespace.name.to_string(),
                repository: repository.name.to_string(),
            };
            match locate(&mut connection, &firing).await? {
                Ok(workload) => {
                    entry.plan = Some(plan(firing.target(registry_names), &workload.template));
                }
                Err(reason) => entry.reason = reason,
            }
        }
        explained.push(entry);
    }
    Ok(explained)
}
