//! The one writer: a group commit.
//!
//! On a thread of its own, it takes what is queued, runs all of it in one transaction, commits once
//! and then answers each caller. So an `fsync` is shared by all who wait, and SQLite never sees two
//! writers. What a write does is the business of the chapter that defines it.

use std::any::Any;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::RwLock;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{debug, error};

use super::versions::{Touched, Versions};
use crate::error::{Error, Result};

/// Writes that may wait; whoever comes then waits for a place.
const QUEUE: usize = 1024;
/// Writes that one transaction takes at the most.
const BATCH: usize = 512;
/// How long the log may grow before its pages are copied into the database file.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(1);

const BEGIN: &str = "BEGIN IMMEDIATE";

/// SQLite's primary result code for a constraint that does not hold.
const SQLITE_CONSTRAINT: u32 = 19;

/// A change of the database, queued whole and run together with its equals.
pub trait BatchWrite: Send + Sized + 'static {
    /// What the caller gets once it is on disk.
    type Output: Send + 'static;
    /// Whether it can change which organization or repository a name refers to.
    const INVALIDATES_NAMES: bool = false;
    /// Whether it can store a tag, or ask for one to be synced: the engine and sync want to know.
    const WAKES_WORKERS: bool = false;
    /// Whether it can take away firings that wait, or change how long their workloads take: the
    /// engine looks at them again.
    const RELOADS_FIRINGS: bool = false;
    /// Whether it attaches another database. The connection ends after it, since what is attached
    /// cannot be let go within a transaction.
    const ATTACHES: bool = false;

    /// What it may change, asked before it runs.
    fn touches(&self) -> Touched {
        Touched::All
    }

    /// Runs all writes of this kind that are in the transaction, and says for each what became
    /// of it. The outer error fails the whole transaction.
    fn run(
        group: Vec<Self>,
        transaction: &mut SqliteConnection,
    ) -> impl Future<Output = Result<Vec<Result<Self::Output>>>> + Send;

    /// Runs and commits all writes that are queued, where they are of this kind only. Whatever is
    /// outside of a transaction is one by itself.
    fn run_alone(
        group: Vec<Self>,
        connection: &mut SqliteConnection,
    ) -> impl Future<Output = Result<Vec<Result<Self::Output>>>> + Send {
        run_in_transaction(group, connection)
    }
}

/// Runs writes of one kind in a transaction of their own.
pub async fn run_in_transaction<W: BatchWrite>(
    group: Vec<W>,
    connection: &mut SqliteConnection,
) -> Result<Vec<Result<W::Output>>> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    let results = W::run(group, &mut transaction).await?;
    transaction.commit().await?;
    Ok(results)
}

/// A change that is run on its own. What it did is undone when it is refused.
pub trait Write: Send + Sized + 'static {
    /// What the caller gets once it is on disk.
    type Output: Send + 'static;
    /// See [`BatchWrite::INVALIDATES_NAMES`].
    const INVALIDATES_NAMES: bool = false;
    /// See [`BatchWrite::WAKES_WORKERS`].
    const WAKES_WORKERS: bool = false;
    /// See [`BatchWrite::RELOADS_FIRINGS`].
    const RELOADS_FIRINGS: bool = false;
    /// See [`BatchWrite::ATTACHES`].
    const ATTACHES: bool = false;

    /// See [`BatchWrite::touches`].
    fn touches(&self) -> Touched {
        Touched::All
    }

    /// Runs it.
    fn run(
        self,
        transaction: &mut SqliteConnection,
    ) -> impl Future<Output = Result<Self::Output>> + Send;
}

impl<W: Write> BatchWrite for W {
    type Output = W::Output;
    const INVALIDATES_NAMES: bool = W::INVALIDATES_NAMES;
    const WAKES_WORKERS: bool = W::WAKES_WORKERS;
    const RELOADS_FIRINGS: bool = W::RELOADS_FIRINGS;
    const ATTACHES: bool = W::ATTACHES;

