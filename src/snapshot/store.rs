//! The SQL of snapshots.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sqlx::{AssertSqlSafe, Connection, FromRow, SqliteConnection};

use crate::db::{Write, open_copy};
use crate::error::{Error, Result};
use crate::registry::token::store::renew_signing_key;

/// The tables that belong to a database and not to what it holds: its migrations, the key that signs
/// tokens, and how the names of its files begin.
const OWN_TABLES: [&str; 3] = ["_sqlx_migrations", "signing_key", "blob_files"];

/// The number of the newest migration, and the names of the blobs' files.
pub(super) async fn read_copy(path: &Path) -> Result<(i64, Vec<String>)> {
    let mut copy = open_copy(path).await?;
    let schema = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
        .fetch_one(&mut copy)
        .await?;
    let blobs = sqlx::query_scalar("SELECT file FROM blobs ORDER BY digest")
        .fetch_all(&mut copy)
        .await?;
    copy.close().await?;
    Ok((schema, blobs))
}

/// Whether SQLite finds nothing wrong with a database: neither in its pages nor in what the tables
/// say of their rows.
pub(super) async fn is_sound(path: &Path) -> Result<bool> {
    let mut copy = open_copy(path).await?;
    let found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_all(&mut copy)
        .await?;
    let orphans = sqlx::query("PRAGMA foreign_key_check")
        .fetch_all(&mut copy)
        .await?;
    copy.close().await?;
    Ok(found == ["ok"] && orphans.is_empty())
}

/// Puts everything that another database holds in the place of what there is.
#[derive(Debug)]
pub(super) struct Restore {
    /// The other database.
    pub(super) database: PathBuf,
    /// The files of its blobs: the name that it has for each, the new one, and the size.
    pub(super) files: HashMap<String, (String, u64)>,
    /// Names of registries, and what takes the place of each in images.
    pub(super) images: HashMap<String, String>,
}

impl Write for Restore {
    /// The files of blobs that no row names any more.
    type Output = Vec<String>;
    const INVALIDATES_NAMES: bool = true;
    const WAKES_WORKERS: bool = true;
    const RELOADS_FIRINGS: bool = true;
    const ATTACHES: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Vec<String>> {
        let path = self.database.to_str();
        let path = path.ok_or_else(|| Error::internal("a path is not UTF-8"))?;
        sqlx::query("ATTACH DATABASE ? AS saved")
            .bind(path)
            .execute(&mut *transaction)
            .await?;
        if !has_same_schema(transaction).await? {
            let rule = "its database is not one of an swr-emulator";
            return Err(Error::invalid("snapshot", rule));
        }
        let files = sqlx::query_scalar("SELECT file FROM main.blobs")
            .fetch_all(&mut *transaction)
            .await?;
        replace_rows(transaction).await?;
        renew_signing_key(&mut *transaction).await?;
        self.rename_files(transaction).await?;
        self.rename_images(transaction).await?;
        Ok(files)
    }
}

/// Whether both databases have the same tables, indexes and nothing else.
async fn has_same_schema(transaction: &mut SqliteConnection) -> Result<bool> {
    let same = sqlx::query_scalar(
        "SELECT NOT EXISTS (SELECT type, name, sql FROM saved.sqlite_schema
                            EXCEPT SELECT type, name, sql FROM main.sqlite_schema)
            AND NOT EXISTS (SELECT type, name, sql FROM main.sqlite_schema
                            EXCEPT SELECT type, name, sql FROM saved.sqlite_schema)",
    )
    .fetch_one(transaction)
    .await?;
    Ok(same)
}

/// A column of a table, in the order of the tables and of their columns.
#[derive(Debug, FromRow)]
struct Column {
    table: String,
    column: String,
    /// Whether it holds the number of a row, be it its own or another's.
    is_number: bool,
}

