//! The SQL of the pushes that are remembered, as people look at them: with what each meant for the
//! triggers of its repository.

use sqlx::{FromRow, SqliteExecutor};

use super::rollout::Landed;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::tag::TagName;

/// A push that is remembered.
#[derive(Debug, Clone, FromRow)]
pub struct RecordedPush {
    /// Its number.
    pub id: i64,
    pub tag: String,
    /// The digest that the tag had.
    pub digest: String,
    /// The user's name.
    pub pushed_by: String,
    pub pushed_at: Timestamp,
    /// The newest trigger of all that there was.
    pub newest_trigger: i64,
    /// The id of the request that pushed it; none where a sync did.
    pub request_id: Option<String>,
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
        "SELECT id, tag, digest, pushed_by, pushed_at, newest_trigger, request_id FROM pushes
         WHERE repository_id = ?1 AND (?2 IS NULL OR tag = ?2) AND id < ?3
         ORDER BY id DESC LIMIT +?4",
    )
    .bind(repository_id)
    .bind(tag)
    .bind(before.unwrap_or(i64::MAX))
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// A push with where it went.
#[derive(Debug, Clone, FromRow)]
pub struct LocatedPush {
    #[sqlx(flatten)]
    pub push: RecordedPush,
    pub region: String,
    /// The organization's name.
    pub namespace: String,
    /// The repository's name.
    pub repository: String,
}