    fn touches(&self) -> Touched {
        Write::touches(self)
    }

    async fn run(
        group: Vec<Self>,
        transaction: &mut SqliteConnection,
    ) -> Result<Vec<Result<Self::Output>>> {
        let mut results = Vec::with_capacity(group.len());
        for write in group {
            let mut savepoint = transaction.begin().await?;
            let result = Write::run(write, &mut savepoint).await;
            match &result {
                Ok(_) => savepoint.commit().await?,
                Err(error) if fails_the_transaction(error) => return Err(error.clone()),
                Err(_) => savepoint.rollback().await?,
            }
            results.push(result);
        }
        Ok(results)
    }

    async fn run_alone(
        group: Vec<Self>,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<Result<Self::Output>>> {
        let write = match <[Self; 1]>::try_from(group) {
            Ok([write]) => write,
            Err(group) => return run_in_transaction(group, connection).await,
        };
        // With the write, all of the transaction is undone: there is nothing to save from it.
        let mut transaction = connection.begin_with(BEGIN).await?;
        let result = Write::run(write, &mut transaction).await;
        match &result {
            Ok(_) => transaction.commit().await?,
            Err(error) if fails_the_transaction(error) => return Err(error.clone()),
            Err(_) => transaction.rollback().await?,
        }
        Ok(vec![result])
    }
}

/// A refusal, and a constraint that no store function foresaw, concern one caller only. Any other
/// failure (disk full, I/O error, no memory) may have made SQLite roll back by itself, and the
/// next statement would then commit on its own: the transaction has to end.
fn fails_the_transaction(error: &Error) -> bool {
    let Error::Internal(source) = error else {
        return false;
    };
    let Some(sqlx::Error::Database(error)) = source.downcast_ref::<sqlx::Error>() else {
        return true;
    };
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    // The low byte is SQLite's primary code.
    code.is_none_or(|code| code & 0xff != SQLITE_CONSTRAINT)
}

/// The handle to the writer's thread.
#[derive(Debug)]
pub(super) struct Writer {
    /// Gone once the writer was told to stop.
    queue: RwLock<Option<mpsc::Sender<Box<dyn QueuedWrite>>>>,
    /// Whether the last transaction failed.
    is_failing: Arc<AtomicBool>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Writer {
    /// Starts it on a thread of its own, where an answer of SQLite's wakes it at once instead of
    /// when the runtime comes to it. The runtime can end before it, which one of the runtime's own
    /// blocking threads would not let it.
    pub(super) fn start(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        names: Arc<AtomicU64>,
        versions: Arc<Versions>,
        pushed: watch::Sender<()>,
        firings_changed: watch::Sender<()>,
    ) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let committed = Arc::new(Notify::new());
        let is_failing = Arc::new(AtomicBool::new(false));
        let checkpointer = tokio::spawn(checkpoint_after_commits(
            options.clone(),
            Arc::clone(&committed),
        ));
        let worker = Worker {
            connection: Some(connection),
            options,
            names,
            versions,
            pushed,
            firings_changed,
            committed,
            is_failing: Arc::clone(&is_failing),
        };
        let runtime = Handle::current();
        let work = move || runtime.block_on(worker.work(receiver, checkpointer));
        let thread = thread::Builder::new().name("writer".to_owned());
        Ok(Self {
            queue: RwLock::new(Some(sender)),
            is_failing,
            thread: Mutex::new(Some(thread.spawn(work)?)),
        })
    }

    pub(super) async fn submit<W: BatchWrite>(&self, write: W) -> Result<W::Output> {
        let stopped = || Error::internal("the writer has stopped");
        let queue = {
            let queue = self.queue.read();
            queue.clone().ok_or_else(stopped)?
        };
        let (answer, answered) = oneshot::channel();
        let pending: Box<dyn QueuedWrite> = Box::new(Pending { write, answer });
        queue.send(pending).await.map_err(|_| stopped())?;
        drop(queue);
        answered.await.map_err(|_| stopped())?
    }

