//! Connections that only read. A read that nobody waits for any more is ended, in the middle of
//! SQLite's work if need be: its request's deadline has passed, or its client has left.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_stream::try_stream;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use parking_lot::{Mutex, MutexGuard};
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteQueryResult, SqliteRow, SqliteStatement, SqliteTypeInfo,
};
use sqlx::{
    ConnectOptions, Connection, Describe, Either, Execute, Executor, SqlStr, SqliteConnection,
};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use crate::error::Result;

/// After how many of SQLite's instructions it is asked whether anybody still waits; some tens of
/// microseconds.
const INSTRUCTIONS: i32 = 4000;

/// The pages that each connection keeps: 512 KiB (negative, as SQLite wants it). The system keeps
/// all of them, and there are several connections.
const CACHE: &str = "-512";

/// A few connections, each with a thread of its own that is made at first use. A read gets one for
/// as long as its statement runs; whoever finds none free waits in line.
#[derive(Clone)]
pub struct Readers(Arc<Shared>);

struct Shared {
    options: SqliteConnectOptions,
    most: u32,
    places: Arc<Semaphore>,
    /// The last one that was used is the next one: its pages are the warmest.
    idle: Mutex<Vec<Reader>>,
}

struct Reader {
    connection: SqliteConnection,
    /// Whether nobody waits for what it does.
    is_abandoned: Arc<AtomicBool>,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers")
            .field("most", &self.0.most)
            .finish_non_exhaustive()
    }
}

impl Readers {
    /// At most `most` connections; none is made yet.
    pub(super) fn new(options: SqliteConnectOptions, most: u32) -> Self {
        Self(Arc::new(Shared {
            options: options.read_only(true).pragma("cache_size", CACHE),
            most,
            places: Arc::new(Semaphore::new(most as usize)),
            idle: Mutex::default(),
        }))
    }

    /// Takes no new read, waits for those under way, and closes all connections.
    pub(super) async fn close(&self) {
        let Ok(_all) = self.0.places.acquire_many(self.0.most).await else {
            return;
        };
        self.0.places.close();
        let idle = std::mem::take(&mut *self.0.idle());
        close_all(idle).await;
    }

    /// Opens a connection before somebody waits for it.
    pub async fn open_first(&self) -> Result<()> {
        self.take().await?.give_back();
        Ok(())
    }

    /// Closes all connections that nobody uses but one, with the pages and the statements that they
    /// keep.
    pub(super) async fn close_idle(&self) {
        let idle = {
            let mut idle = self.0.idle();
            // The last one is the next one.
            let others = idle.len().saturating_sub(1);
            idle.drain(..others).collect()
        };
        close_all(idle).await;
    }

    async fn take(&self) -> sqlx::Result<Lease> {
        let place = Arc::clone(&self.0.places).acquire_owned().await;
        let place = place.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.0.idle().pop();
        let reader = match idle {
            Some(reader) => reader,
            None => Reader::connect(&self.0.options).await?,
        };
        Ok(Lease {
            shared: Arc::clone(&self.0),
            held: Some((reader, place)),
        })
    }
}

async fn close_all(readers: Vec<Reader>) {
    for reader in readers {
        if let Err(error) = reader.connection.close().await {
            debug!(%error, "A reader's connection did not close cleanly");
        }
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.idle.lock()
    }
}

impl Reader {
    async fn connect(options: &SqliteConnectOptions) -> sqlx::Result<Self> {
        let mut connection = options.connect().await?;
        let is_abandoned = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_abandoned);
        connection
            .lock_handle()
            .await?
            .set_progress_handler(INSTRUCTIONS, move || !seen.load(Ordering::Relaxed));
        Ok(Self {
            connection,
            is_abandoned,
        })
    }
}

/// A connection that a read has. Dropped while its statement runs, it ends that statement.
struct Lease {
    shared: Arc<Shared>,
    held: Option<(Reader, OwnedSemaphorePermit)>,
}

impl Lease {
    fn connection(&mut self) -> &mut SqliteConnection {
        let (reader, _) = self.held.as_mut().expect("it is held until the end");
        &mut reader.connection
    }