/// All columns of the tables that hold something.
async fn list_columns(db: &mut SqliteConnection) -> Result<Vec<Column>> {
    let found: Vec<Column> = sqlx::query_as(
        r#"SELECT t.name AS "table", c.name AS "column",
                  c.type = 'INTEGER' AND (
                      (c.name = 'id' AND t.sql LIKE '%AUTOINCREMENT%')
                      OR c.name LIKE '%\_id' ESCAPE '\' OR c.name = 'newest_trigger') AS is_number
           FROM main.sqlite_schema t JOIN pragma_table_info(t.name) c
           WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
           ORDER BY t.rowid, c.cid"#,
    )
    .fetch_all(db)
    .await?;
    let holds_something = |column: &Column| !OWN_TABLES.contains(&column.table.as_str());
    Ok(found.into_iter().filter(holds_something).collect())
}

/// Deletes all rows and copies those of the other database, whose numbers begin after all that were
/// ever used here.
async fn replace_rows(transaction: &mut SqliteConnection) -> Result<()> {
    let columns = list_columns(&mut *transaction).await?;
    let tables: Vec<_> = columns
        .chunk_by(|one, next| one.table == next.table)
        .collect();
    let used: i64 = sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM main.sqlite_sequence")
        .fetch_one(&mut *transaction)
        .await?;
    let mut sql = "PRAGMA defer_foreign_keys = ON;".to_owned();
    // What refers to something was made after it.
    for columns in tables.iter().rev() {
        let _ = write!(sql, "DELETE FROM main.{};", columns[0].table);
    }
    for columns in &tables {
        let table = &columns[0].table;
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for Column {
            column, is_number, ..
        } in *columns
        {
            names.push(format!("\"{column}\""));
            values.push(if *is_number {
                format!("\"{column}\" + {used}")
            } else {
                format!("\"{column}\"")
            });
        }
        let (names, values) = (names.join(","), values.join(","));
        let _ = write!(
            sql,
            "INSERT INTO main.{table} ({names}) SELECT {values} FROM saved.{table};"
        );
    }
    // Also numbers of rows that are gone are not used again.
    let _ = write!(
        sql,
        "UPDATE main.sqlite_sequence SET seq = max(sqlite_sequence.seq, other.seq + {used})
         FROM saved.sqlite_sequence other WHERE other.name = sqlite_sequence.name;
         INSERT INTO main.sqlite_sequence (name, seq)
         SELECT name, seq + {used} FROM saved.sqlite_sequence
         WHERE name NOT IN (SELECT name FROM main.sqlite_sequence);"
    );
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(transaction)
        .await?;
    Ok(())
}

impl Restore {
    /// Gives the blobs the names of their new files. One whose file is not there, or not whole, is
    /// damaged.
    async fn rename_files(&self, transaction: &mut SqliteConnection) -> Result<()> {
        let files = json(&self.files)?;
        sqlx::query(
            "UPDATE blobs SET file = new.value->>0,
                              is_damaged = (is_damaged OR blobs.size <> new.value->>1)
             FROM json_each(?) new WHERE new.key = blobs.file",
        )
        .bind(&files)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "UPDATE blobs SET is_damaged = 1
             WHERE file NOT IN (SELECT value->>0 FROM json_each(?))",
        )
        .bind(&files)
        .execute(transaction)
        .await?;
        Ok(())
    }

    /// Puts the new names of registries into the images of workloads.
    async fn rename_images(&self, transaction: &mut SqliteConnection) -> Result<()> {
        if self.images.is_empty() {
            return Ok(());
        }
        let names = json(&self.images)?;
        let renamed = |image: &str| {
            format!(
                "coalesce((SELECT value || substr({image}, length(key) + 1) FROM json_each(?1)
                           WHERE substr({image}, 1, length(key) + 1) = key || '/'), {image})"
            )
        };
        let containers = |list: &str| {
            let image = renamed("container.value->>'image'");
            format!(
                "(SELECT json_group_array(json_set(container.value, '$.image', {image})
                                          ORDER BY container.key)
                  FROM json_each({list}) container)"
            )
        };
        let workloads = format!(
            "UPDATE workloads SET containers = {}, init_containers = {}",
            containers("containers"),
            containers("init_containers")
        );
        let rollouts = format!(
            "UPDATE rollouts SET before = {}, after = {}",
            renamed("before"),
            renamed("after")
        );
        let revisions = format!(
            "UPDATE revisions SET images = (
                 SELECT json_group_object(image.key, {}) FROM json_each(images) image)",
            renamed("image.value")
        );
        for sql in [workloads, rollouts, revisions] {
            sqlx::query(AssertSqlSafe(sql))
                .bind(&names)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(())
    }
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::db::testing::TestDb;

    /// Each column of whole numbers is one that counts rows or one that does not: who adds one says
    /// here which.
    #[tokio::test]
    async fn every_number_of_a_row_is_known() {
        let test = TestDb::seeded("organizations: []").await;
        let mut db = open_copy(&test.path()).await.expect("opened");
        let columns = list_columns(&mut db).await.expect("read");
        let numbers = columns.iter().filter(|column| column.is_number);
        let numbers: Vec<_> = numbers
            .map(|column| format!("{}.{}", column.table, column.column))
            .collect();
        let whole: Vec<String> = sqlx::query_scalar(
            "SELECT t.name || '.' || c.name
             FROM sqlite_schema t JOIN pragma_table_info(t.name) c
             WHERE t.type = 'table' AND c.type = 'INTEGER'",
        )
        .fetch_all(&mut db)
        .await
        .expect("read");
        let others: HashSet<_> = whole
            .iter()
            .filter(|column| !numbers.contains(column))
            .map(|column| column.rsplit('.').next().unwrap_or_default())
            .collect();
        let referring: Vec<String> = sqlx::query_scalar(
            "SELECT t.name || '.' || k.\"from\"
             FROM sqlite_schema t JOIN pragma_foreign_key_list(t.name) k
             JOIN pragma_table_info(t.name) c ON c.name = k.\"from\"
             WHERE t.type = 'table' AND c.type = 'INTEGER'",
        )
        .fetch_all(&mut db)
        .await
        .expect("read");
        for column in referring {
            assert!(numbers.contains(&column), "{column}");
        }
        let mut others: Vec<_> = others.into_iter().collect();
        others.sort_unstable();
        let expected = [
            "at",
            "auth",
            "bytes",
            "content_size",
            "created_at",
            "day",
            "deadline",
            "delay_ms",
            "due",
            "enabled",
            "ends_at",
            "expires_at",
            "fail_status",
            "fail_times",
            "id",
            "is_damaged",
            "is_public",
            "leased_until",
            "num_download",
            "overrides",
            "password_rounds",
            "pushed_at",
            "pwd_status",
            "revision",
            "rollout_observed",
            "rollout_since",
            "since",
            "size",
            "sweeps",
            "sync_auto",
            "tries",
            "updated_at",
        ];
        assert_eq!(others, expected);
    }

    const WORLD: &str = r#"
