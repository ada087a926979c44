//! The SQL of simulated workloads.

use sqlx::{FromRow, SqliteConnection, SqliteExecutor};

use super::{FailureSettings, Neighbours, PodTemplate, Rollout, Workload, WorkloadKey};
use crate::cce::{self, Cluster};
use crate::db::Write;
use crate::error::{Error, Resource, Result};

/// Rollouts that a workload keeps.
const MOST_ROLLOUTS: usize = 1000;

#[derive(FromRow)]
struct WorkloadRow {
    id: i64,
    containers: String,
    init_containers: String,
    annotations: String,
    fail_status: u16,
    fail_times: u32,
    delay_ms: u32,
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
        })
    }
}

/// The workload at this place.
pub async fn find(db: impl SqliteExecutor<'_>, key: &WorkloadKey) -> Result<Option<Workload>> {
    let row: Option<WorkloadRow> = sqlx::query_as(
        "SELECT id, containers, init_containers, annotations, fail_status, fail_times, delay_ms
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
                     ORDER BY name LIMIT ?5)) AS of_kind,
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
         ORDER BY c.id, w.namespace, w.kind, w.name LIMIT ?5",
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

/// What firings did to a workload last, newest first.
pub async fn list_rollouts(
    db: impl SqliteExecutor<'_>,
    workload_id: i64,
    limit: u32,
) -> Result<Vec<Rollout>> {
    let found = sqlx::query_as(
        "SELECT at, trigger_name, tag, digest, container, before, after FROM rollouts
         WHERE workload_id = ? ORDER BY id DESC LIMIT ?",
    )
    .bind(workload_id)
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
        insert(transaction, &self.key, &self.template, self.misbehaviour).await
    }
}

/// Inserts a workload unless one is at its place.
pub async fn insert(
    db: impl SqliteExecutor<'_>,
    key: &WorkloadKey,
    template: &PodTemplate,
    misbehaviour: FailureSettings,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO workloads (cluster_id, namespace, kind, name, containers, init_containers,
                                annotations, fail_status, fail_times, delay_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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

/// Takes one of a workload's failures that a test asked for; its status.
pub async fn take_failure(
    transaction: &mut SqliteConnection,
    workload: &Workload,
) -> Result<Option<u16>> {
    if workload.misbehaviour.fail_times == 0 {
        return Ok(None);
    }
    sqlx::query("UPDATE workloads SET fail_times = fail_times - 1 WHERE id = ?")
        .bind(workload.id)
        .execute(transaction)
        .await?;
    Ok(Some(workload.misbehaviour.fail_status))
}

/// Gives a workload a new pod template.
pub async fn update(
    db: impl SqliteExecutor<'_>,
    workload_id: i64,
    template: &PodTemplate,
) -> Result<()> {
    sqlx::query(
        "UPDATE workloads SET containers = ?, init_containers = ?, annotations = ? WHERE id = ?",
    )
    .bind(json(&template.containers)?)
    .bind(json(&template.init_containers)?)
    .bind(json(&template.annotations)?)
    .bind(workload_id)
    .execute(db)
    .await?;
    Ok(())
}

/// Records what a firing did to containers, and forgets what is older than the newest thousand.
pub async fn insert_rollouts(
    transaction: &mut SqliteConnection,
    workload_id: i64,
    rollouts: &[Rollout],
) -> Result<()> {
    let newest = rollouts.len().saturating_sub(MOST_ROLLOUTS);
    for rollout in &rollouts[newest..] {
        sqlx::query(
            "INSERT INTO rollouts (workload_id, at, trigger_name, tag, digest, container, before,
                                   after)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(workload_id)
        .bind(rollout.at)
        .bind(&rollout.trigger_name)
        .bind(&rollout.tag)
        .bind(&rollout.digest)
        .bind(&rollout.container)
        .bind(&rollout.before)
        .bind(&rollout.after)
        .execute(&mut *transaction)
        .await?;
    }
    sqlx::query(
        "DELETE FROM rollouts WHERE workload_id = ?1 AND id <= (
             SELECT id FROM rollouts WHERE workload_id = ?1
             ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )
    .bind(workload_id)
    .bind(i64::try_from(MOST_ROLLOUTS).map_err(Error::internal)?)
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
            insert_rollouts(transaction, 1, &rollouts).await
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
