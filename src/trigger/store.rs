//! The SQL of triggers.

use std::collections::HashSet;

use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection, SqliteExecutor};

use super::{
    AppType, Candidate, ClusterRef, Condition, NewTrigger, Trigger, TriggerMode, TriggerName,
    TriggerType,
};
use crate::clock::Timestamp;
use crate::db::{BatchWrite, Readers, Subject, Touched, Write, run_in_transaction};
use crate::error::{Error, Resource, Result};
use crate::repository::store::exists as repository_exists;

/// How long a condition may be, in bytes, that is read together with those of other triggers. An
/// expression never is longer; the tags of a condition can fill a body.
const LONG_CONDITION: i64 = 4096;

impl FromRow<'_, SqliteRow> for Condition {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self::stored(
            row.try_get("trigger_type")?,
            row.try_get("condition")?,
        ))
    }
}

impl FromRow<'_, SqliteRow> for ClusterRef {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self::new(
            row.try_get("trigger_mode")?,
            row.try_get("cluster_id")?,
            row.try_get("cluster_name")?,
        ))
    }
}

/// A trigger with its history, as something that is read and written.
pub fn subject(repository_id: i64, name: &TriggerName) -> Subject {
    Subject::new("trigger", (repository_id, name.as_str()))
}

/// The triggers of a repository without their histories, as something that is read and written.
pub fn list_subject(repository_id: i64) -> Subject {
    Subject::new("triggers", repository_id)
}

fn touched(repository_id: i64, name: &TriggerName) -> Touched {
    let subjects = [subject(repository_id, name), list_subject(repository_id)];
    Touched::Subjects(subjects.into())
}

/// The trigger with this name.
pub async fn find(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    name: &TriggerName,
) -> Result<Option<Trigger>> {
    let found = sqlx::query_as(
        "SELECT id, name, app_type, application, cluster_ns, trigger_type, condition, enabled,
                trigger_mode, cluster_id, cluster_name, container, creator_name, created_at,
                EXISTS (SELECT 1 FROM trigger_history h WHERE h.trigger_id = triggers.id)
                    AS has_history
         FROM triggers WHERE repository_id = ? AND name = ?",
    )
    .bind(repository_id)
    .bind(name.as_str())
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// A trigger in a list, in the order of the statement; the condition only if it is not long.
type ListedTrigger<'a> = (
    i64,
    String,
    &'a str,
    String,
    String,
    &'a str,
    Option<String>,
    u8,
    &'a str,
    String,
    String,
    String,
    String,
    i64,
);

/// The triggers of a repository after one, in order of creation; `limit` at most.
pub async fn list(
    db: &Readers,
    repository_id: i64,
    after: i64,
    limit: u32,
) -> Result<Vec<Trigger>> {
    // In one row, as in `list_expressions`.
    let found: String = sqlx::query_scalar(
        "SELECT json_group_array(json_array(
                    id, name, app_type, application, cluster_ns, trigger_type,
                    CASE WHEN octet_length(condition) <= ?4 THEN condition END, enabled,
                    trigger_mode, cluster_id, cluster_name, container, creator_name, created_at))
         FROM (SELECT * FROM triggers WHERE repository_id = ?1 AND id > ?2 ORDER BY id LIMIT +?3)",
    )
    .bind(repository_id)
    .bind(after)
    .bind(limit)
    .bind(LONG_CONDITION)
    .fetch_one(db)
    .await?;
    let found: Vec<ListedTrigger<'_>> = serde_json::from_str(&found).map_err(Error::internal)?;
    let mut triggers = Vec::with_capacity(found.len());
    for (
        id,
        name,
        app_type,
        application,
        cluster_ns,
        kind,
        condition,
        enabled,
        mode,
        cluster_id,
        cluster_name,
        container,
        creator_name,
        created_at,
    ) in found
    {
        let condition = match condition {
            Some(condition) => {
                let kind = TriggerType::parse(kind).map_err(Error::internal)?;
                Condition::stored(kind, condition)
            }
            None => match find_condition(db, id).await? {
                Some(condition) => condition,
                // It was deleted since. The list is read anew, as it is without it.
                None => return Box::pin(list(db, repository_id, after, limit)).await,
            },
        };
        triggers.push(Trigger {
            id,
            name: name.try_into().map_err(Error::internal)?,
            app_type: AppType::parse(app_type).map_err(Error::internal)?,
            application,
            cluster_ns,
            condition,
            enabled: enabled != 0,
            cluster: {
                let mode = TriggerMode::parse(mode).map_err(Error::internal)?;
                ClusterRef::new(mode, cluster_id, cluster_name)
            },
            container,
            creator_name,
            created_at: Timestamp::from_microseconds(created_at),
            has_history: false,
        });
    }
    Ok(triggers)
}

