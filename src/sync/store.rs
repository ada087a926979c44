//! The SQL of sync tasks and jobs.

use sqlx::{AssertSqlSafe, FromRow, SqliteConnection, SqliteExecutor};

use super::{Outcome, SyncJob, SyncTarget, SyncTask};
use crate::clock::Timestamp;
use crate::db::{Readers, Write, foreign_key_means};
use crate::error::{Error, Resource, Result};
use crate::page::{Page, SortOrder};
use crate::repository::Category;
use crate::tag::TagName;

/// Jobs of a repository that are remembered.
const MOST_JOBS: i64 = 1000;

/// Makes a task, or changes the one for the same target.
#[derive(Debug)]
pub struct PutTask {
    /// Which repository.
    pub repository_id: i64,
    /// Where its images go.
    pub target: SyncTarget,
    /// Whether what is pushed is synced by itself.
    pub sync_auto: bool,
    /// Whether a tag that the target has with another image is replaced.
    pub overwrite: bool,
    /// The id of the user who makes it.
    pub operator_id: String,
    /// That user's name.
    pub operator_name: String,
    pub now: Timestamp,
}

impl Write for PutTask {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let sql =
            "INSERT INTO sync_tasks (repository_id, remote_region, remote_namespace, sync_auto,
                                    overrides, operator_id, operator_name, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
             ON CONFLICT (repository_id, remote_region, remote_namespace) DO UPDATE
             SET sync_auto = excluded.sync_auto, overrides = excluded.overrides,
                 updated_at = excluded.updated_at";
        insert(transaction, sql, &self).await
    }
}

/// Makes a task unless there is one for the same target.
pub async fn insert_task(db: impl SqliteExecutor<'_>, task: &PutTask) -> Result<()> {
    let sql = "INSERT INTO sync_tasks (repository_id, remote_region, remote_namespace, sync_auto,
                                overrides, operator_id, operator_name, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
         ON CONFLICT (repository_id, remote_region, remote_namespace) DO NOTHING";
    insert(db, sql, task).await
}

/// Runs one of the statements that differ in what becomes of a task for the same target.
async fn insert(db: impl SqliteExecutor<'_>, sql: &'static str, task: &PutTask) -> Result<()> {
    let inserted = sqlx::query(sql)
        .bind(task.repository_id)
        .bind(&task.target.region)
        .bind(&task.target.namespace)
        .bind(task.sync_auto)
        .bind(task.overwrite)
        .bind(&task.operator_id)
        .bind(&task.operator_name)
        .bind(task.now)
        .execute(db)
        .await;
    of_a_repository(inserted)
}

/// A row that refers to a repository, which may have gone away.
fn of_a_repository<T>(inserted: sqlx::Result<T>) -> Result<()> {
    let gone = Error::NotFound(Resource::Repository);
    inserted.map(drop).map_err(foreign_key_means(gone))
}

/// Removes a task.
#[derive(Debug)]
pub struct DeleteTask {
    /// Which repository.
    pub repository_id: i64,
    pub target: SyncTarget,
}

impl Write for DeleteTask {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let done = sqlx::query(
            "DELETE FROM sync_tasks
             WHERE repository_id = ? AND remote_region = ? AND remote_namespace = ?",
        )
        .bind(self.repository_id)
        .bind(&self.target.region)
        .bind(&self.target.namespace)
        .execute(transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Err(Error::NoSyncTask);
        }
        Ok(())
    }
}

/// The tasks of a repository that sync by themselves, oldest first. The live service was seen not
/// to list others.
pub async fn list_auto_tasks(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
) -> Result<Vec<SyncTask>> {
    let found = sqlx::query_as(
        "SELECT s.id, n.account_id, a.name AS account_name, n.name AS namespace,
                r.name AS repository, s.remote_region, s.remote_namespace, s.sync_auto,
                s.overrides AS overwrite, s.created_at, s.updated_at
         FROM sync_tasks s
         JOIN repositories r ON r.id = s.repository_id
         JOIN namespaces n ON n.id = r.namespace_id
         JOIN accounts a ON a.id = n.account_id
         WHERE s.repository_id = ? AND s.sync_auto ORDER BY s.id",
    )
    .bind(repository_id)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// Makes, in the transaction that stores a pushed tag, a job for each automatic task.
pub async fn insert_jobs_of_push(
    transaction: &mut SqliteConnection,
    repository_id: i64,
    tag: &TagName,
    digest: &str,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO sync_jobs (repository_id, remote_region, remote_namespace, overrides, tag,
                                digest, operator_id, operator_name, created_at, updated_at)
         SELECT repository_id, remote_region, remote_namespace, overrides, ?2, ?3, operator_id,
                operator_name, ?4, ?4
         FROM sync_tasks WHERE repository_id = ?1 AND sync_auto ORDER BY id",
    )
    .bind(repository_id)
    .bind(tag.as_str())
    .bind(digest)
    .bind(now)
    .execute(transaction)
    .await?;
    Ok(())
}

