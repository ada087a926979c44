//! The SQL of rollouts that have not ended.

use std::collections::HashSet;

use sqlx::{FromRow, SqliteConnection, SqliteExecutor};

use super::{ChosenWorkload, FiringRollout, RolloutChange};
use crate::clock::Timestamp;
use crate::db::{Touched, Write};
use crate::error::{Error, Result};
use crate::trigger::AppType;
use crate::workload::store::DueWorkload;
use crate::workload::{self, Container, Health, Pods, RolloutState, WorkloadKey};

/// How many workloads, and how many firings, one transaction settles.
const MOST_TOGETHER: u32 = 1000;

/// Whether an earlier run left rollouts that have not ended.
pub async fn has_open(db: impl SqliteExecutor<'_>) -> Result<bool> {
    let has_open = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM workloads WHERE due IS NOT NULL)
             OR EXISTS (SELECT 1 FROM trigger_history WHERE rollout_state = 'progressing')",
    )
    .fetch_one(db)
    .await?;
    Ok(has_open)
}

/// Whether a firing's rollout is said to go on though that of its simulated workload does not.
pub(super) async fn has_settled(db: impl SqliteExecutor<'_>) -> Result<bool> {
    let has_settled = sqlx::query_scalar(
        "SELECT EXISTS (
             SELECT 1 FROM trigger_history h LEFT JOIN workloads w ON w.id = h.workload_id
             WHERE h.rollout_state = 'progressing' AND h.workload_id IS NOT NULL
               AND (w.id IS NULL OR w.revision <> h.revision OR w.state <> 'progressing'))",
    )
    .fetch_one(db)
    .await?;
    Ok(has_settled)
}

/// A firing whose rollout has not ended.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(super) struct Followed {
    /// Its entry in the history.
    id: i64,
    push_id: i64,
    namespace: String,
    repository: String,
    tag: String,
    #[sqlx(rename = "trigger_name")]
    trigger: String,
    #[sqlx(flatten)]
    pub(super) workload: ChosenWorkload,
    /// The revision of a simulated workload, the generation of a real one.
    pub(super) revision: i64,
}

impl Followed {
    pub(super) fn change<'a>(&'a self, rollout: &'a FiringRollout) -> RolloutChange<'a> {
        RolloutChange {
            push_id: self.push_id,
            namespace: &self.namespace,
            repository: &self.repository,
            tag: &self.tag,
            trigger: &self.trigger,
            workload: &self.workload,
            rollout,
            is_new: false,
        }
    }

    /// Where the workload is.
    pub(super) fn key(&self) -> Result<WorkloadKey> {
        Ok(WorkloadKey {
            cluster_id: self.workload.cluster.clone(),
            namespace: self.workload.namespace.clone(),
            kind: AppType::parse(&self.workload.kind)?,
            name: self.workload.name.clone(),
        })
    }
}

/// What the workload of a firing came to; none where it is gone.
#[derive(FromRow)]
struct Present {
    present: Option<i64>,
    state: Option<RolloutState>,
    reason: Option<String>,
    message: Option<String>,
    since: Option<Timestamp>,
}

impl Present {
    /// What that means for a firing which updated it to a revision.
    fn rollout(self, revision: i64, now: Timestamp) -> FiringRollout {
        let (health, since) = match (self.present, self.state) {
            (Some(present), Some(state)) if present == revision => {
                let health = Health {
                    state,
                    reason: self.reason.unwrap_or_default(),
                    message: self.message.unwrap_or_default(),
                };
                (health, self.since.unwrap_or(now))
            }
            (Some(_), _) => (Health::superseded(), now),
            (None, _) => (Health::gone(), now),
        };
        FiringRollout {
            health,
            since,
            observed: now,
        }
    }
}

#[derive(FromRow)]
struct SettledRow {
    #[sqlx(flatten)]
    firing: Followed,
    #[sqlx(flatten)]
    present: Present,
}

/// Ends the rollouts of simulated workloads that are due by a moment, and notes with the firings
/// how those ended that are not progressing any more.
#[derive(Debug)]
pub(super) struct Settle {
    pub(super) now: Timestamp,
}

impl Write for Settle {
    /// The firings with news.
    type Output = Vec<(Followed, FiringRollout)>;

    /// Answers that are kept say nothing of rollouts.
    fn touches(&self) -> Touched {
        Touched::Subjects(Vec::new())
    }

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Self::Output> {
        end_due(&mut *transaction, self.now).await?;
        let rows: Vec<SettledRow> = sqlx::query_as(
            "SELECT h.id, h.push_id, n.name AS namespace, r.name AS repository, h.tag,
                    t.name AS trigger_name, h.cluster, h.cluster_ns, h.app_type, h.application,
                    h.container, h.revision, w.revision AS present, w.state, w.reason, w.message,
                    w.since
             FROM trigger_history h
             LEFT JOIN workloads w ON w.id = h.workload_id
             CROSS JOIN triggers t ON t.id = h.trigger_id
             CROSS JOIN repositories r ON r.id = t.repository_id
             CROSS JOIN namespaces n ON n.id = r.namespace_id
             WHERE h.rollout_state = 'progressing' AND h.workload_id IS NOT NULL
               AND (w.id IS NULL OR w.revision <> h.revision OR w.state <> 'progressing')
             LIMIT +?",
        )
        .bind(MOST_TOGETHER)
        .fetch_all(&mut *transaction)
        .await?;
        let changed = rows.into_iter().map(|SettledRow { firing, present }| {
            let rollout = present.rollout(firing.revision, self.now);
            (firing, rollout)
        });
        let changed: Vec<_> = changed.collect();
        note(transaction, &changed).await?;
        Ok(changed)
    }
}