organizations: [{name: group, repositories: [{name: busybox, triggers: [{name: t, action: update,
  app_type: deployments, application: web, cluster_name: test, cluster_ns: default,
  enable: "true", trigger_type: all, condition: ".*"}]}]}]
clusters: [{name: test, namespaces: [{name: default, deployments: [{name: web,
  containers: [{name: a, image: "old:1/group/busybox:v1"}, {name: b, image: "old:10/x"}],
  init_containers: [{name: c, image: "new:2/x"}]}]}]}]
"#;

    async fn restored(names: &[(&str, &str)]) -> (TestDb, Result<Vec<String>>) {
        let test = TestDb::seeded(WORLD).await;
        let other = TestDb::seeded(WORLD).await;
        let copy = other.folder.path().join("copy");
        other.db.copy_to(&copy).await.expect("copied");
        let names = names
            .iter()
            .map(|(old, new)| ((*old).to_owned(), (*new).to_owned()));
        let restore = Restore {
            database: copy,
            files: HashMap::new(),
            images: names.collect(),
        };
        let done = test.db.write(restore).await;
        (test, done)
    }

    #[tokio::test]
    async fn no_number_is_used_twice_and_what_refers_to_a_row_still_does() {
        let (test, done) = restored(&[]).await;
        assert!(done.expect("restored").is_empty());
        let found: (i64, i64, i64) = sqlx::query_as(
            "SELECT n.id, r.id, t.id FROM namespaces n
             JOIN repositories r ON r.namespace_id = n.id
             JOIN triggers t ON t.repository_id = r.id",
        )
        .fetch_one(test.db.readers())
        .await
        .expect("one of each");
        assert_eq!(found, (2, 2, 2));
        let next: i64 =
            sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'triggers'")
                .fetch_one(test.db.readers())
                .await
                .expect("read");
        assert_eq!(next, 2);
    }

    #[tokio::test]
    async fn only_whole_names_of_registries_are_replaced_and_each_once() {
        let (test, done) = restored(&[("old:1", "new:2"), ("new:2", "newest:3")]).await;
        done.expect("restored");
        let found: (String, String) =
            sqlx::query_as("SELECT containers, init_containers FROM workloads")
                .fetch_one(test.db.readers())
                .await
                .expect("one");
        let expected = (
            r#"[{"name":"a","image":"new:2/group/busybox:v1"},{"name":"b","image":"old:10/x"}]"#,
            r#"[{"name":"c","image":"newest:3/x"}]"#,
        );
        assert_eq!((found.0.as_str(), found.1.as_str()), expected);
    }

    #[tokio::test]
    async fn a_database_of_another_form_changes_nothing() {
        let test = TestDb::seeded(WORLD).await;
        let other = TestDb::seeded("organizations: []").await;
        let copy = other.folder.path().join("copy");
        other.db.copy_to(&copy).await.expect("copied");
        let mut connection = open_copy(&copy).await.expect("opened");
        sqlx::query("CREATE VIEW more AS SELECT 1")
            .execute(&mut connection)
            .await
            .expect("made");
        connection.close().await.expect("closed");
        let restore = || Restore {
            database: copy.clone(),
            files: HashMap::new(),
            images: HashMap::new(),
        };
        // Also twice: the first one leaves nothing attached.
        for _ in 0..2 {
            let refused = test.db.write(restore()).await.expect_err("refused");
            assert!(matches!(refused, Error::Invalid { .. }), "{refused}");
        }
        let triggers: i64 = sqlx::query_scalar("SELECT count(*) FROM triggers")
            .fetch_one(test.db.readers())
            .await
            .expect("read");
        assert_eq!(triggers, 1);
    }

    #[tokio::test]
    async fn a_blob_whose_file_did_not_come_along_is_damaged() {
        let test = TestDb::seeded("organizations: []").await;
        let other = TestDb::seeded("organizations: []").await;
        let copy = other.folder.path().join("copy");
        other.db.copy_to(&copy).await.expect("copied");
        let mut connection = open_copy(&copy).await.expect("opened");
        sqlx::query("INSERT INTO blobs (digest, file, size) VALUES ('a', '1', 5), ('b', '2', 5), ('c', '3', 5)")
            .execute(&mut connection)
            .await
            .expect("made");
        connection.close().await.expect("closed");
        let file = |old: &str, new: &str, size| (old.to_owned(), (new.to_owned(), size));
        let restore = Restore {
            database: copy,
            files: [file("1", "one", 5), file("2", "two", 4)].into(),
            images: HashMap::new(),
        };
        test.db.write(restore).await.expect("restored");
        let found: Vec<(String, bool)> =
            sqlx::query_as("SELECT file, is_damaged FROM blobs ORDER BY digest")
                .fetch_all(test.db.readers())
                .await
                .expect("read");
        let expected = [("one", false), ("two", true), ("3", true)];
        assert_eq!(
            found,
            expected.map(|(file, damaged)| (file.to_owned(), damaged))
        );
    }
}
