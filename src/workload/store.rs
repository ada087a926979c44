//! The SQL of simulated workloads.

use std::collections::BTreeMap;

use sqlx::{FromRow, SqliteConnection, SqliteExecutor};

use super::{
    Container, FailureSettings, Health, Neighbours, PodTemplate, Revision, Rollout, RolloutPlan,
    RolloutState, Workload, WorkloadKey,
};
use crate::cce::{self, Cluster};
use crate::clock::Timestamp;
use crate::db::Write;
use crate::error::{Error, Resource, Result};
use crate::trigger::AppType;

/// Rollouts that a workload keeps.
const MOST_ROLLOUTS: usize = 1000;
/// Revisions that a workload keeps.
const MOST_REVISIONS: u8 = 100;

#[derive(FromRow)]
struct WorkloadRow {
    id: i64,
    containers: String,
    init_containers: String,
    annotations: String,
    fail_status: u16,
    fail_times: u32,
    delay_ms: u32,
    rollout: Option<String>,
    revision: i64,
    #[sqlx(flatten)]
    health: Health,
    since: Timestamp,
    due: Option<Timestamp>,
}

impl TryFrom<WorkloadRow> for Workload {
    type Error = Error;

    fn try_from(row: WorkloadRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            template: PodTemplate {
                containers: serde_json::from_str(&row.containers).map_err(Error::internal)?,
                init_containers: serde_json::from_str(&row.init_containers)
                    .map_err(Error::internal)?,
                annotations: serde_json::from_str(&row.annotations).map_err(Error::internal)?,
            },
            misbehaviour: FailureSettings {
                fail_status: row.fail_status,
                fail_times: row.fail_times,
                delay_ms: row.delay_ms,
            },
            plan: read_plan(row.rollout.as_deref())?,
            revision: row.revision,
            health: row.health,
            since: row.since,
            due: row.due,
        })
    }
}

fn read_plan(rollout: Option<&str>) -> Result<Option<RolloutPlan>> {
    let plan = rollout.map(serde_json::from_str).transpose();
    plan.map_err(Error::internal)
}

/// The workload at this place.
pub async fn find(db: impl SqliteExecutor<'_>, key: &WorkloadKey) -> Result<Option<Workload>> {
    let row: Option<WorkloadRow> = sqlx::query_as(
        "SELECT id, containers, init_containers, annotations, fail_status, fail_times, delay_ms,
                rollout, revision, state, reason, message, since, due
         FROM workloads WHERE cluster_id = ? AND namespace = ? AND kind = ? AND name = ?",
    )
    .bind(&key.cluster_id)
    .bind(&key.namespace)
    .bind(key.kind.as_str())
    .bind(&key.name)
    .fetch_optional(db)
    .await?;
    row.map(Workload::try_from).transpose()
}

#[derive(FromRow)]
struct PlacedRow {
    place: i64,
    #[sqlx(flatten)]
    workload: WorkloadRow,
}

/// The workloads at these places that are there, each with its place's index.
pub async fn find_many(
    db: impl SqliteExecutor<'_>,
    keys: &[WorkloadKey],
) -> Result<Vec<(usize, Workload)>> {
    let places: Vec<_> = keys
        .iter()
        .map(|key| {
            (
                &key.cluster_id,
                &key.namespace,
                key.kind.as_str(),
                &key.name,
            )
        })
        .collect();
    let rows: Vec<PlacedRow> = sqlx::query_as(
        "SELECT k.key AS place, w.id, w.containers, w.init_containers, w.annotations,
                w.fail_status, w.fail_times, w.delay_ms, w.rollout, w.revision, w.state, w.reason,
                w.message, w.since, w.due
         FROM jsonb_each(?) k
         CROSS JOIN workloads w
            ON w.cluster_id = k.value->>0 AND w.namespace = k.value->>1
               AND w.kind = k.value->>2 AND w.name = k.value->>3",
    )
    .bind(json(&places)?)
    .fetch_all(db)
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for PlacedRow { place, workload } in rows {
        let place = usize::try_from(place).map_err(Error::internal)?;
        found.push((place, workload.try_into()?));
    }
    Ok(found)
}

