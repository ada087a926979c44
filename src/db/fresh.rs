//! A fresh database: a copy of an empty one, which is compiled in. It saves each start on a fresh
//! folder all migrations, and equals what they make.

use std::io::{self, Write};
use std::path::Path;

use sqlx::SqliteConnection;

use super::beside;
use crate::data_folder::private_file;

/// All tables and no row that a database has of its own. A test makes it from the migrations.
const EMPTY: &[u8] = include_bytes!("empty.db");

/// Puts an empty database at `path`: whole, or not at all. Its name is on disk once its folder is
/// synced.
pub(super) fn write(path: &Path) -> io::Result<()> {
    // A log that outlived its database would be read into this one.
    for suffix in ["-wal", "-shm", "-journal"] {
        remove(&beside(path, suffix))?;
    }
    let unfinished = beside(path, "-new");
    // An earlier start may have been killed.
    remove(&unfinished)?;
    let written = copy_to(&unfinished).and_then(|()| std::fs::rename(&unfinished, path));
    if written.is_err() {
        drop(remove(&unfinished));
    }
    written
}

fn copy_to(path: &Path) -> io::Result<()> {
    let mut file = private_file().create_new(true).write(true).open(path)?;
    file.write_all(EMPTY)?;
    file.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes what each database has of its own, where it is missing: a start may have been killed
/// before.
pub(super) async fn make_own(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    // Not synced: the next commit, which comes before anything is served, syncs the whole log.
    sqlx::raw_sql(
        "PRAGMA synchronous = OFF;
         INSERT INTO signing_key (id, key) VALUES (1, randomblob(32)) ON CONFLICT (id) DO NOTHING;
         INSERT INTO blob_files (id, prefix) VALUES (1, 'swr-' || lower(hex(randomblob(8))) || '-')
         ON CONFLICT (id) DO NOTHING;
         PRAGMA synchronous = FULL;",
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

    use super::super::{APPLICATION_ID, Db, Found, MIGRATOR, inspect};
    use super::*;

    /// Measured: creating triggers is 1.1 times as fast as with SQLite's 4,096.
    const PAGE_SIZE: u32 = 2048;

    async fn build(path: &Path) {
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .page_size(PAGE_SIZE)
            .pragma("application_id", APPLICATION_ID.to_string())
            .connect()
            .await
            .expect("made");
        let migrated = MIGRATOR.run_direct(None, &mut connection, false).await;
        migrated.expect("migrated");
        sqlx::raw_sql(
            "DELETE FROM signing_key;
             DELETE FROM blob_files;
             UPDATE _sqlx_migrations
             SET installed_on = '1970-01-01 00:00:00', execution_time = 0;
             VACUUM;
             PRAGMA journal_mode = WAL;",
        )
        .execute(&mut connection)
        .await
        .expect("emptied");
        connection.close().await.expect("closed");
    }

    /// All that makes two empty databases equal to SQLite and to us.
    async fn content(path: &Path) -> Vec<String> {
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .connect()
            .await
            .expect("opened");
        let mut content = Vec::new();
        for pragma in [
            "application_id",
            "auto_vacuum",
            "encoding",
            "freelist_count",
            "integrity_check",
            "journal_mode",
            "page_count",
            "page_size",
            "user_version",
        ] {
            let value = sqlx::query_scalar(AssertSqlSafe(format!(
                "SELECT '{pragma} ' || {pragma} FROM pragma_{pragma}"
            )));
            let value: Vec<String> = value.fetch_all(&mut connection).await.expect("known");
            content.extend(value);
        }
        let objects: Vec<(String, String)> = sqlx::query_as(
            "SELECT name, json_array(type, name, tbl_name, sql) FROM sqlite_schema ORDER BY name",
        )
        .fetch_all(&mut connection)
        .await
        .expect("a list");
        let tables: Vec<String> =
            sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
                .fetch_all(&mut connection)
                .await
                .expect("a list");
        content.extend(objects.into_iter().map(|(_, object)| object));
        for table in tables {
            let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?)")
                .bind(&table)
                .fetch_all(&mut connection)
                .await
                .expect("a list");
            let columns: Vec<_> = columns
                .iter()
                .map(|name| format!("quote({name})"))
                .collect();
            let rows = sqlx::query_scalar(AssertSqlSafe(format!(
                "SELECT '{table}: ' || {} FROM {table}",
                columns.join(" || ', ' || ")
            )));
            let rows: Vec<String> = rows.fetch_all(&mut connection).await.expect("a list");
            content.extend(rows);
        }
        content
    }

    /// After a new migration, `INSTA_UPDATE=always` writes it anew.
    #[tokio::test]
    async fn the_empty_database_is_what_the_migrations_make() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (made, ours) = (folder.path().join("made.db"), folder.path().join("ours.db"));
        build(&made).await;
        write(&ours).expect("written");
        assert!(matches!(inspect(&made), Ok(Found::Ours)));
        let (made_content, content) = (content(&made).await, content(&ours).await);
        if made_content == content {
            return;
        }
        if std::env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always") {
            let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/db/empty.db");
            std::fs::copy(&made, file).expect("written");
            return;
        }
        let missing: Vec<_> = made_content
            .iter()
            .filter(|line| !content.contains(line))
            .collect();
        panic!("src/db/empty.db is out of date (see CONTRIBUTING.md); it lacks {missing:#?}");
    }

    /// What a database has of its own.
    async fn own(path: &Path) -> (Vec<u8>, String) {
        let db = Db::open(path).await.expect("opened");
        let own = sqlx::query_as("SELECT key, prefix FROM signing_key, blob_files")
            .fetch_one(db.readers())
            .await
            .expect("both are there");
        db.close().await;
        own
    }

    #[tokio::test]
    async fn each_database_has_a_key_and_a_prefix_of_its_own_that_stay() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [a, b] = ["a.db", "b.db"].map(|name| folder.path().join(name));
        let (of_a, of_b) = (own(&a).await, own(&b).await);
        assert_eq!((of_a.0.len(), of_a.1.len()), (32, "swr--".len() + 16));
        assert_ne!(of_a.0, of_b.0);
        assert_ne!(of_a.1, of_b.1);
        assert_eq!(own(&a).await, of_a);
    }

    /// As a start leaves it that is killed right after.
    #[tokio::test]
    async fn a_database_that_has_nothing_of_its_own_yet_gets_it_when_it_is_opened() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.db");
        write(&path).expect("written");
        let own_now = own(&path).await;
        assert_eq!(own(&path).await, own_now);
    }

    #[tokio::test]
    async fn what_a_killed_start_or_a_removed_database_leaves_is_not_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.db");
        let first = Db::open(&path).await.expect("made");
        sqlx::query_scalar::<_, i64>("SELECT 1")
            .fetch_one(first.readers())
            .await
            .expect("read");
        // The log holds what it has of its own, and is not copied into the file yet.
        let log = std::fs::read(beside(&path, "-wal")).expect("there");
        assert!(!log.is_empty());
        let (key, _): (Vec<u8>, String) =
            sqlx::query_as("SELECT key, prefix FROM signing_key, blob_files")
                .fetch_one(first.readers())
                .await
                .expect("both are there");
        first.close().await;
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(beside(&path, "-wal"), &log).expect("left behind");
        std::fs::write(beside(&path, "-new"), &EMPTY[..5000]).expect("left behind");

        let (new_key, _) = own(&path).await;

        assert_ne!(new_key, key);
        assert!(!beside(&path, "-new").exists());
    }

    #[test]
    fn a_database_that_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.db");
        // Nothing takes the place of a folder that holds something.
        std::fs::create_dir_all(path.join("theirs")).expect("made");
        write(&path).expect_err("refused");
        let entries = std::fs::read_dir(folder.path()).expect("there");
        assert_eq!(entries.count(), 1);
    }
}