/// Where triggers act, but for the name of the workload.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Scene {
    pub app_type: AppType,
    /// The Kubernetes namespace.
    pub cluster_ns: String,
    #[sqlx(flatten)]
    pub cluster: ClusterRef,
}

/// Where the triggers of all repositories act; `limit` at most.
pub async fn list_scenes(db: impl SqliteExecutor<'_>, limit: u32) -> Result<Vec<Scene>> {
    let found = sqlx::query_as(
        "SELECT DISTINCT app_type, cluster_ns, trigger_mode, cluster_id, cluster_name
         FROM triggers LIMIT +?",
    )
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(found)
}

/// How many triggers of a repository are looked at for a rival of a new one.
const MOST_RIVALS: u32 = 100;

/// Another trigger that updates the same container of the same workload as a new one, of the
/// repository's youngest.
pub async fn find_rival(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    trigger: &NewTrigger,
) -> Result<Option<String>> {
    let found = sqlx::query_scalar(
        "SELECT name FROM (
             SELECT name, app_type, application, cluster_ns, trigger_mode, cluster_id, cluster_name,
                    container
             FROM triggers WHERE repository_id = ?1 ORDER BY id DESC LIMIT +?10)
         WHERE name <> ?2 AND app_type = ?3 AND application = ?4 AND cluster_ns = ?5
           AND trigger_mode = ?6 AND cluster_id = ?7 AND cluster_name = ?8
           AND (container = ?9 OR container = '' OR ?9 = '')
         LIMIT 1",
    )
    .bind(repository_id)
    .bind(trigger.name.as_str())
    .bind(trigger.app_type.as_str())
    .bind(&trigger.application)
    .bind(&trigger.cluster_ns)
    .bind(trigger.cluster.trigger_mode().as_str())
    .bind(trigger.cluster.id())
    .bind(trigger.cluster.name())
    .bind(&trigger.container)
    .bind(MOST_RIVALS)
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// The expressions in the conditions of a repository's enabled triggers, with repetitions.
pub async fn list_expressions(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
) -> Result<Vec<String>> {
    // In one row: each one is handed from SQLite's thread to ours, which takes longer than finding
    // it, as DISTINCT would.
    let found: String = sqlx::query_scalar(
        "SELECT json_group_array(condition) FROM triggers
         WHERE repository_id = ? AND trigger_type = 'regular' AND enabled",
    )
    .bind(repository_id)
    .fetch_one(db)
    .await?;
    serde_json::from_str(&found).map_err(Error::internal)
}

/// All triggers of a repository, as far as a push has to know them, in order of creation.
pub async fn list_candidates(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
) -> Result<Vec<Candidate>> {
    // In one row, as in `list_expressions`, and by column: an array for each trigger takes longer.
    let (ids, kinds, conditions, enabled): (String, String, String, String) = sqlx::query_as(
        "SELECT json_group_array(id), json_group_array(trigger_type),
                json_group_array(CASE WHEN octet_length(condition) <= ?2 THEN condition END),
                json_group_array(enabled)
         FROM triggers WHERE repository_id = ?1",
    )
    .bind(repository_id)
    .bind(LONG_CONDITION)
    .fetch_one(db)
    .await?;
    let ids: Vec<i64> = serde_json::from_str(&ids).map_err(Error::internal)?;
    let kinds: Vec<&str> = serde_json::from_str(&kinds).map_err(Error::internal)?;
    let conditions: Vec<Option<String>> =
        serde_json::from_str(&conditions).map_err(Error::internal)?;
    let enabled: Vec<u8> = serde_json::from_str(&enabled).map_err(Error::internal)?;
    let mut candidates = Vec::with_capacity(ids.len());
    for (((id, kind), condition), enabled) in
        ids.into_iter().zip(kinds).zip(conditions).zip(enabled)
    {
        let kind = TriggerType::parse(kind).map_err(Error::internal)?;
        candidates.push(Candidate {
            id,
            condition: condition.map(|condition| Condition::stored(kind, condition)),
            enabled: enabled != 0,
        });
    }
    candidates.sort_unstable_by_key(|candidate| candidate.id);
    Ok(candidates)
}