#[derive(FromRow)]
struct NeighboursRow {
    of_kind: String,
    is_of_other_kind: bool,
    is_namespace_used: bool,
}

/// What is near the place of a workload that is missing; `limit` names at most.
pub async fn find_neighbours(
    db: impl SqliteExecutor<'_>,
    key: &WorkloadKey,
    limit: usize,
) -> Result<Neighbours> {
    let row: NeighboursRow = sqlx::query_as(
        "SELECT (SELECT json_group_array(name) FROM (
                     SELECT name FROM workloads
                     WHERE cluster_id = ?1 AND namespace = ?2 AND kind = ?3
                     ORDER BY name LIMIT +?5)) AS of_kind,
                EXISTS (SELECT 1 FROM workloads
                        WHERE cluster_id = ?1 AND namespace = ?2 AND kind <> ?3 AND name = ?4)
                    AS is_of_other_kind,
                EXISTS (SELECT 1 FROM workloads WHERE cluster_id = ?1 AND namespace = ?2)
                    AS is_namespace_used",
    )
    .bind(&key.cluster_id)
    .bind(&key.namespace)
    .bind(key.kind.as_str())
    .bind(&key.name)
    .bind(i64::try_from(limit).map_err(Error::internal)?)
    .fetch_one(db)
    .await?;
    Ok(Neighbours {
        of_kind: serde_json::from_str(&row.of_kind).map_err(Error::internal)?,
        is_of_other_kind: row.is_of_other_kind,
        is_namespace_used: row.is_namespace_used,
    })
}

/// A workload's name and place, for a list; without a name it is a cluster that has none.
#[derive(Debug, Default, FromRow)]
pub struct ListedWorkload {
    pub cluster_id: String,
    pub cluster_name: String,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// `deployments` or `statefulsets`.
    pub kind: String,
    /// The workload's name.
    pub name: String,
}

