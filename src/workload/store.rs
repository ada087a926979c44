//! The SQL of simulated workloads.

use sqlx::{FromRow, SqliteConnection, SqliteExecutor};

use super::{Container, FailureSettings, Neighbours, PodTemplate, Rollout, Workload, WorkloadKey};
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
                w.fail_status, w.fail_times, w.delay_ms
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

/// Gives workloads their pod templates, and what is left of their failures.
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
        ));
    }
    sqlx::query(
        "UPDATE workloads
         SET containers = w.value->>1, init_containers = w.value->>2, annotations = w.value->>3,
             fail_times = w.value->>4
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