/// The condition of a trigger, if there still is one.
pub async fn find_condition(db: impl SqliteExecutor<'_>, id: i64) -> Result<Option<Condition>> {
    let found = sqlx::query_as("SELECT trigger_type, condition FROM triggers WHERE id = ?")
        .bind(id)
        .fetch_optional(db)
        .await?;
    Ok(found)
}

/// Ids and names of a repository's triggers except some, ordered by name; `limit` at most.
pub async fn list_names_but(
    db: impl SqliteExecutor<'_>,
    repository_id: i64,
    some: &[i64],
    limit: u32,
) -> Result<Vec<(i64, String)>> {
    let found: String = sqlx::query_scalar(
        "SELECT json_group_array(json_array(id, name))
         FROM (SELECT id, name FROM triggers
               WHERE repository_id = ?1 AND id NOT IN (SELECT value FROM json_each(?2))
               ORDER BY name LIMIT +?3)",
    )
    .bind(repository_id)
    .bind(serde_json::to_string(some).map_err(Error::internal)?)
    .bind(limit)
    .fetch_one(db)
    .await?;
    serde_json::from_str(&found).map_err(Error::internal)
}

/// Makes a trigger, if its repository still exists and the name is free.
#[derive(Debug)]
pub struct CreateTrigger {
    repository_id: i64,
    name: TriggerName,
    /// The columns, in the order in which the statements name them, as a JSON array.
    row: String,
}

impl CreateTrigger {
    /// One for a repository, made by the user of that name.
    pub fn new(
        repository_id: i64,
        trigger: &NewTrigger,
        creator_name: &str,
        created_at: Timestamp,
    ) -> Result<Self> {
        let row = serde_json::to_string(&(
            repository_id,
            trigger.name.as_str(),
            trigger.app_type.as_str(),
            &trigger.application,
            &trigger.cluster_ns,
            trigger.condition.trigger_type().as_str(),
            trigger.condition.text(),
            i32::from(trigger.enabled),
            trigger.cluster.trigger_mode().as_str(),
            trigger.cluster.id(),
            trigger.cluster.name(),
            &trigger.container,
            creator_name,
            created_at.as_microseconds(),
        ))
        .map_err(Error::internal)?;
        Ok(Self {
            repository_id,
            name: trigger.name.clone(),
            row,
        })
    }
}

impl BatchWrite for CreateTrigger {
    type Output = ();

    fn touches(&self) -> Touched {
        touched(self.repository_id, &self.name)
    }

    /// One statement for all of them: each statement is a hop to SQLite's thread and back.
    async fn run(group: Vec<Self>, transaction: &mut SqliteConnection) -> Result<Vec<Result<()>>> {
        let mut inserted = insert_new(&mut *transaction, &group).await?;
        // The first of several with the same name is the one that went in.
        let outcomes: Vec<_> = group
            .iter()
            .map(|new| {
                let key = (new.repository_id, new.name.as_str().to_owned());
                inserted.remove(&key)
            })
            .collect();
        let mut results = Vec::with_capacity(group.len());
        for (new, is_in) in group.iter().zip(outcomes) {
            results.push(if is_in {
                Ok(())
            } else if repository_exists(&mut *transaction, new.repository_id).await? {
                Err(Error::AlreadyExists(Resource::Trigger))
            } else {
                Err(Error::NotFound(Resource::Repository))
            });
        }
        Ok(results)
    }