/// The workloads of all clusters after one; `limit` at most.
pub async fn list(
    db: impl SqliteExecutor<'_>,
    after: &ListedWorkload,
    limit: u32,
) -> Result<Vec<ListedWorkload>> {
    // The first comparison leads into the index, the second one is exact.
    let found = sqlx::query_as(
        "SELECT c.id AS cluster_id, c.name AS cluster_name, coalesce(w.namespace, '') AS namespace,
                coalesce(w.kind, '') AS kind, coalesce(w.name, '') AS name
         FROM clusters c LEFT JOIN workloads w ON w.cluster_id = c.id
         WHERE c.id >= ?1
           AND (c.id, coalesce(w.namespace, ''), coalesce(w.kind, ''), coalesce(w.name, ''))
             > (?1, ?2, ?3, ?4)
         ORDER BY c.id, w.namespace, w.kind, w.name LIMIT +?5",
    )
    .bind(&after.cluster_id)
    .bind(&after.namespace)
    .bind(&after.kind)
    .bind(&after.name)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// A workload's containers, with its place in its cluster.
#[derive(Debug, FromRow)]
pub struct Running {
    /// The Kubernetes namespace.
    pub namespace: String,
    /// `deployments` or `statefulsets`.
    pub kind: String,
    /// The workload's name.
    pub name: String,
    containers: String,
}

impl Running {
    /// The images of its containers.
    pub fn images(&self) -> Result<Vec<String>> {
        let containers: Vec<Container> =
            serde_json::from_str(&self.containers).map_err(Error::internal)?;
        let images = containers.into_iter().map(|container| container.image);
        Ok(images.collect())
    }
}

/// The oldest workloads of all clusters; `limit` at most.
pub async fn list_running(db: impl SqliteExecutor<'_>, limit: u32) -> Result<Vec<Running>> {
    let found = sqlx::query_as(
        "SELECT namespace, kind, name, containers FROM workloads ORDER BY id LIMIT +?",
    )
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// What firings did to a workload last, newest first.
pub async fn list_rollouts(
    db: impl SqliteExecutor<'_>,
    workload_id: i64,
    limit: u32,
) -> Result<Vec<Rollout>> {
    let found = sqlx::query_as(
        "SELECT at, trigger_name, tag, digest, container, before, after FROM rollouts
         WHERE workload_id = ? ORDER BY id DESC LIMIT +?",
    )
    .bind(workload_id)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// A rollout with its workload.
#[derive(Debug, Clone, FromRow)]
pub struct LocatedRollout {
    #[sqlx(flatten)]
    pub rollout: Rollout,
    pub cluster_id: String,
    pub cluster_name: String,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// `deployments` or `statefulsets`.
    pub kind: String,
    /// The workload's name.
    pub name: String,
}

/// What firings did to all workloads last, newest first.
pub async fn list_newest_rollouts(
    db: impl SqliteExecutor<'_>,
    limit: u32,
) -> Result<Vec<LocatedRollout>> {
    let found = sqlx::query_as(
        "SELECT r.at, r.trigger_name, r.tag, r.digest, r.container, r.before, r.after,
                c.id AS cluster_id, c.name AS cluster_name, w.namespace, w.kind, w.name
         FROM rollouts r
         CROSS JOIN workloads w ON w.id = r.workload_id
         CROSS JOIN clusters c ON c.id = w.cluster_id
         ORDER BY r.id DESC LIMIT +?",
    )
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// Makes a workload as it is given, with its cluster where that is missing.
#[derive(Debug)]
pub struct PutWorkload {
    /// The cluster's id or name.
    pub cluster: String,
    /// Where in the cluster; its `cluster_id` is filled in.
    pub key: WorkloadKey,
    /// The pod template.
    pub template: PodTemplate,
    /// See [`FailureSettings`].
    pub misbehaviour: FailureSettings,
    /// What its updates come to.
    pub plan: Option<RolloutPlan>,
    pub now: Timestamp,
}

impl Write for PutWorkload {
    type Output = ();
    const RELOADS_FIRINGS: bool = true;

    async fn run(mut self, transaction: &mut SqliteConnection) -> Result<()> {
        let cluster = cce::store::find_by_id_or_name(&mut *transaction, &self.cluster).await?;
        let cluster = match cluster {
            Some(cluster) => cluster,
            None => {
                let cluster = Cluster {
                    id: self.cluster.clone(),
                    name: self.cluster.clone(),
                };
                cce::store::put(&mut *transaction, &cluster).await?;
                cluster
            }
        };
        self.key.cluster_id = cluster.id;
        sqlx::query(
            "DELETE FROM workloads
             WHERE cluster_id = ? AND namespace = ? AND kind = ? AND name = ?",
        )
        .bind(&self.key.cluster_id)
        .bind(&self.key.namespace)
        .bind(self.key.kind.as_str())
        .bind(&self.key.name)
        .execute(&mut *transaction)
        .await?;
        let (misbehaviour, plan) = (self.misbehaviour, self.plan.as_ref());
        insert(
            transaction,
            &self.key,
            &self.template,
            misbehaviour,
            plan,
            self.now,
        )
        .await
    }
}

/// Inserts a workload unless one is at its place.
pub async fn insert(
    db: impl SqliteExecutor<'_>,
    key: &WorkloadKey,
    template: &PodTemplate,
    misbehaviour: FailureSettings,
    plan: Option<&RolloutPlan>,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO workloads (cluster_id, namespace, kind, name, containers, init_containers,
                                annotations, fail_status, fail_times, delay_ms, rollout, since)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (cluster_id, namespace, kind, name) DO NOTHING",
    )
    .bind(&key.cluster_id)
    .bind(&key.namespace)
    .bind(key.kind.as_str())
    .bind(&key.name)
    .bind(json(&template.containers)?)
    .bind(json(&template.init_containers)?)
    .bind(json(&template.annotations)?)
    .bind(misbehaviour.fail_status)
    .bind(misbehaviour.fail_times)
    .bind(misbehaviour.delay_ms)
    .bind(plan.map(json).transpose()?)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

/// Removes a workload with its rollouts.
#[derive(Debug)]
pub struct DeleteWorkload(pub WorkloadKey);

impl Write for DeleteWorkload {
    type Output = ();
    const RELOADS_FIRINGS: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let done = sqlx::query(
            "DELETE FROM workloads
             WHERE cluster_id = ? AND namespace = ? AND kind = ? AND name = ?",
        )
        .bind(&self.0.cluster_id)
        .bind(&self.0.namespace)
        .bind(self.0.kind.as_str())
        .bind(&self.0.name)
        .execute(transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Err(Error::NotFound(Resource::Workload));
        }
        Ok(())
    }
}

/// Gives workloads their pod templates, what became of these, and what is left of their failures.
pub async fn update<'a>(
    db: impl SqliteExecutor<'_>,
    workloads: impl Iterator<Item = &'a Workload>,
) -> Result<()> {
    let mut rows = Vec::new();
    for workload in workloads {
        let PodTemplate {
            containers,
            init_containers,
            annotations,
        } = &workload.template;
        rows.push((
            workload.id,
            json(containers)?,
            json(init_containers)?,
            json(annotations)?,
            workload.misbehaviour.fail_times,
            workload.revision,
            workload.health.state.as_str(),
            &workload.health.reason,
            &workload.health.message,
            workload.since.as_microseconds(),
            workload.due.map(Timestamp::as_microseconds),
        ));
    }
    sqlx::query(
        "UPDATE workloads
         SET containers = w.value->>1, init_containers = w.value->>2, annotations = w.value->>3,
             fail_times = w.value->>4, revision = w.value->>5, state = w.value->>6,
             reason = w.value->>7, message = w.value->>8, since = w.value->>9, due = w.value->>10
         FROM jsonb_each(?) w WHERE workloads.id = w.value->>0",
    )
    .bind(json(&rows)?)
    .execute(db)
    .await?;
    Ok(())
}

/// Records what firings did to the containers of workloads, and forgets what is older than the
/// newest thousand of each.
pub async fn insert_rollouts(
    transaction: &mut SqliteConnection,
    rollouts: &[(i64, &[Rollout])],
) -> Result<()> {
    let mut rows = Vec::new();
    for (workload_id, rollouts) in rollouts {
        let newest = rollouts.len().saturating_sub(MOST_ROLLOUTS);
        let of_workload = rollouts[newest..].iter().map(|rollout| {
            (
                workload_id,
                rollout.at.as_microseconds(),
                &rollout.trigger_name,
                &rollout.tag,
                &rollout.digest,
                &rollout.container,
                &rollout.before,
                &rollout.after,
            )
        });
        rows.extend(of_workload);
    }
    for rows in rows.chunks(MOST_ROLLOUTS) {
        sqlx::query(
            "INSERT INTO rollouts (workload_id, at, trigger_name, tag, digest, container, before,
                                   after)
             SELECT r.value->>0, r.value->>1, r.value->>2, r.value->>3, r.value->>4,
                    r.value->>5, r.value->>6, r.value->>7
             FROM jsonb_each(?) r",
        )
        .bind(json(&rows)?)
        .execute(&mut *transaction)
        .await?;
    }
    let workloads: Vec<_> = rollouts
        .iter()
        .map(|(workload_id, _)| workload_id)
        .collect();
    sqlx::query(
        "WITH ends AS MATERIALIZED (
             SELECT w.value AS workload_id,
                    (SELECT id FROM rollouts WHERE workload_id = w.value
                     ORDER BY id DESC LIMIT 1 OFFSET ?2) AS id
             FROM json_each(?1) w)
         DELETE FROM rollouts WHERE id IN (
             SELECT r.id FROM ends
             CROSS JOIN rollouts r ON r.workload_id = ends.workload_id AND r.id <= ends.id)",
    )
    .bind(json(&workloads)?)
    .bind(i64::try_from(MOST_ROLLOUTS).map_err(Error::internal)?)
    .execute(transaction)
    .await?;
    Ok(())
}