/// A firing of a workload whose rollout ends, and whether its image is still there.
#[derive(FromRow)]
struct PulledRow {
    workload_id: i64,
    tag: String,
    namespace: String,
    repository: String,
    has_image: bool,
}

async fn end_due(transaction: &mut SqliteConnection, now: Timestamp) -> Result<()> {
    let due = workload::store::list_due(&mut *transaction, now, MOST_TOGETHER).await?;
    if due.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = due.iter().map(|workload| workload.id).collect();
    let pulled: Vec<PulledRow> = sqlx::query_as(
        "SELECT w.id AS workload_id, h.tag, n.name AS namespace, r.name AS repository,
                EXISTS (SELECT 1 FROM tags g WHERE g.repository_id = r.id AND g.name = h.tag)
                    AS has_image
         FROM json_each(?) i
         CROSS JOIN workloads w ON w.id = i.value
         CROSS JOIN trigger_history h
            ON h.workload_id = w.id AND h.revision = w.revision
               AND h.rollout_state = 'progressing'
         CROSS JOIN triggers t ON t.id = h.trigger_id
         CROSS JOIN repositories r ON r.id = t.repository_id
         CROSS JOIN namespaces n ON n.id = r.namespace_id",
    )
    .bind(serde_json::to_string(&ids).map_err(Error::internal)?)
    .fetch_all(&mut *transaction)
    .await?;
    let ended: Vec<_> = due
        .iter()
        .map(|workload| {
            let of_workload = pulled.iter().filter(|row| row.workload_id == workload.id);
            (
                workload,
                outcome(workload, &of_workload.collect::<Vec<_>>()),
            )
        })
        .collect();
    workload::store::settle(transaction, &ended).await
}

/// How the rollout of a workload ends that these firings updated.
fn outcome(workload: &DueWorkload, firings: &[&PulledRow]) -> Health {
    let containers = || {
        let template = &workload.template;
        template.init_containers.iter().chain(&template.containers)
    };
    let runs = |container: &&Container, firing: &PulledRow| {
        let PulledRow {
            namespace,
            repository,
            tag,
            ..
        } = firing;
        container
            .image
            .ends_with(&format!("/{namespace}/{repository}:{tag}"))
    };
    // What cannot be pulled is told first.
    let gone = firings.iter().find(|firing| !firing.has_image);
    let updated = gone.or(firings.first());
    let container = updated
        .and_then(|firing| containers().find(|container| runs(container, firing)))
        .or_else(|| containers().next());
    let pods = Pods {
        kind: workload.kind,
        workload: &workload.name,
        container: container.map_or("", |container| &container.name),
        image: container.map_or("", |container| &container.image),
        is_image_there: gone.is_none(),
    };
    Health::outcome(workload.plan.as_ref(), pods)
}

/// Notes news with firings whose rollouts have not ended.
async fn note(
    transaction: &mut SqliteConnection,
    changed: &[(Followed, FiringRollout)],
) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let rows = changed.iter().map(|(firing, rollout)| {
        let FiringRollout {
            health,
            since,
            observed,
        } = rollout;
        let (since, observed) = (since.as_microseconds(), observed.as_microseconds());
        let Health {
            state,
            reason,
            message,
        } = health;
        (firing.id, state, reason, message, since, observed)
    });
    let rows: Vec<_> = rows.collect();
    sqlx::query(
        "UPDATE trigger_history
         SET rollout_state = c.value->>1, rollout_reason = c.value->>2,
             rollout_message = c.value->>3, rollout_since = c.value->>4,
             rollout_observed = c.value->>5
         FROM jsonb_each(?) c
         WHERE trigger_history.id = c.value->>0 AND trigger_history.rollout_state = 'progressing'",
    )
    .bind(serde_json::to_string(&rows).map_err(Error::internal)?)
    .execute(transaction)
    .await?;
    Ok(())
}

/// The firings whose rollouts go on in real clusters.
pub(super) async fn list_real(db: impl SqliteExecutor<'_>) -> Result<Vec<Followed>> {
    let found = sqlx::query_as(
        "SELECT h.id, h.push_id, n.name AS namespace, r.name AS repository, h.tag,
                t.name AS trigger_name, h.cluster, h.cluster_ns, h.app_type, h.application,
                h.container, h.revision
         FROM trigger_history h
         CROSS JOIN triggers t ON t.id = h.trigger_id
         CROSS JOIN repositories r ON r.id = t.repository_id
         CROSS JOIN namespaces n ON n.id = r.namespace_id
         WHERE h.rollout_state = 'progressing' AND h.workload_id IS NULL",
    )
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// Notes what was seen in a real cluster.
#[derive(Debug)]
pub(super) struct Note(pub(super) Vec<(Followed, FiringRollout)>);

impl Write for Note {
    /// The firings with news, as far as they are still there.
    type Output = Vec<(Followed, FiringRollout)>;

    fn touches(&self) -> Touched {
        Touched::Subjects(Vec::new())
    }

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Self::Output> {
        let open = list_real(&mut *transaction).await?;
        let open: HashSet<_> = open.into_iter().map(|firing| firing.id).collect();
        let mut changed = self.0;
        changed.retain(|(firing, _)| open.contains(&firing.id));
        note(transaction, &changed).await?;
        Ok(changed)
    }
}