    /// Where none is refused, which is nearly always, the statement that inserts them is all of the
    /// transaction.
    async fn run_alone(
        group: Vec<Self>,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<Result<()>>> {
        match insert_all(&mut *connection, &group).await {
            Ok(()) => Ok(group.iter().map(|_| Ok(())).collect()),
            Err(sqlx::Error::Database(error))
                if error.is_unique_violation() || error.is_foreign_key_violation() =>
            {
                run_in_transaction(group, connection).await
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Inserts triggers in their order, or none of them where a name is taken or a repository is gone.
async fn insert_all(db: impl SqliteExecutor<'_>, group: &[CreateTrigger]) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO triggers (repository_id, name, app_type, application, cluster_ns,
                               trigger_type, condition, enabled, trigger_mode, cluster_id,
                               cluster_name, container, creator_name, created_at)
         SELECT n.value->>0, n.value->>1, n.value->>2, n.value->>3, n.value->>4, n.value->>5,
                n.value->>6, n.value->>7, n.value->>8, n.value->>9, n.value->>10,
                n.value->>11, n.value->>12, n.value->>13
         FROM jsonb_each(?) n",
    )
    .bind(rows(group))
    .execute(db)
    .await?;
    Ok(())
}

/// Inserts triggers in their order, passing over those whose name is taken or whose repository
/// is gone; repository and name of those that went in.
async fn insert_new(
    db: impl SqliteExecutor<'_>,
    group: &[CreateTrigger],
) -> Result<HashSet<(i64, String)>> {
    // CROSS JOIN keeps the order of the rows, and `WHERE true` lets the parser see that
    // ON CONFLICT is not a join's ON.
    let inserted: Vec<(i64, String)> = sqlx::query_as(
        "INSERT INTO triggers (repository_id, name, app_type, application, cluster_ns,
                               trigger_type, condition, enabled, trigger_mode, cluster_id,
                               cluster_name, container, creator_name, created_at)
         SELECT r.id, n.value->>1, n.value->>2, n.value->>3, n.value->>4, n.value->>5,
                n.value->>6, n.value->>7, n.value->>8, n.value->>9, n.value->>10,
                n.value->>11, n.value->>12, n.value->>13
         FROM jsonb_each(?) n CROSS JOIN repositories r ON r.id = n.value->>0
         WHERE true
         ON CONFLICT (repository_id, name) DO NOTHING
         RETURNING repository_id, name",
    )
    .bind(rows(group))
    .fetch_all(db)
    .await?;
    Ok(inserted.into_iter().collect())
}

/// The columns of triggers as a JSON array of arrays.
fn rows(group: &[CreateTrigger]) -> String {
    let length: usize = group.iter().map(|new| new.row.len() + 1).sum();
    let mut rows = String::with_capacity(length + 1);
    for (at, new) in group.iter().enumerate() {
        rows.push(if at == 0 { '[' } else { ',' });
        rows.push_str(&new.row);
    }
    rows.push(']');
    rows
}

/// Lets a trigger fire, or not.
#[derive(Debug)]
pub struct EnableTrigger {
    /// The repository it is in.
    pub repository_id: i64,
    /// Which one.
    pub name: TriggerName,
    /// Whether it fires from now on.
    pub enabled: bool,
}

impl Write for EnableTrigger {
    type Output = ();

    fn touches(&self) -> Touched {
        touched(self.repository_id, &self.name)
    }

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let done =
            sqlx::query("UPDATE triggers SET enabled = ? WHERE repository_id = ? AND name = ?")
                .bind(self.enabled)
                .bind(self.repository_id)
                .bind(self.name.as_str())
                .execute(&mut *transaction)
                .await?;
        found(transaction, done.rows_affected(), self.repository_id).await
    }
}

/// Removes a trigger with its history.
#[derive(Debug)]
pub struct DeleteTrigger {
    /// The repository it is in.
    pub repository_id: i64,
    /// Which one.
    pub name: TriggerName,
}

impl Write for DeleteTrigger {
    type Output = ();
    const RELOADS_FIRINGS: bool = true;