/// Records pod templates of workloads, and forgets what is older than the newest hundred of each.
pub async fn insert_revisions(
    transaction: &mut SqliteConnection,
    revisions: &[(i64, &[Revision])],
) -> Result<()> {
    let (mut rows, mut ends) = (Vec::new(), Vec::new());
    for (workload_id, revisions) in revisions {
        let newest = revisions.len().saturating_sub(MOST_REVISIONS.into());
        let of_workload = revisions[newest..].iter().map(|one| {
            let at = one.at.as_microseconds();
            (workload_id, one.revision, at, &one.images, one.state)
        });
        rows.extend(of_workload);
        let end = revisions.last().map_or(0, |newest| newest.revision) - i64::from(MOST_REVISIONS);
        if end > 0 {
            ends.push((workload_id, end));
        }
    }
    sqlx::query(
        "INSERT INTO revisions (workload_id, revision, at, images, state)
         SELECT r.value->>0, r.value->>1, r.value->>2, r.value->>3, r.value->>4
         FROM jsonb_each(?) r",
    )
    .bind(json(&rows)?)
    .execute(&mut *transaction)
    .await?;
    if ends.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM revisions WHERE (workload_id, revision) IN (
             SELECT r.workload_id, r.revision FROM json_each(?) e
             CROSS JOIN revisions r
                ON r.workload_id = e.value->>0 AND r.revision <= e.value->>1)",
    )
    .bind(json(&ends)?)
    .execute(transaction)
    .await?;
    Ok(())
}