    /// Ends once the writer has committed something.
    pub(super) async fn pulse(&self) -> Result<()> {
        let writes = self.is_failing.load(Ordering::Relaxed);
        self.submit(Pulse { writes }).await
    }

    /// Takes nothing more, finishes what is queued, and closes the connection.
    pub(super) async fn stop(&self) {
        self.queue.write().take();
        let thread = self.thread.lock().await.take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(|| thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                error!("The writer's thread failed");
            }
        }
    }
}

/// A transaction that is only there to be committed. It writes something where the last one failed:
/// then a commit of nothing would tell nothing.
struct Pulse {
    writes: bool,
}

impl Write for Pulse {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        if self.writes {
            // A number of ours in the file's header, which nobody reads.
            sqlx::raw_sql("PRAGMA user_version = 1")
                .execute(transaction)
                .await?;
        }
        Ok(())
    }
}

/// A queued write whose kind the queue does not know.
trait QueuedWrite: Send {
    /// See [`BatchWrite::touches`].
    fn touches(&self) -> Touched;
    /// Puts the write into the group of its kind, which is made if it is the first.
    fn join(self: Box<Self>, groups: &mut Vec<Box<dyn AnyBatch>>);
}

struct Pending<W: BatchWrite> {
    write: W,
    answer: oneshot::Sender<Result<W::Output>>,
}

impl<W: BatchWrite> QueuedWrite for Pending<W> {
    fn touches(&self) -> Touched {
        self.write.touches()
    }

    fn join(self: Box<Self>, groups: &mut Vec<Box<dyn AnyBatch>>) {
        let group = groups
            .iter_mut()
            .find_map(|group| group.as_any().downcast_mut::<Batch<W>>());
        if let Some(group) = group {
            group.writes.push(self.write);
            group.answers.push(self.answer);
        } else {
            groups.push(Box::new(Batch {
                writes: vec![self.write],
                answers: vec![self.answer],
                results: Vec::new(),
            }));
        }
    }
}

/// All writes of one kind in a transaction.
trait AnyBatch: Send {
    fn as_any(&mut self) -> &mut dyn Any;
    fn changes_names(&self) -> bool;
    fn pushes(&self) -> bool;
    fn changes_firings(&self) -> bool;
    fn attaches(&self) -> bool;
    fn run<'a>(
        &'a mut self,
        transaction: &'a mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;
    /// Runs and commits it, as the only group there is.
    fn run_alone<'a>(
        &'a mut self,
        connection: &'a mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;
    /// Tells each caller what became of its write; the transaction is on disk.
    fn answer(self: Box<Self>);
    /// Tells each caller that nothing of the transaction was kept.
    fn fail(self: Box<Self>, error: &Error);
}

struct Batch<W: BatchWrite> {
    writes: Vec<W>,
    answers: Vec<oneshot::Sender<Result<W::Output>>>,
    results: Vec<Result<W::Output>>,
}

impl<W: BatchWrite> AnyBatch for Batch<W> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn changes_names(&self) -> bool {
        W::INVALIDATES_NAMES
    }

    fn pushes(&self) -> bool {
        W::WAKES_WORKERS
    }

    fn changes_firings(&self) -> bool {
        W::RELOADS_FIRINGS
    }

    fn attaches(&self) -> bool {
        W::ATTACHES
    }

    fn run<'a>(
        &'a mut self,
        transaction: &'a mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
        Box::pin(async move {
            let group = std::mem::take(&mut self.writes);
            self.results = W::run(group, transaction).await?;
            Ok(())
        })
    }

    fn run_alone<'a>(
        &'a mut self,
        connection: &'a mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
        Box::pin(async move {
            let group = std::mem::take(&mut self.writes);
            self.results = W::run_alone(group, connection).await?;
            Ok(())
        })
    }

    fn answer(self: Box<Self>) {
        for (answer, result) in self.answers.into_iter().zip(self.results) {
            // A caller that went away has its write all the same.
            drop(answer.send(result));
        }
    }

    fn fail(self: Box<Self>, error: &Error) {
        for answer in self.answers {
            drop(answer.send(Err(error.clone())));
        }
    }
}