/// Makes a job for each of some tags, whether they are there or not.
#[derive(Debug)]
pub struct CreateJobs {
    /// Which repository.
    pub repository_id: i64,
    /// Where its images go.
    pub target: SyncTarget,
    /// Whether a tag that the target has with another image is replaced.
    pub overwrite: bool,
    pub tags: Vec<TagName>,
    /// The id of the user who asks for it.
    pub operator_id: String,
    /// That user's name.
    pub operator_name: String,
    pub now: Timestamp,
}

impl Write for CreateJobs {
    type Output = ();
    const WAKES_WORKERS: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        for tag in &self.tags {
            let inserted = sqlx::query(
                "INSERT INTO sync_jobs (repository_id, remote_region, remote_namespace, overrides,
                                        tag, digest, operator_id, operator_name, created_at,
                                        updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5,
                         (SELECT digest FROM tags WHERE repository_id = ?1 AND name = ?5),
                         ?6, ?7, ?8, ?8)",
            )
            .bind(self.repository_id)
            .bind(&self.target.region)
            .bind(&self.target.namespace)
            .bind(self.overwrite)
            .bind(tag.as_str())
            .bind(&self.operator_id)
            .bind(&self.operator_name)
            .bind(self.now)
            .execute(&mut *transaction)
            .await;
            of_a_repository(inserted)?;
        }
        Ok(())
    }
}

/// A page of a repository's jobs in the order in which they were made, and how many there are.
pub async fn list_jobs(
    db: &Readers,
    repository_id: i64,
    order: SortOrder,
    page: Page,
) -> Result<(Vec<SyncJob>, i64)> {
    let direction = match order {
        SortOrder::Ascending => "ASC",
        SortOrder::Descending => "DESC",
    };
    let sql = format!(
        "SELECT j.id, n.account_id, a.name AS account_name, n.name AS namespace,
                r.name AS repository, j.remote_region, j.remote_namespace, j.overrides AS overwrite, j.tag,
                j.status, j.operator_id, j.operator_name, j.created_at, j.updated_at
         FROM sync_jobs j
         JOIN repositories r ON r.id = j.repository_id
         JOIN namespaces n ON n.id = r.namespace_id
         JOIN accounts a ON a.id = n.account_id
         WHERE j.repository_id = ? ORDER BY j.id {direction} LIMIT +? OFFSET ?"
    );
    let found = sqlx::query_as(AssertSqlSafe(sql))
        .bind(repository_id)
        .bind(page.limit)
        .bind(page.offset)
        .fetch_all(db)
        .await?;
    let total = sqlx::query_scalar("SELECT count(*) FROM sync_jobs WHERE repository_id = ?")
        .bind(repository_id)
        .fetch_one(db)
        .await?;
    Ok((found, total))
}

/// How many jobs have not ended.
pub async fn count_open(db: impl SqliteExecutor<'_>) -> Result<i64> {
    let sql = "SELECT count(*) FROM sync_jobs WHERE status IN ('waiting', 'running')";
    Ok(sqlx::query_scalar(sql).fetch_one(db).await?)
}

/// A job that is to be done, as far as the worker has to know it.
#[derive(Debug, Clone, FromRow)]
pub struct OpenJob {
    /// Its number.
    pub id: i64,
    pub tag: String,
    /// The source, as people write it.
    pub source: String,
    /// The target, likewise.
    pub target: String,
    /// The repository that it goes to, if there is one already.
    pub target_id: Option<i64>,
}

