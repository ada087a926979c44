//! The SQLite database: opening it safely, reading from it, and the way to its one writer.
//!
//! No statement of a chapter lives here; those are in each chapter's `store.rs`.

mod fresh;
mod readers;
mod versions;
mod writer;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::watch;

use crate::data_folder::make_private;
use crate::error::{Error, Result};
pub use readers::Readers;
pub use versions::{Subject, Touched, Version, Versions};
use writer::Writer;
pub use writer::{BatchWrite, Write, run_in_transaction};

/// Every schema that this program knows, in order.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// `SWRE`: marks a SQLite file as ours (the header's application id).
const APPLICATION_ID: i32 = 0x5357_5245;
/// Connections for lists, and for look-ups of one thing.
const READERS: u32 = 4;
const LOOKUPS: u32 = 4;

/// The database of one instance.
#[derive(Debug)]
pub struct Db {
    readers: Readers,
    lookups: Readers,
    writer: Writer,
    names: Arc<AtomicU64>,
    versions: Arc<Versions>,
    pushed: watch::Sender<()>,
    firings_changed: watch::Sender<()>,
    is_new: bool,
    options: SqliteConnectOptions,
}

/// How long a sign of life may take.
const LONGEST_CHECK: Duration = Duration::from_secs(1);
/// How often, and how long apart, the end of a database is looked for.
const CLOSING_TRIES: u32 = 50;
const CLOSING_PAUSE: Duration = Duration::from_millis(20);

/// Why a database cannot be used. Each text ends in what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is not one that SQLite wrote.
    #[error("{0} is not a SQLite database; move it away or choose another --data-dir")]
    NotADatabase(PathBuf),
    /// The file belongs to another program.
    #[error("{0} belongs to another program; choose another --data-dir")]
    Foreign(PathBuf),
    /// The file was written by a later version of this program.
    #[error(
        "{0} was written by a newer swr-emulator (schema {1}, this one knows {2}); update the program or choose another --data-dir"
    )]
    Newer(PathBuf, i64, i64),
    /// SQLite or a migration refuses to work with the file.
    #[error("cannot use {0}: {1}; repair it, move it away or choose another --data-dir")]
    Unusable(PathBuf, #[source] sqlx::Error),
    /// The operating system refuses the file.
    #[error("cannot read {0}: {1}; fix its permissions or choose another --data-dir")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The operating system refuses to make the file.
    #[error("cannot write {0}: {1}; fix its permissions or choose another --data-dir")]
    Unwritable(PathBuf, #[source] std::io::Error),
}

impl Db {
    /// Opens the database at `path`, making or updating its schema.
    ///
    /// A file that is not ours, or newer than we are, is refused before anything is written.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let unusable = |error| OpenError::Unusable(path.to_owned(), error);
        let found = inspect(path)?;
        let is_new = matches!(found, Found::Nothing);
        let options = connect_options(path);
        let lookups = Readers::new(options.clone(), LOOKUPS);
        let readers = Readers::new(options.clone(), READERS);
        let is_current = match found {
            Found::Nothing => {
                // The log and its index take their mode from it.
                fresh::write(path)
                    .map_err(|error| OpenError::Unwritable(path.to_owned(), error))?;
                true
            }
            Found::Ours => {
                for suffix in ["", "-wal", "-shm"] {
                    make_private(&beside(path, suffix));
                }
                schema_is_current(path, &lookups).await?
            }
        };
        // A copy that somebody made of the database may have another one. Readers cannot change it.
        let options = options.journal_mode(SqliteJournalMode::Wal);
        let mut connection = options.connect().await.map_err(unusable)?;
        if !is_current {
            MIGRATOR
                .run_direct(None, &mut connection, false)
                .await
                .map_err(|error| unusable(sqlx::Error::Migrate(Box::new(error))))?;
        }
        fresh::make_own(&mut connection).await.map_err(unusable)?;
        let names = Arc::new(AtomicU64::new(0));
        let versions = Arc::new(Versions::default());
        let pushed = watch::Sender::new(());
        let firings_changed = watch::Sender::new(());
        let writer = Writer::start(
            connection,
            options.clone(),
            Arc::clone(&names),
            Arc::clone(&versions),
            pushed.clone(),
            firings_changed.clone(),
        )
        .map_err(|error| unusable(error.into()))?;
        Ok(Self {
            readers,
            lookups,
            writer,
            names,
            versions,
            pushed,
            firings_changed,
            is_new,
            options,
        })
    }

    /// Whether the file was made by this start. Then it knows nothing of what lies beside it.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// The connections for statements that read a list, or whatever else takes a while.
    pub fn readers(&self) -> &Readers {
        &self.readers
    }

    /// The connections for statements that find one thing by its key, and for the engine: no
    /// number of lists makes these wait.
    pub fn lookups(&self) -> &Readers {
        &self.lookups
    }

    /// Queues a write and waits until it is on disk. Whoever stops waiting does not undo it.
    ///
    /// # Errors
    /// The write's own refusal, or [`Error::Internal`] when the database
    /// failed; in that case nothing of it was kept.
    pub async fn write<W: BatchWrite>(&self, write: W) -> Result<W::Output> {
        self.writer.submit(write).await
    }

    /// Ends once a read and a transaction have got through.
    ///
    /// # Errors
    /// [`Error::Internal`] when one of them failed, or took more than a
    /// second.
    pub async fn check(&self) -> Result<()> {
        let read = async {
            sqlx::query("SELECT name FROM sqlite_schema LIMIT 1")
                .fetch_optional(&self.lookups)
                .await?;
            Ok(())
        };
        let both = async { tokio::try_join!(read, self.writer.pulse()) };
        let checked = tokio::time::timeout(LONGEST_CHECK, both).await;
        checked.map_err(Error::internal)??;
        Ok(())
    }

    /// Writes the database as it is at one moment to another file, which is made.
    pub async fn copy_to(&self, path: &Path) -> Result<()> {
        let mut connection = self.options.connect().await?;
        let path = path
            .to_str()
            .ok_or_else(|| Error::internal("a path is not UTF-8"))?;
        sqlx::query("VACUUM INTO ?")
            .bind(path)
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(())
    }

    /// Counts the commits that changed what a name refers to; what was looked up under an older
    /// count may be wrong by now.
    pub fn names_generation(&self) -> u64 {
        self.names.load(Ordering::Acquire)
    }

    /// When what can be read was last written.
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Changes after each commit that may have stored a tag or asked for one to be synced.
    pub fn pushes(&self) -> watch::Receiver<()> {
        self.pushed.subscribe()
    }

    /// Changes after each commit that may have taken away firings that wait, or changed how long
    /// their workloads take.
    pub fn firing_changes(&self) -> watch::Receiver<()> {
        self.firings_changed.subscribe()
    }

    /// Lets go of memory that serves nobody at the moment.
    pub async fn rest(&self) {
        self.readers.close_idle().await;
        self.lookups.close_idle().await;
    }

    /// Finishes what is queued and closes all connections.
    pub async fn close(&self) {
        // The last to close copies the log into the database file, which a reader cannot.
        self.readers.close().await;
        self.lookups.close().await;
        self.writer.stop().await;
        // A connection whose opening was given up closes by itself a moment later; until it has,
        // nobody was the last.
        let log = beside(self.options.get_filename(), "-wal");
        for _ in 0..CLOSING_TRIES {
            if !log.exists() {
                return;
            }
            if let Ok(connection) = self.options.connect().await {
                // That it failed shows in the log's still being there.
                let _ = connection.close().await;
            }
            tokio::time::sleep(CLOSING_PAUSE).await;
        }
    }
}