struct Worker {
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    names: Arc<AtomicU64>,
    versions: Arc<Versions>,
    pushed: watch::Sender<()>,
    firings_changed: watch::Sender<()>,
    committed: Arc<Notify>,
    is_failing: Arc<AtomicBool>,
}

impl Worker {
    async fn work(
        mut self,
        mut queue: mpsc::Receiver<Box<dyn QueuedWrite>>,
        checkpointer: JoinHandle<()>,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            let mut groups = Vec::new();
            let touched: Vec<_> = batch.iter().map(|queued| queued.touches()).collect();
            for queued in batch.drain(..) {
                queued.join(&mut groups);
            }
            let outcome = self.commit(&mut groups).await;
            // Also after a failure: a COMMIT that reports one may have reached the disk.
            if groups.iter().any(|group| group.changes_names()) {
                self.names.fetch_add(1, Ordering::AcqRel);
            }
            // After the names: what is kept under this count was looked up under theirs.
            self.versions.note(touched.iter());
            if groups.iter().any(|group| group.pushes()) {
                self.pushed.send_replace(());
            }
            self.is_failing.store(outcome.is_err(), Ordering::Relaxed);
            if groups.iter().any(|group| group.changes_firings()) {
                self.firings_changed.send_replace(());
            }
            if groups.iter().any(|group| group.attaches()) {
                self.connection = None;
            }
            match outcome {
                Ok(()) => {
                    self.committed.notify_one();
                    for group in groups {
                        group.answer();
                    }
                }
                Err(error) => {
                    error!(chain = error.chain(), "A transaction failed");
                    // Whatever state SQLite is in, a new connection is in none.
                    self.connection = None;
                    for group in groups {
                        group.fail(&error);
                    }
                }
            }
        }
        checkpointer.abort();
        drop(checkpointer.await);
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            debug!(%error, "The writer's connection did not close cleanly");
        }
    }

    async fn commit(&mut self, groups: &mut [Box<dyn AnyBatch>]) -> Result<()> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.options.connect().await?),
        };
        let transaction = async {
            if let [group] = groups {
                return group.run_alone(connection).await;
            }
            let mut transaction = connection.begin_with(BEGIN).await?;
            for group in groups {
                group.run(&mut transaction).await?;
            }
            transaction.commit().await?;
            Ok(())
        };
        AssertUnwindSafe(transaction)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(Error::internal("a write panicked")))
    }
}

/// Copies the write-ahead log into the database file, beside the writer: inside a COMMIT it would
/// make every caller of that batch wait for it.
async fn checkpoint_after_commits(options: SqliteConnectOptions, committed: Arc<Notify>) {
    let mut connection = None;
    loop {
        committed.notified().await;
        tokio::time::sleep(CHECKPOINT_AFTER).await;
        if let Err(error) = checkpoint(&options, &mut connection).await {
            // The log is safe where it is; the next commit leads to the next try.
            let file: PathBuf = options.get_filename().to_owned();
            debug!(%error, file = %file.display(), "A checkpoint failed");
            connection = None;
        }
    }
}

