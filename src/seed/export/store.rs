//! Reads all that the seed file describes of the state of an instance, in one transaction.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::{FromRow, SqliteConnection, SqliteExecutor};

use crate::cce::{self, Cluster};
use crate::clock::Timestamp;
use crate::db::{Touched, Write};
use crate::error::{Error, Result};
use crate::iam::StoredUsers;
use crate::json::JsonObject;
use crate::repository::Category;
use crate::retention::{Policy, read_policy};
use crate::trigger::{AppType, ClusterRef, Condition};
use crate::workload::{Container, RolloutPlan};

/// All of it, as it is in the database.
#[derive(Debug, Default)]
pub struct State {
    /// The accounts with the agency.
    pub(super) agencies: HashSet<String>,
    pub(super) users: StoredUsers,
    pub(super) namespaces: Vec<NamespaceRow>,
    /// By the number of their organization.
    pub(super) namespace_grants: HashMap<i64, Vec<GrantRow>>,
    /// By the number of their organization.
    pub(super) repositories: HashMap<i64, Vec<RepositoryRow>>,
    /// These by the number of their repository.
    pub(super) repository_grants: HashMap<i64, Vec<GrantRow>>,
    pub(super) triggers: HashMap<i64, Vec<TriggerRow>>,
    pub(super) retentions: HashMap<i64, Policy>,
    pub(super) shares: HashMap<i64, Vec<ShareRow>>,
    pub(super) sync_tasks: HashMap<i64, Vec<SyncTaskRow>>,
    pub(super) clusters: Vec<Cluster>,
    /// By the id of their cluster.
    pub(super) workloads: BTreeMap<String, Vec<WorkloadRow>>,
}

#[derive(Debug, FromRow)]
pub(super) struct NamespaceRow {
    pub(super) id: i64,
    pub(super) region: String,
    pub(super) name: String,
    pub(super) account_id: String,
    pub(super) creator_id: String,
}

#[derive(Debug, FromRow)]
pub(super) struct GrantRow {
    place: i64,
    pub(super) user_id: String,
    pub(super) user_name: String,
    pub(super) auth: u8,
}

#[derive(Debug, FromRow)]
pub(super) struct RepositoryRow {
    pub(super) id: i64,
    namespace_id: i64,
    pub(super) name: String,
    pub(super) is_public: bool,
    pub(super) category: Category,
    pub(super) description: String,
    pub(super) creator_id: String,
}

#[derive(Debug, FromRow)]
pub(super) struct TriggerRow {
    repository_id: i64,
    pub(super) name: String,
    pub(super) app_type: AppType,
    pub(super) application: String,
    pub(super) cluster_ns: String,
    #[sqlx(flatten)]
    pub(super) condition: Condition,
    pub(super) enabled: bool,
    #[sqlx(flatten)]
    pub(super) cluster: ClusterRef,
    pub(super) container: String,
    pub(super) creator_name: String,
}

#[derive(Debug, FromRow)]
pub(super) struct ShareRow {
    repository_id: i64,
    pub(super) account_id: String,
    pub(super) deadline: Option<Timestamp>,
    pub(super) description: String,
    pub(super) creator_id: String,
}

#[derive(Debug, FromRow)]
pub(super) struct SyncTaskRow {
    repository_id: i64,
    pub(super) remote_region: String,
    pub(super) remote_namespace: String,
    pub(super) sync_auto: bool,
    pub(super) overrides: bool,
    pub(super) operator_id: String,
}

#[derive(Debug)]
pub(super) struct WorkloadRow {
    pub(super) namespace: String,
    pub(super) kind: AppType,
    pub(super) name: String,
    pub(super) containers: Vec<Container>,
    pub(super) init_containers: Vec<Container>,
    pub(super) fail_status: u16,
    pub(super) fail_times: u32,
    pub(super) delay_ms: u32,
    pub(super) plan: Option<RolloutPlan>,
}

/// Reads the state in a turn of the writer's: what several statements see there is of one moment.
#[derive(Debug)]
pub struct ReadState;

impl Write for ReadState {
    type Output = State;

    fn touches(&self) -> Touched {
        Touched::Subjects(Vec::new())
    }