/// The file of SQLite's whose name is the database's with a suffix.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A connection to a copy of a database, which nobody else has open.
pub async fn open_copy(path: &Path) -> Result<SqliteConnection> {
    Ok(connect_options(path).connect().await?)
}

/// How every connection is set up. `PRAGMA optimize` and ANALYZE are never run: with statistics,
/// the bundled SQLite (STAT4) prepares a statement again at each binding.
fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        // The writer's checkpointer is the one that checkpoints; this is the net below it.
        .pragma("wal_autocheckpoint", "16000")
}

enum Found {
    Nothing,
    Ours,
}

/// Looks at the file's header with plain reads, so that a file which is not ours stays untouched.
fn inspect(path: &Path) -> Result<Found, OpenError> {
    let unreadable = |error| OpenError::Unreadable(path.to_owned(), error);
    let mut header = Vec::with_capacity(100);
    match std::fs::File::open(path) {
        Ok(file) => file
            .take(100)
            .read_to_end(&mut header)
            .map_err(unreadable)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(unreadable(error)),
    };
    if header.is_empty() {
        return Ok(Found::Nothing);
    }
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return Err(OpenError::NotADatabase(path.to_owned()));
    }
    if header[68..72] != APPLICATION_ID.to_be_bytes() {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    Ok(Found::Ours)
}

/// Asks through a connection that cannot write, and that later reads use.
async fn schema_is_current(path: &Path, lookups: &Readers) -> Result<bool, OpenError> {
    let known = MIGRATOR.iter().map(|m| m.version).max().unwrap_or(0);
    let refusal = match applied_schema(lookups).await {
        Ok(applied) if applied <= known => return Ok(applied == known),
        Ok(applied) => OpenError::Newer(path.to_owned(), applied, known),
        Err(error) => OpenError::Unusable(path.to_owned(), error),
    };
    lookups.close().await;
    Err(refusal)
}