/// The pushes of all repositories, newest first.
pub async fn list_newest(db: impl SqliteExecutor<'_>, limit: u32) -> Result<Vec<LocatedPush>> {
    let found = sqlx::query_as(
        "SELECT p.id, p.tag, p.digest, p.pushed_by, p.pushed_at, p.newest_trigger,
                p.request_id, n.region, n.name AS namespace, r.name AS repository
         FROM pushes p
         CROSS JOIN repositories r ON r.id = p.repository_id
         CROSS JOIN namespaces n ON n.id = r.namespace_id
         ORDER BY p.id DESC LIMIT +?",
    )
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// A push that nobody was told of yet, and what was decided at it.
#[derive(Debug, FromRow)]
pub(super) struct NewPush {
    #[sqlx(flatten)]
    pub(super) push: LocatedPush,
    /// How many triggers it fired.
    pub(super) fired: i64,
    /// How many it did not, as far as they are remembered.
    pub(super) passed_over: i64,
}

/// The pushes after one, oldest first.
pub(super) async fn list_new(db: impl SqliteExecutor<'_>, after: i64) -> Result<Vec<NewPush>> {
    let found = sqlx::query_as(
        "SELECT p.id, p.tag, p.digest, p.pushed_by, p.pushed_at, p.request_id, p.newest_trigger,
                n.region, n.name AS namespace, r.name AS repository,
                (SELECT count(*) FROM trigger_history h WHERE h.push_id = p.id)
                    + (SELECT count(*) FROM firings f WHERE f.push_id = p.id) AS fired,
                json_array_length(p.passed_over) AS passed_over
         FROM pushes p
         CROSS JOIN repositories r ON r.id = p.repository_id
         CROSS JOIN namespaces n ON n.id = r.namespace_id
         WHERE p.id > ? ORDER BY p.id",
    )
    .bind(after)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// Where a push went.
#[derive(Debug, Clone, FromRow)]
pub struct PushPlace {
    pub region: String,
    /// The organization's name.
    pub namespace: String,
    /// The repository's name.
    pub repository: String,
}

/// Where a push went, unless it was deleted meanwhile.
pub async fn find_place(db: impl SqliteExecutor<'_>, push_id: i64) -> Result<Option<PushPlace>> {
    let found = sqlx::query_as(
        "SELECT n.region, n.name AS namespace, r.name AS repository
         FROM pushes p
         JOIN repositories r ON r.id = p.repository_id
         JOIN namespaces n ON n.id = r.namespace_id
         WHERE p.id = ?",
    )
    .bind(push_id)
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// The number of the newest push of all, or 0.
pub(super) async fn find_newest_id(db: impl SqliteExecutor<'_>) -> Result<i64> {
    let newest = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM pushes")
        .fetch_one(db)
        .await?;
    Ok(newest)
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

/// How the rollouts of a push are, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct RolloutsOfPush {
    /// Whether one does not get through, or nobody will know, or its firing failed.
    pub is_any_lost: bool,
    /// Whether one goes on.
    pub is_any_open: bool,
}

/// How the rollouts of a push are that its firings began.
pub async fn find_rollouts(db: impl SqliteExecutor<'_>, push_id: i64) -> Result<RolloutsOfPush> {
    let found = sqlx::query_as(
        "SELECT coalesce(max(rollout_state IS NULL OR rollout_state IN ('degraded', 'unknown')), 0)
                    AS is_any_lost,
                coalesce(max(rollout_state IS 'progressing'), 0) AS is_any_open
         FROM trigger_history WHERE push_id = ?",
    )
    .bind(push_id)
    .fetch_one(db)
    .await?;
    Ok(found)
}

/// What a push meant for a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
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
    Open { firing_id: i64 },
    /// It fired, and this is the outcome.
    Ended {
        /// `success` or `failed`.
        result: String,
        /// Why it failed, or what was special.
        detail: String,
        /// How often it was tried.
        tries: u32,
        /// Where it went, and what came of it there.
        landed: Box<Landed>,
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
    #[sqlx(flatten)]
    landed: Landed,
}

const COUNT_DECISIONS: &str = "SELECT (SELECT count(*) FROM trigger_history WHERE push_id = ?1)
    + (SELECT count(*) FROM firings WHERE push_id = ?1)
    + coalesce((SELECT json_array_length(passed_over) FROM pushes WHERE id = ?1), 0)";

/// For how many triggers it is known what a push meant for them.
pub async fn count_decisions(db: impl SqliteExecutor<'_>, push_id: i64) -> Result<i64> {
    let count = sqlx::query_scalar(COUNT_DECISIONS)
        .bind(push_id)
        .fetch_one(db)
        .await?;
    Ok(count)
}

const LIST_DECISIONS: &str = "SELECT t.name AS trigger_name, NULL AS reason, NULL AS firing_id,
           h.result, h.detail, h.tries, h.cluster, h.cluster_ns, h.app_type, h.application,
           h.container, h.rollout_state, h.rollout_reason, h.rollout_message, h.rollout_since,
           h.rollout_observed
    FROM trigger_history h JOIN triggers t ON t.id = h.trigger_id WHERE h.push_id = ?1
    UNION ALL
    SELECT t.name, NULL, f.id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           NULL, NULL
    FROM firings f JOIN triggers t ON t.id = f.trigger_id WHERE f.push_id = ?1
    UNION ALL
    SELECT r.value->>0, r.value->>1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           NULL, NULL, NULL, NULL
    FROM pushes p CROSS JOIN jsonb_each(p.passed_over) r WHERE p.id = ?1
    LIMIT +?2";

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
                landed: Box::new(row.landed),
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
    use sqlx::ConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;
    use crate::db::MIGRATOR;
    use crate::db::testing::TestDb;

    #[tokio::test]
    async fn reasons_of_an_earlier_schema_are_told_as_before() {
        let options = SqliteConnectOptions::new().in_memory(true);
        let mut connection = options.connect().await.expect("opened");
        let migrated = MIGRATOR.run_direct(Some(14), &mut connection, false).await;
        migrated.expect("migrated");
        sqlx::raw_sql(
            "INSERT INTO accounts VALUES ('a', 'a');
             INSERT INTO namespaces VALUES (1, 'r1', 'g', 'a', 'u', 'u', 0);
             INSERT INTO repositories VALUES (1, 1, 'a', 1, 'other', '', 'u', 'u', 0, 0, 0);
             INSERT INTO pushes (id, repository_id, tag, digest, pushed_by, pushed_at)
             VALUES (1, 1, 'v1', 'd', 'u', 0), (2, 1, 'v2', 'd', 'u', 0);
             INSERT INTO passed_over VALUES (1, 'u', 'not \"\n'), (1, 't', 'reason');",
        )
        .execute(&mut connection)
        .await
        .expect("written");
        let migrated = MIGRATOR.run_direct(None, &mut connection, false).await;
        migrated.expect("migrated");

        for (push, expected) in [(1, &[("t", "reason"), ("u", "not \"\n")][..]), (2, &[])] {
            let count = count_decisions(&mut connection, push).await.expect("read");
            let found = list_decisions(&mut connection, push, 10).await;
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, reason)| Decision {
                    trigger_name: (*name).to_owned(),
                    state: FiringState::PassedOver {
                        reason: (*reason).to_owned(),
                    },
                })
                .collect();
            assert_eq!(usize::try_from(count).expect("a number"), expected.len());
            assert_eq!(found.expect("read"), expected);
        }
        let gone = count_decisions(&mut connection, 3).await.expect("read");
        assert_eq!(gone, 0);
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
                // The one row that the counts are in is no table, nor is the array of a push.
                let is_table = !step.contains("CONSTANT") && !step.contains("VIRTUAL TABLE");
                let reads_all = step.starts_with("SCAN ") && is_table;
                assert!(!reads_all, "{steps:?}");
            }
        }
    }
}