    /// Gives the connection back, whose statement has ended.
    fn give_back(mut self) {
        if let Some((reader, place)) = self.held.take() {
            self.shared.idle().push(reader);
            // Only now: whoever gets the place looks for the connection.
            drop(place);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((mut reader, place)) = self.held.take() else {
            return;
        };
        reader.is_abandoned.store(true, Ordering::Relaxed);
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        runtime.spawn(async move {
            // Answered once the statement has ended. A connection that cannot do that is replaced.
            if reader.connection.ping().await.is_ok() {
                reader.is_abandoned.store(false, Ordering::Relaxed);
                shared.idle().push(reader);
            }
            drop(place);
        });
    }
}

impl<'c> Executor<'c> for &Readers {
    type Database = Sqlite;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, sqlx::Result<Either<SqliteQueryResult, SqliteRow>>>
    where
        E: 'q + Execute<'q, Sqlite>,
    {
        let readers = self.clone();
        let rows = try_stream! {
            let mut lease = readers.take().await?;
            {
                let mut found = lease.connection().fetch_many(query);
                while let Some(row) = found.try_next().await? {
                    yield row;
                }
            }
            lease.give_back();
        };
        rows.boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, sqlx::Result<Option<SqliteRow>>>
    where
        E: 'q + Execute<'q, Sqlite>,
    {
        let readers = self.clone();
        Box::pin(async move {
            let mut lease = readers.take().await?;
            let found = lease.connection().fetch_optional(query).await?;
            lease.give_back();
            Ok(found)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [SqliteTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<SqliteStatement>>
    where
        'c: 'e,
    {
        let readers = self.clone();
        Box::pin(async move {
            let mut lease = readers.take().await?;
            let statement = lease.connection().prepare_with(sql, parameters).await?;
            lease.give_back();
            Ok(statement)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Sqlite>>>
    where
        'c: 'e,
    {
        let readers = self.clone();
        Box::pin(async move {
            let mut lease = readers.take().await?;
            let description = lease.connection().describe(sql).await?;
            lease.give_back();
            Ok(description)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use sqlx::ConnectOptions;

    use crate::db::Db;
    use crate::db::testing::TestDb;

    /// It would take SQLite hours.
    const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
         SELECT count(*) FROM n WHERE i < 1000000000000";

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_any_more_makes_room_for_the_next() {
        let test = TestDb::seeded("").await;
        let readers = test.db.readers();
        // All connections are open.
        let one = || sqlx::query_scalar::<_, i64>("SELECT 1").fetch_one(readers);
        let opened = join_all((0..20).map(|_| one())).await;
        assert!(opened.iter().all(Result::is_ok));
        for _ in 0..20 {
            let mut endless = Box::pin(sqlx::query_scalar::<_, i64>(ENDLESS).fetch_one(readers));
            // From then on it is SQLite's, or waits in line.
            assert!((&mut endless).now_or_never().is_none());
            drop(endless);
        }
        let next = tokio::time::timeout(Duration::from_mins(1), one()).await;
        assert_eq!(next.expect("in time").expect("read"), 1);
        test.db.close().await;
    }

    #[tokio::test]
    async fn a_connection_that_was_opened_first_is_the_one_that_is_read_by() {
        let test = TestDb::seeded("").await;
        let readers = test.db.lookups();
        assert!(readers.0.idle().is_empty());
        readers.open_first().await.expect("opened");
        assert_eq!(readers.0.idle().len(), 1);
        let read = sqlx::query_scalar::<_, i64>("SELECT 1").fetch_one(readers);
        assert_eq!(read.await.expect("read"), 1);
        assert_eq!(readers.0.idle().len(), 1);
    }

    #[tokio::test]
    async fn a_copy_with_another_journal_is_opened_by_the_connection_that_reads_later() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [original, path] = ["x.db", "copy.db"].map(|name| folder.path().join(name));
        let db = Db::open(&original).await.expect("made");
        sqlx::query("VACUUM INTO ?")
            .bind(path.to_str())
            .execute(&mut db.options.connect().await.expect("opened"))
            .await
            .expect("copied");
        db.close().await;

        for _ in 0..2 {
            let db = Db::open(&path).await.expect("opened");
            assert_eq!(db.lookups().0.idle().len(), 1);
            db.check().await.expect("it works");
            let journal = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(db.lookups());
            let journal: String = journal.await.expect("known");
            assert_eq!(journal, "wal");
            assert_eq!(db.lookups().0.idle().len(), 1);
            db.close().await;
        }
    }

    #[tokio::test]
    async fn at_rest_one_connection_is_kept_and_more_open_again_when_asked() {
        let test = TestDb::seeded("").await;
        let readers = test.db.readers();
        for _ in 0..2 {
            // Held together, so that each is a connection of its own.
            let held = join_all((0..3).map(|_| readers.take())).await;
            for lease in held {
                lease.expect("opened").give_back();
            }
            assert_eq!(readers.0.idle().len(), 3);
            test.db.rest().await;
            assert_eq!(readers.0.idle().len(), 1);
        }
        test.db.rest().await;
        assert_eq!(readers.0.idle().len(), 1);
    }

    #[tokio::test]
    async fn lists_do_not_take_the_connections_of_lookups() {
        let test = TestDb::seeded("").await;
        let lists = (0..20).map(|_| {
            sqlx::query_scalar::<_, i64>(ENDLESS)
                .fetch_one(test.db.readers())
                .boxed()
        });
        let lists = futures_util::future::select_all(lists);
        let lookup = sqlx::query_scalar::<_, i64>("SELECT 1").fetch_one(test.db.lookups());
        tokio::select! {
            _ = lists => panic!("it ended"),
            found = lookup => assert_eq!(found.expect("read"), 1),
        }
        test.db.close().await;
    }
}