#[derive(FromRow)]
struct RevisionRow {
    revision: i64,
    at: Timestamp,
    images: String,
    state: RolloutState,
}

/// The pod templates that a workload had, newest first.
pub async fn list_revisions(
    db: impl SqliteExecutor<'_>,
    workload_id: i64,
) -> Result<Vec<Revision>> {
    let rows: Vec<RevisionRow> = sqlx::query_as(
        "SELECT revision, at, images, state FROM revisions
         WHERE workload_id = ? ORDER BY revision DESC",
    )
    .bind(workload_id)
    .fetch_all(db)
    .await?;
    let revisions = rows.into_iter().map(|row| {
        Ok(Revision {
            revision: row.revision,
            at: row.at,
            images: serde_json::from_str(&row.images).map_err(Error::internal)?,
            state: row.state,
        })
    });
    revisions.collect()
}

/// When the first of all planned rollouts ends.
pub async fn find_next_end(db: impl SqliteExecutor<'_>) -> Result<Option<Timestamp>> {
    let found = sqlx::query_scalar("SELECT min(due) FROM workloads WHERE due IS NOT NULL")
        .fetch_one(db)
        .await?;
    Ok(found)
}

/// A workload whose rollout ends.
#[derive(Debug)]
pub struct DueWorkload {
    pub id: i64,
    pub kind: AppType,
    /// The workload's name.
    pub name: String,
    pub template: PodTemplate,
    pub plan: Option<RolloutPlan>,
    pub revision: i64,
    /// When it ends.
    pub due: Timestamp,
}

#[derive(FromRow)]
struct DueRow {
    id: i64,
    kind: AppType,
    name: String,
    containers: String,
    init_containers: String,
    rollout: Option<String>,
    revision: i64,
    due: Timestamp,
}