/// The newest schema that is in the database; 0 when there is none.
async fn applied_schema(lookups: &Readers) -> sqlx::Result<i64> {
    let has_any: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations')",
    )
    .fetch_one(lookups)
    .await?;
    if !has_any {
        return Ok(0);
    }
    sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
        .fetch_one(lookups)
        .await
}

/// The error of a statement: `meaning` where a foreign key has nothing to refer to, or where
/// something still refers to the row; else a failure of ours.
pub fn foreign_key_means(meaning: Error) -> impl FnOnce(sqlx::Error) -> Error {
    |error| match error {
        sqlx::Error::Database(error) if error.is_foreign_key_violation() => meaning,
        error => error.into(),
    }
}

/// A database for the tests of a chapter's SQL.
#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Arc;

    use sqlx::{Connection, SqliteConnection};

    use super::Db;
    use crate::auth::Directory;
    use crate::clock::Clock;
    use crate::config::SeedSource;
    use crate::seed::{self, ApplySeed};

    /// A database that is nowhere but in the memory of its one connection, with all tables.
    pub(crate) async fn in_memory() -> SqliteConnection {
        let connected = SqliteConnection::connect("sqlite::memory:").await;
        let mut connection = connected.expect("a database");
        let migrated = super::MIGRATOR
            .run_direct(None, &mut connection, false)
            .await;
        migrated.expect("the tables");
        connection
    }

    /// All rows that say something of the state that a seed can describe, without their numbers and
    /// times, in an order of their own.
    pub(crate) async fn dump(connection: &mut SqliteConnection) -> Vec<String> {
        let statements = [
            "SELECT json_array('account', id, name) FROM accounts",
            "SELECT json_array('agency', account_id) FROM agencies",
            "SELECT json_array('user', id, account_id, name, enabled, pwd_status, email, areacode,
                 phone, xuser_id, xuser_type, access_mode, description) FROM iam_users",
            "SELECT json_array('namespace', region, name, account_id, creator_id, creator_name)
             FROM namespaces",
            "SELECT json_array('right', n.region, n.name, p.user_id, p.user_name, p.auth)
             FROM namespace_permissions p JOIN namespaces n ON n.id = p.namespace_id",
            "SELECT json_array('repository', n.region, n.name, r.name, r.is_public, r.category,
                 r.description, r.creator_id, r.creator_name)
             FROM repositories r JOIN namespaces n ON n.id = r.namespace_id",
            "SELECT json_array('right', n.region, n.name, r.name, p.user_id, p.user_name, p.auth)
             FROM repository_permissions p JOIN repositories r ON r.id = p.repository_id
             JOIN namespaces n ON n.id = r.namespace_id",
            "SELECT json_array('trigger', n.region, n.name, r.name, t.name, app_type, application,
                 cluster_ns, trigger_type, condition, enabled, trigger_mode, cluster_id,
                 cluster_name, container, t.creator_name)
             FROM triggers t JOIN repositories r ON r.id = t.repository_id
             JOIN namespaces n ON n.id = r.namespace_id",
            "SELECT json_array('share', n.region, n.name, r.name, s.account_id, deadline, ends_at,
                 s.description, s.creator_id, s.creator_name)
             FROM shares s JOIN repositories r ON r.id = s.repository_id
             JOIN namespaces n ON n.id = r.namespace_id",
            "SELECT json_array('retention', n.region, n.name, r.name, policy)
             FROM retentions t JOIN repositories r ON r.id = t.repository_id
             JOIN namespaces n ON n.id = r.namespace_id",
            "SELECT json_array('sync', n.region, n.name, r.name, remote_region, remote_namespace,
                 sync_auto, overrides, operator_id, operator_name)
             FROM sync_tasks s JOIN repositories r ON r.id = s.repository_id
             JOIN namespaces n ON n.id = r.namespace_id",
            "SELECT json_array('cluster', id, name) FROM clusters",
            "SELECT json_array('workload', cluster_id, namespace, kind, name, containers,
                 init_containers, annotations, fail_status, fail_times, delay_ms) FROM workloads",
        ];
        let mut rows = Vec::new();
        for statement in statements {
            let found = sqlx::query_scalar(statement).fetch_all(&mut *connection);
            rows.extend(found.await.expect("a list"));
        }
        rows.sort();
        rows
    }

    /// A real file in a folder of its own, which goes with this value.
    pub(crate) struct TestDb {
        pub(crate) db: Db,
        pub(crate) directory: Directory,
        pub(crate) folder: tempfile::TempDir,
    }

    impl TestDb {
        /// Where its file is.
        pub(crate) fn path(&self) -> std::path::PathBuf {
            self.folder.path().join("test.db")
        }

        /// Fresh, with what a seed file names.
        pub(crate) async fn seeded(seed: &str) -> Self {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let source = SeedSource::Text(seed.to_owned());
            let (directory, seed) = seed::read(&source, "r1").expect("the seed file is right");
            let db = Db::open(&folder.path().join("test.db"))
                .await
                .expect("a fresh database");
            let write = ApplySeed {
                seed: Arc::new(seed),
                registry: "localhost".to_owned(),
                now: Clock::default().now(),
            };
            db.write(write).await.expect("the seed is written");
            Self {
                db,
                directory,
                folder,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::TestDb;
    use super::*;

    /// Else each deletion of what is referred to reads the whole table that refers to it.
    #[tokio::test]
    async fn every_foreign_key_has_an_index() {
        let test = testing::TestDb::seeded("").await;
        let columns = async |sql: &'static str| -> Vec<(String, String)> {
            let found = sqlx::query_as(sql).fetch_all(test.db.readers()).await;
            found.expect("a list")
        };
        let keys = columns(
            "SELECT t.name, group_concat(k.\"from\" ORDER BY k.seq)
             FROM sqlite_schema t, pragma_foreign_key_list(t.name) k
             WHERE t.type = 'table' GROUP BY t.name, k.id",
        )
        .await;
        let indexes = columns(
            "SELECT t.name, group_concat(c.name ORDER BY c.seqno) || ','
             FROM sqlite_schema t, pragma_index_list(t.name) i, pragma_index_info(i.name) c
             WHERE t.type = 'table' GROUP BY t.name, i.name",
        )
        .await;
        assert!(keys.len() > 10 && indexes.len() > 10);
        let is_unindexed = |(table, key): &&(String, String)| {
            let beginning = format!("{key},");
            !indexes
                .iter()
                .any(|(of, index)| of == table && index.starts_with(&beginning))
        };
        let unindexed: Vec<_> = keys.iter().filter(is_unindexed).collect();
        assert!(unindexed.is_empty(), "{unindexed:?}");
    }

    #[tokio::test]
    async fn a_check_fails_while_nothing_can_be_written_and_succeeds_again_afterwards() {
        let test = TestDb::seeded("").await;
        test.db.check().await.expect("it works");
        // Somebody else holds the one place for writers for longer than a check waits.
        let options = connect_options(test.db.options.get_filename());
        let mut other = options.connect().await.expect("opened");
        let held = other.begin_with("BEGIN IMMEDIATE").await.expect("begun");
        assert!(test.db.check().await.is_err());
        held.rollback().await.expect("ended");
        while test.db.check().await.is_err() {}
        test.db.close().await;
        assert!(test.db.check().await.is_err());
    }

    #[tokio::test]
    async fn open_refuses_a_file_that_is_not_sqlite_and_leaves_it_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.db");
        let content = b"not a database at all".repeat(20);
        std::fs::write(&path, &content).expect("written");

        let error = Db::open(&path).await.expect_err("refused");

        assert!(matches!(error, OpenError::NotADatabase(_)), "{error}");
        assert_eq!(std::fs::read(&path).expect("still there"), content);
    }

    #[tokio::test]
    async fn open_refuses_the_database_of_another_program_and_leaves_it_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.db");
        let mut connection = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .connect()
            .await
            .expect("created");
        sqlx::raw_sql("CREATE TABLE theirs (x)")
            .execute(&mut connection)
            .await
            .expect("a table");
        connection.close().await.expect("closed");
        let content = std::fs::read(&path).expect("there");

        let error = Db::open(&path).await.expect_err("refused");

        assert!(matches!(error, OpenError::Foreign(_)), "{error}");
        assert_eq!(std::fs::read(&path).expect("still there"), content);
    }

    #[tokio::test]
    async fn open_refuses_a_newer_schema_before_it_migrates_anything() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.db");
        Db::open(&path).await.expect("made").close().await;
        let mut connection = connect_options(&path).connect().await.expect("opened");
        sqlx::raw_sql(
            "INSERT INTO _sqlx_migrations VALUES (9999, 'later', '2099-01-01', 1, x'00', 1)",
        )
        .execute(&mut connection)
        .await
        .expect("a later schema");
        connection.close().await.expect("closed");

        let error = Db::open(&path).await.expect_err("refused");

        assert!(matches!(error, OpenError::Newer(_, 9999, _)), "{error}");
    }

    #[tokio::test]
    async fn open_refuses_a_database_whose_pages_are_damaged() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.db");
        Db::open(&path).await.expect("made").close().await;
        let mut content = std::fs::read(&path).expect("there");
        content[100..].fill(0xAA);
        std::fs::write(&path, content).expect("damaged");

        let error = Db::open(&path).await.expect_err("refused");

        assert!(matches!(error, OpenError::Unusable(..)), "{error}");
    }
}