async fn checkpoint(
    options: &SqliteConnectOptions,
    connection: &mut Option<SqliteConnection>,
) -> sqlx::Result<()> {
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(options.connect().await?),
    };
    sqlx::raw_sql("PRAGMA wal_checkpoint(PASSIVE)")
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;
    use crate::db::testing::TestDb;
    use crate::error::Resource;

    /// Inserts a cluster, refuses it, fails or panics, as its name says.
    struct Put(&'static str);

    impl Write for Put {
        type Output = &'static str;

        async fn run(self, transaction: &mut SqliteConnection) -> Result<&'static str> {
            sqlx::query("INSERT INTO clusters (id, name) VALUES (?1, ?1)")
                .bind(self.0)
                .execute(&mut *transaction)
                .await?;
            match self.0 {
                "refused" => Err(Error::AlreadyExists(Resource::Cluster)),
                "failing" => Err(sqlx::Error::PoolClosed.into()),
                "panicking" => panic!("as asked"),
                name => Ok(name),
            }
        }
    }

    /// Queues writes so that one transaction takes all of them.
    async fn run_together(writer: &mut Worker, writes: Vec<Put>) -> Vec<Result<&'static str>> {
        let mut groups = Vec::new();
        let mut answered = Vec::new();
        for write in writes {
            let (answer, receiver) = oneshot::channel();
            QueuedWrite::join(Box::new(Pending { write, answer }), &mut groups);
            answered.push(receiver);
        }
        let outcome = writer.commit(&mut groups).await;
        if outcome.is_err() {
            writer.connection = None;
        }
        for group in groups {
            match &outcome {
                Ok(()) => group.answer(),
                Err(error) => group.fail(error),
            }
        }
        let mut results = Vec::new();
        for receiver in answered {
            results.push(receiver.await.expect("each caller gets an answer"));
        }
        results
    }

    async fn worker(test: &TestDb) -> Worker {
        let options: SqliteConnectOptions =
            crate::db::connect_options(&test.folder.path().join("test.db"));
        Worker {
            connection: Some(options.connect().await.expect("the file is there")),
            options,
            versions: Arc::default(),
            names: Arc::default(),
            pushed: watch::Sender::default(),
            firings_changed: watch::Sender::default(),
            committed: Arc::default(),
            is_failing: Arc::default(),
        }
    }

    async fn stored(test: &TestDb) -> Vec<String> {
        sqlx::query_scalar("SELECT id FROM clusters ORDER BY rowid")
            .fetch_all(test.db.readers())
            .await
            .expect("a list")
    }

    #[tokio::test]
    async fn a_refusal_concerns_one_caller_and_undoes_only_its_own_change() {
        let test = TestDb::seeded("").await;
        let mut worker = worker(&test).await;

        let results = run_together(&mut worker, vec![Put("a"), Put("refused"), Put("b")]).await;

        assert!(matches!(results[0], Ok("a")) && matches!(results[2], Ok("b")));
        assert!(matches!(results[1], Err(Error::AlreadyExists(_))));
        assert_eq!(stored(&test).await, ["a", "b"]);
    }

    #[tokio::test]
    async fn a_write_that_is_alone_is_undone_whole_when_it_is_refused() {
        let test = TestDb::seeded("").await;
        let mut worker = worker(&test).await;

        for (name, is_refused) in [("refused", true), ("a", false), ("a", true), ("b", false)] {
            let results = run_together(&mut worker, vec![Put(name)]).await;
            assert_eq!(results[0].is_err(), is_refused, "{name}");
        }

        assert_eq!(stored(&test).await, ["a", "b"]);
    }

    #[tokio::test]
    async fn a_constraint_that_nobody_foresaw_fails_its_own_caller_only() {
        let test = TestDb::seeded("").await;
        let mut worker = worker(&test).await;

        let results = run_together(&mut worker, vec![Put("a"), Put("a"), Put("b")]).await;

        assert!(results[0].is_ok() && results[2].is_ok());
        assert!(matches!(results[1], Err(Error::Internal(_))));
        assert_eq!(stored(&test).await, ["a", "b"]);
    }

    #[tokio::test]
    async fn any_other_failure_and_a_panic_fail_all_and_keep_nothing() {
        for bad in ["failing", "panicking"] {
            let test = TestDb::seeded("").await;
            let mut worker = worker(&test).await;

            let results = run_together(&mut worker, vec![Put("a"), Put(bad), Put("b")]).await;

            assert!(
                results
                    .iter()
                    .all(|result| matches!(result, Err(Error::Internal(_))))
            );
            assert!(stored(&test).await.is_empty());
            let results = run_together(&mut worker, vec![Put("c")]).await;
            assert!(
                matches!(results[..], [Ok("c")]),
                "it goes on with a new connection"
            );
            assert_eq!(stored(&test).await, ["c"]);
        }
    }

    #[tokio::test]
    async fn a_full_database_fails_the_whole_batch_and_later_ones_succeed() {
        let test = TestDb::seeded("").await;
        let mut worker = worker(&test).await;
        let connection = worker.connection.as_mut().expect("it is open");
        sqlx::raw_sql("PRAGMA max_page_count = 1; CREATE TABLE IF NOT EXISTS clusters (x)")
            .execute(&mut *connection)
            .await
            .expect("the limit is set to the present size");
        // Fills what is left of the last pages.
        let name: &'static str = Box::leak("x".repeat(100_000).into_boxed_str());

        let results = run_together(&mut worker, vec![Put("a"), Put(name), Put("b")]).await;

        assert!(
            results
                .iter()
                .all(|result| matches!(result, Err(Error::Internal(_))))
        );
        assert!(stored(&test).await.is_empty());
        // The new connection has no limit.
        let results = run_together(&mut worker, vec![Put("a"), Put(name)]).await;
        assert!(results.iter().all(Result::is_ok));
        assert_eq!(stored(&test).await.len(), 2);
    }

    #[tokio::test]
    async fn a_write_is_finished_after_its_caller_went_away_and_before_the_end() {
        let test = TestDb::seeded("").await;
        let mut write = Box::pin(test.db.write(Put("a")));
        // Polled once, it is queued; then the caller goes.
        assert!((&mut write).now_or_never().is_none());
        drop(write);
        test.db.close().await;

        let mut connection = worker(&test).await.connection.expect("it is open");
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM clusters")
            .fetch_one(&mut connection)
            .await
            .expect("a number");
        assert_eq!(count, 1);
        let late = test.db.write(Put("b")).await;
        assert!(matches!(late, Err(Error::Internal(_))));
    }

    /// Tells somebody that it has begun, who may hold up the runtime meanwhile.
    struct Tell(std::sync::mpsc::Sender<()>);

    impl Write for Tell {
        type Output = ();

        async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
            sqlx::query("SELECT 1").execute(transaction).await?;
            self.0.send(()).map_err(Error::internal)
        }
    }

    #[tokio::test]
    async fn a_write_needs_no_thread_of_the_runtime() {
        let test = TestDb::seeded("").await;
        let (tell, told) = std::sync::mpsc::channel();
        let mut write = Box::pin(test.db.write(Tell(tell)));
        assert!((&mut write).now_or_never().is_none());
        // The runtime has one thread, which waits here.
        let told = told.recv_timeout(Duration::from_mins(1));
        assert!(told.is_ok());
        write.await.expect("committed");
    }

    #[test]
    fn a_runtime_ends_before_its_database() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let test = runtime.block_on(TestDb::seeded(""));
        drop(runtime);
        drop(test);
    }

    #[tokio::test]
    async fn more_writers_than_places_in_the_queue_wait_and_all_succeed() {
        let test = TestDb::seeded("").await;
        let names: Vec<&'static str> = (0..3 * QUEUE)
            .map(|at| &*Box::leak(format!("c{at}").into_boxed_str()))
            .collect();

        let writes = names.iter().map(|name| test.db.write(Put(name)));
        let results = futures_util::future::join_all(writes).await;

        assert!(results.iter().all(Result::is_ok));
        assert_eq!(stored(&test).await.len(), 3 * QUEUE);
    }
}
