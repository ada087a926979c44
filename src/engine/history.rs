//! The SQL of the histories of triggers: an entry for each firing that ended.

use std::collections::HashSet;

use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection, SqliteExecutor};

use super::rollout::{Landed, Landing};
use super::store::{Ended, Ending, Record};
use crate::clock::Timestamp;
use crate::error::{Error, Result};

/// Entries that a trigger keeps.
const MOST_ENTRIES: i64 = 100;

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
    pub created_at: Timestamp,
}

/// Writes the entries of firings that end, in their order and each with its trigger as it is then;
/// the oldest of many go.
pub(super) async fn insert(transaction: &mut SqliteConnection, ended: &[Ended]) -> Result<()> {
    let entries: Vec<_> = ended
        .iter()
        .map(|ended| {
            let Record {
                tag,
                result,
                detail,
                ..
            } = &ended.record;
            let Ending { tries, now, .. } = ended.ending;
            let at = now.as_microseconds();
            let Landing {
                cluster,
                rollout,
                progress,
            } = &ended.landing;
            let rollout = rollout.as_ref();
            let health = rollout.map(|rollout| &rollout.health);
            let progress = progress.as_ref();
            (
                ended.trigger_id,
                ended.push_id,
                tag,
                result,
                detail,
                at,
                tries,
                cluster,
                health.map(|health| health.state),
                health.map_or("", |health| &health.reason),
                health.map_or("", |health| &health.message),
                rollout.map(|rollout| rollout.since.as_microseconds()),
                rollout.map(|rollout| rollout.observed.as_microseconds()),
                progress.and_then(|progress| progress.workload_id),
                progress.map(|progress| progress.revision),
            )
        })
        .collect();
    let triggers: HashSet<_> = ended.iter().map(|ended| ended.trigger_id).collect();
    sqlx::query(
        "INSERT INTO trigger_history (trigger_id, push_id, app_type, application, cluster_id,
                                      cluster_name, cluster_ns, condition, container,
                                      creator_name, tag, result, detail, created_at, tries,
                                      cluster, rollout_state, rollout_reason, rollout_message,
                                      rollout_since, rollout_observed, workload_id, revision)
         SELECT t.id, e.value->>1, t.app_type, t.application, t.cluster_id, t.cluster_name,
                t.cluster_ns, t.condition, t.container, t.creator_name, e.value->>2, e.value->>3,
                e.value->>4, e.value->>5, e.value->>6, e.value->>7, e.value->>8, e.value->>9,
                e.value->>10, e.value->>11, e.value->>12, e.value->>13, e.value->>14
         FROM jsonb_each(?) e CROSS JOIN triggers t ON t.id = e.value->>0",
    )
    .bind(serde_json::to_string(&entries).map_err(Error::internal)?)
    .execute(&mut *transaction)
    .await?;
    // The newest one that goes is looked for once for each trigger.
    sqlx::query(
        "WITH ends AS MATERIALIZED (
             SELECT t.value AS trigger_id,
                    (SELECT id FROM trigger_history WHERE trigger_id = t.value
                     ORDER BY id DESC LIMIT 1 OFFSET ?2) AS id
             FROM json_each(?1) t)
         DELETE FROM trigger_history WHERE id IN (
             SELECT h.id FROM ends
             CROSS JOIN trigger_history h ON h.trigger_id = ends.trigger_id AND h.id <= ends.id)",
    )
    .bind(serde_json::to_string(&triggers).map_err(Error::internal)?)
    .bind(MOST_ENTRIES)
    .execute(transaction)
    .await?;
    Ok(())
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
    pub(super) entry: Option<(HistoryEntry, u32, Landed)>,
    /// Why it did not fire, where the push remembers that.
    pub(super) reason: Option<String>,
}

impl FromRow<'_, SqliteRow> for Trace {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let has_entry: bool = row.try_get("has_entry")?;
        Ok(Self {
            trigger_id: row.try_get("trigger_id")?,
            is_open: row.try_get("is_open")?,
            entry: has_entry.then(|| ended(row)).transpose()?,
            reason: row.try_get("reason")?,
        })
    }
}

/// The entry, the number of tries, and the rollout.
fn ended(row: &SqliteRow) -> sqlx::Result<(HistoryEntry, u32, Landed)> {
    Ok((
        HistoryEntry::from_row(row)?,
        row.try_get("tries")?,
        Landed::from_row(row)?,
    ))
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
                (SELECT r.value->>1 FROM pushes p CROSS JOIN jsonb_each(p.passed_over) r
                 WHERE p.id = ?1 AND r.value->>0 = ?3) AS reason,
                h.app_type, h.application, h.cluster_id, h.cluster_name, h.cluster_ns,
                h.condition, h.container, h.creator_name, h.tag, h.result, h.detail, h.created_at,
                h.tries, h.cluster, h.rollout_state, h.rollout_reason, h.rollout_message,
                h.rollout_since, h.rollout_observed
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::db::Subject;
    use crate::engine::store::{End, Outcome};
    use crate::engine::testing::{Fire, seeded};

    #[tokio::test]
    async fn a_trigger_keeps_its_newest_hundred_entries_and_tells_how_far_they_reach() {
        let test = seeded(&[("t", "all", ".*", true)]).await;
        let most = MOST_ENTRIES + 1;
        for push_id in 1..=most {
            let fire = Fire { push_id, tag: "v1" };
            test.db.write(fire).await.expect("fired");
            let end = End {
                outcome: Outcome::Failed(format!("reason {push_id}")),
                landing: Landing::default(),
                ending: Ending {
                    firing_id: push_id,
                    trigger: Subject::new("trigger", 1),
                    tries: 1,
                    now: Clock::default().now(),
                },
            };
            test.db.write(end).await.expect("ended");
        }
        let fire = Fire {
            push_id: most + 1,
            tag: "v2",
        };
        test.db.write(fire).await.expect("fired");

        let db = test.db.readers();
        let entries = list_history(db, 1, "t").await.expect("read");
        let details: Vec<_> = entries.into_iter().map(|entry| entry.detail).collect();
        let expected = (2..=most).rev().map(|push| format!("reason {push}"));
        assert_eq!(details, expected.collect::<Vec<_>>());
        for (push, reaches) in [(1, false), (2, false), (3, true), (most, true)] {
            let found = reaches_back_to(db, 1, push).await;
            assert_eq!(found.expect("read"), reaches, "{push}");
        }
        for (push, is_open, detail) in [
            (1, false, None),
            (2, false, Some("reason 2")),
            (most + 1, true, None),
        ] {
            let trace = find_trace(db, push, 1, "t").await.expect("read");
            let trace = trace.expect("the trigger is there");
            assert_eq!(trace.is_open, is_open, "{push}");
            let entry = trace.entry.map(|(entry, ..)| entry.detail);
            assert_eq!(entry.as_deref(), detail, "{push}");
        }
    }
}