    async fn run(self, db: &mut SqliteConnection) -> Result<State> {
        let agencies: Vec<String> = sqlx::query_scalar("SELECT account_id FROM agencies")
            .fetch_all(&mut *db)
            .await?;
        let namespaces =
            sqlx::query_as("SELECT id, region, name, account_id, creator_id FROM namespaces")
                .fetch_all(&mut *db)
                .await?;
        let namespace_grants: Vec<GrantRow> = sqlx::query_as(
            "SELECT namespace_id AS place, user_id, user_name, auth FROM namespace_permissions",
        )
        .fetch_all(&mut *db)
        .await?;
        let repositories: Vec<RepositoryRow> = sqlx::query_as(
            "SELECT id, namespace_id, name, is_public, category, description, creator_id
             FROM repositories",
        )
        .fetch_all(&mut *db)
        .await?;
        let repository_grants: Vec<GrantRow> = sqlx::query_as(
            "SELECT repository_id AS place, user_id, user_name, auth FROM repository_permissions",
        )
        .fetch_all(&mut *db)
        .await?;
        let triggers: Vec<TriggerRow> = sqlx::query_as(
            "SELECT repository_id, name, app_type, application, cluster_ns, trigger_type, condition,
                    enabled, trigger_mode, cluster_id, cluster_name, container, creator_name
             FROM triggers",
        )
        .fetch_all(&mut *db)
        .await?;
        let shares: Vec<ShareRow> = sqlx::query_as(
            "SELECT repository_id, account_id, deadline, description, creator_id FROM shares",
        )
        .fetch_all(&mut *db)
        .await?;
        let sync_tasks: Vec<SyncTaskRow> = sqlx::query_as(
            "SELECT repository_id, remote_region, remote_namespace, sync_auto, overrides,
                    operator_id
             FROM sync_tasks",
        )
        .fetch_all(&mut *db)
        .await?;
        Ok(State {
            agencies: agencies.into_iter().collect(),
            users: StoredUsers::list(&mut *db).await?,
            namespaces,
            namespace_grants: by(namespace_grants, |row| row.place),
            repositories: by(repositories, |row| row.namespace_id),
            repository_grants: by(repository_grants, |row| row.place),
            triggers: by(triggers, |row| row.repository_id),
            retentions: retentions(&mut *db).await?,
            shares: by(shares, |row| row.repository_id),
            sync_tasks: by(sync_tasks, |row| row.repository_id),
            clusters: cce::store::list(&mut *db).await?,
            workloads: workloads(db).await?,
        })
    }
}

fn by<T>(rows: Vec<T>, key: impl Fn(&T) -> i64) -> HashMap<i64, Vec<T>> {
    let mut groups: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows {
        groups.entry(key(&row)).or_default().push(row);
    }
    groups
}

async fn retentions(db: impl SqliteExecutor<'_>) -> Result<HashMap<i64, Policy>> {
    let rows: Vec<(i64, String)> = sqlx::query_as("SELECT repository_id, policy FROM retentions")
        .fetch_all(db)
        .await?;
    let policies = rows.into_iter().map(|(repository_id, policy)| {
        let fields = JsonObject::parse(policy.as_bytes());
        let policy = fields.and_then(|fields| read_policy(&fields));
        Ok((repository_id, policy.map_err(Error::internal)?))
    });
    policies.collect()
}

#[derive(FromRow)]
struct StoredWorkload {
    cluster_id: String,
    namespace: String,
    kind: AppType,
    name: String,
    containers: String,
    init_containers: String,
    fail_status: u16,
    fail_times: u32,
    delay_ms: u32,
    rollout: Option<String>,
}

async fn workloads(db: impl SqliteExecutor<'_>) -> Result<BTreeMap<String, Vec<WorkloadRow>>> {
    let rows: Vec<StoredWorkload> = sqlx::query_as(
        "SELECT cluster_id, namespace, kind, name, containers, init_containers, fail_status,
                fail_times, delay_ms, rollout
         FROM workloads",
    )
    .fetch_all(db)
    .await?;
    let mut workloads: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in rows {
        let plan = row.rollout.as_deref().map(serde_json::from_str);
        let read = |json: &str| serde_json::from_str(json).map_err(Error::internal);
        let workload = WorkloadRow {
            namespace: row.namespace,
            kind: row.kind,
            name: row.name,
            containers: read(&row.containers)?,
            init_containers: read(&row.init_containers)?,
            fail_status: row.fail_status,
            fail_times: row.fail_times,
            delay_ms: row.delay_ms,
            plan: plan.transpose().map_err(Error::internal)?,
        };
        workloads.entry(row.cluster_id).or_default().push(workload);
    }
    Ok(workloads)
}