    fn touches(&self) -> Touched {
        touched(self.repository_id, &self.name)
    }

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        let done = sqlx::query("DELETE FROM triggers WHERE repository_id = ? AND name = ?")
            .bind(self.repository_id)
            .bind(self.name.as_str())
            .execute(&mut *transaction)
            .await?;
        found(transaction, done.rows_affected(), self.repository_id).await
    }
}

/// What is missing when no row was changed: the trigger, or by now even its repository.
async fn found(transaction: &mut SqliteConnection, rows: u64, repository_id: i64) -> Result<()> {
    if rows > 0 {
        Ok(())
    } else if repository_exists(transaction, repository_id).await? {
        Err(Error::NotFound(Resource::Trigger))
    } else {
        Err(Error::NotFound(Resource::Repository))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sqlx::ConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::super::AppType;
    use super::*;
    use crate::clock::Clock;
    use crate::db::testing::TestDb;
    use crate::namespace::{self, NamespaceName};
    use crate::repository::{self, RepositoryName};

    async fn repository_id(test: &TestDb) -> i64 {
        let name = NamespaceName::parse("g").expect("a legal name");
        let found = namespace::store::find(test.db.readers(), "r1", &name).await;
        let group = Arc::new(found.expect("read").expect("there"));
        let name = RepositoryName::parse("a").expect("a legal name");
        let found = repository::store::find_ref(test.db.readers(), &group, &name).await;
        found.expect("read").expect("there").id
    }

    async fn seeded() -> (TestDb, i64) {
        let test = TestDb::seeded("organizations: [{name: g, repositories: [{name: a}]}]").await;
        let id = repository_id(&test).await;
        (test, id)
    }

    fn name(text: &str) -> TriggerName {
        TriggerName::parse("name", text).expect("a legal name")
    }

    fn trigger(trigger: &str, application: &str) -> NewTrigger {
        NewTrigger {
            name: name(trigger),
            app_type: AppType::StatefulSets,
            application: application.to_owned(),
            cluster_ns: "default".to_owned(),
            condition: Condition::All,
            enabled: true,
            cluster: ClusterRef::Cce {
                id: "c1".to_owned(),
                name: "\"quoted\"".to_owned(),
            },
            container: String::new(),
        }
    }

    fn create(repository_id: i64, trigger: &NewTrigger) -> CreateTrigger {
        let now = Clock::default().now();
        CreateTrigger::new(repository_id, trigger, "user", now).expect("it is JSON")
    }

    fn new(repository_id: i64, name: &str, application: &str) -> CreateTrigger {
        create(repository_id, &trigger(name, application))
    }

    #[tokio::test]
    async fn a_group_gives_each_creation_its_own_fate() {
        let (test, id) = seeded().await;
        let options = SqliteConnectOptions::new().filename(test.folder.path().join("test.db"));
        let mut connection = options.connect().await.expect("opened");
        let group = vec![
            new(id, "taken", "first"),
            new(id, "z", "second"),
            new(id, "b", "third"),
        ];
        let results = CreateTrigger::run_alone(group, &mut connection).await;
        assert!(results.expect("run").iter().all(Result::is_ok));
        let group = || {
            vec![
                new(id, "one", "app1"),
                new(id, "taken", "app2"),
                new(id, "one", "app3"),
                new(id + 1, "one", "app4"),
                new(id, "two", "app5"),
            ]
        };
        let check = |results: &[Result<()>], is_first: bool| {
            for at in [0, 4] {
                assert_eq!(results[at].is_ok(), is_first, "{at}");
            }
            for at in [1, 2] {
                assert!(matches!(
                    results[at],
                    Err(Error::AlreadyExists(Resource::Trigger))
                ));
            }
            assert!(matches!(
                results[3],
                Err(Error::NotFound(Resource::Repository))
            ));
        };

        let taken = vec![new(id, "taken", "app0")];
        let taken = CreateTrigger::run_alone(taken, &mut connection).await;
        assert!(matches!(
            taken.expect("run")[..],
            [Err(Error::AlreadyExists(Resource::Trigger))]
        ));
        let alone = CreateTrigger::run_alone(group(), &mut connection).await;
        check(&alone.expect("run"), true);
        let with_others = CreateTrigger::run(group(), &mut connection).await;
        check(&with_others.expect("run"), false);

        let stored = list(test.db.readers(), id, 0, 10).await.expect("read");
        let stored: Vec<_> = stored
            .iter()
            .map(|trigger| trigger.application.as_str())
            .collect();
        assert_eq!(stored, ["first", "second", "third", "app1", "app5"]);
    }

    #[tokio::test]
    async fn a_long_condition_is_not_read_together_with_others() {
        let (test, id) = seeded().await;
        let lists = [4096, 4097].map(|length| {
            let mut list = "v;".repeat(length / 2);
            list.truncate(length - 1);
            list.push('v');
            Condition::parse(TriggerType::Tag, &list).expect("legal")
        });
        for (name, condition) in ["short", "long"].into_iter().zip(&lists) {
            let mut long = trigger(name, "web");
            long.condition = condition.clone();
            test.db.write(create(id, &long)).await.expect("free");
        }
        let [short, long] = lists.clone();
        let db = test.db.readers();
        let found = list_candidates(db, id).await.expect("read");
        let conditions: Vec<_> = found.iter().map(|found| found.condition.clone()).collect();
        assert_eq!(conditions, [Some(short), None]);
        let read = find_condition(db, found[1].id).await.expect("read");
        assert_eq!(read.expect("there"), long);
        let listed = list(db, id, 0, 10).await.expect("read");
        let listed: Vec<_> = listed
            .into_iter()
            .map(|trigger| trigger.condition)
            .collect();
        assert_eq!(listed, lists);
    }

    #[tokio::test]
    async fn a_trigger_reads_back_as_it_was_written() {
        let (test, id) = seeded().await;
        let created_at = Clock::default().now();
        let write = CreateTrigger::new(id, &trigger("t", "web"), "user", created_at);
        test.db
            .write(write.expect("it is JSON"))
            .await
            .expect("free");
        let found = find(test.db.readers(), id, &name("t"))
            .await
            .expect("read")
            .expect("there");
        let NewTrigger {
            name: _,
            app_type,
            application,
            cluster_ns,
            condition,
            enabled,
            cluster,
            container,
        } = trigger("t", "web");
        let expected = Trigger {
            id: found.id,
            name: name("t"),
            app_type,
            application,
            cluster_ns,
            condition,
            enabled,
            cluster,
            container,
            creator_name: "user".to_owned(),
            created_at,
            has_history: false,
        };
        assert_eq!(found, expected);
        let listed = list(test.db.readers(), id, 0, 10).await.expect("read");
        assert_eq!(listed, [expected]);
        assert!(
            find(test.db.readers(), id, &name("u"))
                .await
                .expect("read")
                .is_none()
        );
    }

    #[tokio::test]
    async fn enable_and_delete_tell_what_is_missing() {
        let (test, id) = seeded().await;
        test.db.write(new(id, "t", "web")).await.expect("free");
        let enable = |repository_id, text: &str| EnableTrigger {
            repository_id,
            name: name(text),
            enabled: false,
        };
        let delete = |repository_id, text: &str| DeleteTrigger {
            repository_id,
            name: name(text),
        };
        test.db.write(enable(id, "t")).await.expect("there");
        let found = find(test.db.readers(), id, &name("t"))
            .await
            .expect("read")
            .expect("there");
        assert!(!found.enabled);
        test.db.write(delete(id, "t")).await.expect("there");
        for (result, missing) in [
            (test.db.write(enable(id, "t")).await, Resource::Trigger),
            (test.db.write(delete(id, "t")).await, Resource::Trigger),
            (
                test.db.write(enable(id + 1, "t")).await,
                Resource::Repository,
            ),
            (
                test.db.write(delete(id + 1, "t")).await,
                Resource::Repository,
            ),
        ] {
            assert!(matches!(result, Err(Error::NotFound(resource)) if resource == missing));
        }
    }
}