/// The first job that has not ended. One that runs is among them: it did when an earlier run was
/// killed, or its last try failed.
pub async fn find_open(db: impl SqliteExecutor<'_>) -> Result<Option<OpenJob>> {
    let found = sqlx::query_as(
        "SELECT j.id, j.tag, n.region || '/' || n.name || '/' || r.name AS source,
                j.remote_region || '/' || j.remote_namespace || '/' || r.name AS target,
                (SELECT tr.id FROM repositories tr JOIN namespaces tn ON tn.id = tr.namespace_id
                 WHERE tn.region = j.remote_region AND tn.name = j.remote_namespace
                   AND tr.name = r.name) AS target_id
         FROM sync_jobs j
         JOIN repositories r ON r.id = j.repository_id
         JOIN namespaces n ON n.id = r.namespace_id
         WHERE j.status IN ('waiting', 'running') ORDER BY j.id LIMIT 1",
    )
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// Notes that a job runs.
#[derive(Debug)]
pub struct StartJob {
    /// Which one.
    pub id: i64,
    pub now: Timestamp,
}

impl Write for StartJob {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        sqlx::query(
            "UPDATE sync_jobs SET status = 'running', updated_at = ?2
             WHERE id = ?1 AND status = 'waiting'",
        )
        .bind(self.id)
        .bind(self.now)
        .execute(transaction)
        .await?;
        Ok(())
    }
}

/// Ends a job that cannot be done.
#[derive(Debug)]
pub struct FailJob {
    /// Which one.
    pub id: i64,
    pub now: Timestamp,
}

impl Write for FailJob {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let outcome = Outcome::Failed(String::new());
        end(transaction, self.id, &outcome, self.now).await
    }
}