/// Workloads whose rollouts have ended by now, the first ones first.
pub async fn list_due(
    db: impl SqliteExecutor<'_>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<DueWorkload>> {
    let rows: Vec<DueRow> = sqlx::query_as(
        "SELECT id, kind, name, containers, init_containers, rollout, revision, due
         FROM workloads WHERE due <= ? ORDER BY due LIMIT +?",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let due = rows.into_iter().map(|row| {
        let containers = |list: &str| serde_json::from_str(list).map_err(Error::internal);
        Ok(DueWorkload {
            id: row.id,
            kind: row.kind,
            name: row.name,
            template: PodTemplate {
                containers: containers(&row.containers)?,
                init_containers: containers(&row.init_containers)?,
                annotations: BTreeMap::new(),
            },
            plan: read_plan(row.rollout.as_deref())?,
            revision: row.revision,
            due: row.due,
        })
    });
    due.collect()
}

/// Notes what became of workloads whose rollouts ended.
pub async fn settle(
    transaction: &mut SqliteConnection,
    ended: &[(&DueWorkload, Health)],
) -> Result<()> {
    let rows = ended.iter().map(|(workload, health)| {
        let DueWorkload {
            id, revision, due, ..
        } = workload;
        let Health {
            state,
            reason,
            message,
        } = health;
        (id, revision, state, reason, message, due.as_microseconds())
    });
    let rows = json(&rows.collect::<Vec<_>>())?;
    sqlx::query(
        "UPDATE workloads
         SET state = w.value->>2, reason = w.value->>3, message = w.value->>4,
             since = w.value->>5, due = NULL
         FROM jsonb_each(?) w WHERE workloads.id = w.value->>0",
    )
    .bind(&rows)
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "UPDATE revisions SET state = w.value->>2
         FROM jsonb_each(?) w
         WHERE revisions.workload_id = w.value->>0 AND revisions.revision = w.value->>1",
    )
    .bind(&rows)
    .execute(transaction)
    .await?;
    Ok(())
}

/// Notes that revisions were never seen to their end.
pub async fn abandon(transaction: &mut SqliteConnection, revisions: &[(i64, i64)]) -> Result<()> {
    sqlx::query(
        "UPDATE revisions SET state = 'unknown'
         FROM json_each(?) r
         WHERE revisions.workload_id = r.value->>0 AND revisions.revision = r.value->>1
           AND revisions.state = 'progressing'",
    )
    .bind(json(&revisions)?)
    .execute(transaction)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::db::testing::TestDb;

    const SEED: &str = "
clusters:
  - name: c
    namespaces:
      - {name: default, deployments: [{name: web, containers: [{name: a, image: b}]}]}
";

    /// One of a firing's rollouts, which a test tells from others by its number.
    struct Record(std::ops::Range<usize>);

    impl Write for Record {
        type Output = ();

        async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
            let rollouts: Vec<_> = self
                .0
                .map(|number| Rollout {
                    at: Clock::default().now(),
                    trigger_name: "t".to_owned(),
                    tag: number.to_string(),
                    digest: String::new(),
                    container: "a".to_owned(),
                    before: String::new(),
                    after: String::new(),
                })
                .collect();
            insert_rollouts(transaction, &[(1, &rollouts)]).await
        }
    }

    #[tokio::test]
    async fn a_workload_keeps_its_newest_thousand_rollouts() {
        let test = TestDb::seeded(SEED).await;
        for numbers in [0..700, 700..1400, 1400..2900] {
            let last = numbers.end;
            test.db.write(Record(numbers)).await.expect("recorded");
            let kept = list_rollouts(test.db.readers(), 1, u32::MAX).await;
            let kept: Vec<_> = kept.expect("read").into_iter().map(|one| one.tag).collect();
            let first = last.saturating_sub(MOST_ROLLOUTS);
            let newest: Vec<_> = (first..last).rev().map(|one| one.to_string()).collect();
            assert_eq!(kept, newest);
        }
    }
}