/// Records how a job ended; the oldest ended ones of many are forgotten.
pub(super) async fn end(
    transaction: &mut SqliteConnection,
    id: i64,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<()> {
    sqlx::query("UPDATE sync_jobs SET status = ?2, updated_at = ?3 WHERE id = ?1")
        .bind(id)
        .bind(outcome.status())
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "DELETE FROM sync_jobs
         WHERE repository_id = (SELECT repository_id FROM sync_jobs WHERE id = ?1)
           AND status NOT IN ('waiting', 'running')
           AND id <= (
               SELECT id FROM sync_jobs
               WHERE repository_id = (SELECT repository_id FROM sync_jobs WHERE id = ?1)
               ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )
    .bind(id)
    .bind(MOST_JOBS)
    .execute(transaction)
    .await?;
    Ok(())
}

/// A job that has not ended, with what there is of its source and target.
#[derive(Debug, FromRow)]
pub(super) struct Job {
    pub(super) repository_id: i64,
    pub(super) remote_region: String,
    pub(super) remote_namespace: String,
    pub(super) overwrite: bool,
    pub(super) tag: String,
    /// The image that the tag had when the job was made, if it is still there.
    pub(super) digest: Option<String>,
    pub(super) operator_id: String,
    pub(super) operator_name: String,
    pub(super) repository: String,
    pub(super) category: Category,
    pub(super) has_tag: bool,
    /// The target's organization, if the account has it.
    pub(super) target_namespace_id: Option<i64>,
}

/// The job with this number, if it has not ended.
pub(super) async fn find_job(db: impl SqliteExecutor<'_>, id: i64) -> Result<Option<Job>> {
    let found = sqlx::query_as(
        "SELECT j.repository_id, j.remote_region, j.remote_namespace, j.overrides AS overwrite, j.tag,
                j.operator_id, j.operator_name, r.name AS repository, r.category,
                (SELECT m.digest FROM manifests m
                 WHERE m.repository_id = r.id AND m.digest = j.digest) AS digest,
                EXISTS (SELECT 1 FROM tags t
                        WHERE t.repository_id = r.id AND t.name = j.tag) AS has_tag,
                tn.id AS target_namespace_id
         FROM sync_jobs j
         JOIN repositories r ON r.id = j.repository_id
         JOIN namespaces n ON n.id = r.namespace_id
         LEFT JOIN namespaces tn ON tn.region = j.remote_region
             AND tn.name = j.remote_namespace AND tn.account_id = n.account_id
         WHERE j.id = ? AND j.status IN ('waiting', 'running')",
    )
    .bind(id)
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// The number of the repository with this name.
pub(super) async fn find_repository(
    db: impl SqliteExecutor<'_>,
    namespace_id: i64,
    name: &str,
) -> Result<Option<i64>> {
    let sql = "SELECT id FROM repositories WHERE namespace_id = ? AND name = ?";
    Ok(sqlx::query_scalar(sql)
        .bind(namespace_id)
        .bind(name)
        .fetch_optional(db)
        .await?)
}

#[cfg(test)]
mod tests {
    use super::super::JobStatus;
    use super::super::job::DoJob;
    use super::*;
    use crate::clock::Clock;
    use crate::db::testing::TestDb;
    use crate::engine::Verdicts;
    use crate::repository;

    async fn seeded() -> (TestDb, i64) {
        let test = TestDb::seeded("organizations: [{name: g, repositories: [{name: a}]}]").await;
        let id = sqlx::query_scalar("SELECT id FROM repositories")
            .fetch_one(test.db.readers())
            .await
            .expect("there is one");
        (test, id)
    }

    fn jobs(repository_id: i64, count: usize) -> CreateJobs {
        let tag = |at| TagName::parse(&format!("v{at}")).expect("a tag");
        CreateJobs {
            repository_id,
            target: SyncTarget {
                region: "r2".to_owned(),
                namespace: "g".to_owned(),
            },
            overwrite: false,
            tags: (1..=count).map(tag).collect(),
            operator_id: "u".to_owned(),
            operator_name: "user".to_owned(),
            now: Clock::default().now(),
        }
    }

    async fn statuses(test: &TestDb, repository_id: i64) -> Vec<(i64, JobStatus)> {
        let page = Page {
            limit: 10_000,
            offset: 0,
        };
        let (found, total) =
            list_jobs(test.db.readers(), repository_id, SortOrder::Ascending, page)
                .await
                .expect("read");
        assert_eq!(i64::try_from(found.len()), Ok(total));
        found.into_iter().map(|job| (job.id, job.status)).collect()
    }

    #[tokio::test]
    async fn a_job_runs_until_it_is_done_also_after_a_start_in_between() {
        let (test, repository_id) = seeded().await;
        let now = Clock::default().now();
        test.db.write(jobs(repository_id, 2)).await.expect("made");
        let open = async || find_open(test.db.readers()).await.expect("read");
        let first = open().await.expect("one waits").id;
        let start = StartJob { id: first, now };
        test.db.write(start).await.expect("started");
        assert_eq!(
            statuses(&test, repository_id).await[0].1,
            JobStatus::Running
        );
        assert_eq!(open().await.map(|job| job.id), Some(first));

        let work = |id| DoJob {
            id,
            verdicts: Verdicts::default(),
            now,
        };
        let ended = test.db.write(work(first)).await.expect("ended");
        assert!(matches!(ended, Some(Outcome::Failed(_))), "{ended:?}");
        assert_eq!(test.db.write(work(first)).await.expect("decided"), None);
        assert_eq!(open().await.map(|job| job.tag), Some("v2".to_owned()));
        assert_eq!(count_open(test.db.readers()).await.expect("read"), 1);
    }

    #[tokio::test]
    async fn a_thousand_jobs_of_a_repository_are_kept_and_all_that_have_not_ended() {
        let (test, repository_id) = seeded().await;
        let now = Clock::default().now();
        let count = usize::try_from(MOST_JOBS).expect("small") + 3;
        let made = test.db.write(jobs(repository_id, count)).await;
        made.expect("made");
        let ids: Vec<_> = statuses(&test, repository_id).await;
        let last = ids[count - 1].0;
        test.db
            .write(FailJob { id: last, now })
            .await
            .expect("ended");
        assert_eq!(statuses(&test, repository_id).await.len(), count);
        for (id, _) in &ids[..5] {
            test.db
                .write(FailJob { id: *id, now })
                .await
                .expect("ended");
        }
        let kept = statuses(&test, repository_id).await;
        assert_eq!(kept.len(), count - 3);
        assert_eq!(kept[0], (ids[3].0, JobStatus::Failed));
        assert_eq!(kept[2], (ids[5].0, JobStatus::Waiting));
    }

    #[tokio::test]
    async fn tasks_and_jobs_go_with_their_repository_and_none_are_made_without_one() {
        let (test, repository_id) = seeded().await;
        let task = || PutTask {
            repository_id,
            target: jobs(repository_id, 0).target,
            sync_auto: true,
            overwrite: false,
            operator_id: "u".to_owned(),
            operator_name: "user".to_owned(),
            now: Clock::default().now(),
        };
        test.db.write(task()).await.expect("made");
        test.db.write(jobs(repository_id, 1)).await.expect("made");
        let delete = repository::store::DeleteRepository {
            id: repository_id,
            now: Clock::default().now(),
        };
        test.db.write(delete).await.expect("deleted");
        assert_eq!(count_open(test.db.readers()).await.expect("read"), 0);
        for refused in [
            test.db.write(task()).await,
            test.db.write(jobs(repository_id, 1)).await,
        ] {
            assert!(
                matches!(refused, Err(Error::NotFound(Resource::Repository))),
                "{refused:?}"
            );
        }
    }
}
