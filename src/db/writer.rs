//! The one writer: a group commit.
//!
//! It takes what is queued, runs all of it in one `BEGIN IMMEDIATE` transaction, commits once and
//! then answers each caller. So an `fsync` is shared by all who wait, and SQLite never sees two
//! writers. What a write does is the business of the chapter that defines it.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::{debug, error};

use crate::error::{Error, Result};

/// Writes that may wait; whoever comes then waits for a place.
const QUEUE: usize = 1024;
/// Writes that one transaction takes at the most.
const BATCH: usize = 512;
/// How long the log may grow before its pages are copied into the database file.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(1);

/// SQLite's primary result code for a constraint that does not hold.
const SQLITE_CONSTRAINT: u32 = 19;

/// A change of the database, queued whole and run together with its equals.
pub trait Write: Send + Sized + 'static {
    /// What the caller gets once it is on disk.
    type Output: Send + 'static;
    /// Whether it can change which organization or repository a name refers to.
    const CHANGES_NAMES: bool = false;

    /// Runs all writes of this kind that are in the transaction, and says for each what became
    /// of it. The outer error fails the whole transaction.
    fn run(
        group: Vec<Self>,
        transaction: &mut SqliteConnection,
    ) -> impl Future<Output = Result<Vec<Result<Self::Output>>>> + Send;
}

/// A change that is run on its own. What it did is undone when it is refused.
pub trait SingleWrite: Send + Sized + 'static {
    /// What the caller gets once it is on disk.
    type Output: Send + 'static;
    /// See [`Write::CHANGES_NAMES`].
    const CHANGES_NAMES: bool = false;

    /// Runs it.
    fn run(
        self,
        transaction: &mut SqliteConnection,
    ) -> impl Future<Output = Result<Self::Output>> + Send;
}

impl<W: SingleWrite> Write for W {
    type Output = W::Output;
    const CHANGES_NAMES: bool = W::CHANGES_NAMES;

    async fn run(
        group: Vec<Self>,
        transaction: &mut SqliteConnection,
    ) -> Result<Vec<Result<Self::Output>>> {
        let mut results = Vec::with_capacity(group.len());
        for write in group {
            let mut savepoint = transaction.begin().await?;
            let result = SingleWrite::run(write, &mut savepoint).await;
            match &result {
                Ok(_) => savepoint.commit().await?,
                Err(error) if fails_the_transaction(error) => return Err(error.clone()),
                Err(_) => savepoint.rollback().await?,
            }
            results.push(result);
        }
        Ok(results)
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

/// The handle to the writer's task.
#[derive(Debug)]
pub(super) struct Writer {
    /// Gone once the writer was told to stop.
    queue: RwLock<Option<mpsc::Sender<Box<dyn Queued>>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(
        connection: SqliteConnection,
        options: SqliteConnectOptions,
        names: Arc<AtomicU64>,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let committed = Arc::new(Notify::new());
        let checkpointer = tokio::spawn(checkpoint_after_commits(
            options.clone(),
            Arc::clone(&committed),
        ));
        let worker = Worker {
            connection: Some(connection),
            options,
            names,
            committed,
        };
        let task = tokio::spawn(worker.work(receiver, checkpointer));
        Self {
            queue: RwLock::new(Some(sender)),
            task: Mutex::new(Some(task)),
        }
    }

    pub(super) async fn submit<W: Write>(&self, write: W) -> Result<W::Output> {
        let stopped = || Error::internal("the writer has stopped");
        let queue = {
            let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
            queue.clone().ok_or_else(stopped)?
        };
        let (answer, answered) = oneshot::channel();
        let pending: Box<dyn Queued> = Box::new(Pending { write, answer });
        queue.send(pending).await.map_err(|_| stopped())?;
        drop(queue);
        answered.await.map_err(|_| stopped())?
    }

    /// Takes nothing more, finishes what is queued, and closes the connection.
    pub(super) async fn stop(&self) {
        self.queue
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let task = self.task.lock().await.take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            error!(%error, "The writer's task failed");
        }
    }
}

/// A queued write whose kind the queue does not know.
trait Queued: Send {
    /// Puts the write into the group of its kind, which is made if it is the first.
    fn join(self: Box<Self>, groups: &mut Vec<Box<dyn Group>>);
}

struct Pending<W: Write> {
    write: W,
    answer: oneshot::Sender<Result<W::Output>>,
}

impl<W: Write> Queued for Pending<W> {
    fn join(self: Box<Self>, groups: &mut Vec<Box<dyn Group>>) {
        let group = groups
            .iter_mut()
            .find_map(|group| group.as_any().downcast_mut::<GroupOf<W>>());
        if let Some(group) = group {
            group.writes.push(self.write);
            group.answers.push(self.answer);
        } else {
            groups.push(Box::new(GroupOf {
                writes: vec![self.write],
                answers: vec![self.answer],
                results: Vec::new(),
            }));
        }
    }
}

/// All writes of one kind in a transaction.
trait Group: Send {
    fn as_any(&mut self) -> &mut dyn Any;
    fn changes_names(&self) -> bool;
    fn run<'a>(
        &'a mut self,
        transaction: &'a mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;
    /// Tells each caller what became of its write; the transaction is on disk.
    fn answer(self: Box<Self>);
    /// Tells each caller that nothing of the transaction was kept.
    fn fail(self: Box<Self>, error: &Error);
}

struct GroupOf<W: Write> {
    writes: Vec<W>,
    answers: Vec<oneshot::Sender<Result<W::Output>>>,
    results: Vec<Result<W::Output>>,
}

impl<W: Write> Group for GroupOf<W> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn changes_names(&self) -> bool {
        W::CHANGES_NAMES
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
    committed: Arc<Notify>,
}

impl Worker {
    async fn work(
        mut self,
        mut queue: mpsc::Receiver<Box<dyn Queued>>,
        checkpointer: JoinHandle<()>,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            let mut groups = Vec::new();
            for queued in batch.drain(..) {
                queued.join(&mut groups);
            }
            let outcome = self.commit(&mut groups).await;
            // Also after a failure: a COMMIT that reports one may have reached the disk.
            if groups.iter().any(|group| group.changes_names()) {
                self.names.fetch_add(1, Ordering::AcqRel);
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

    async fn commit(&mut self, groups: &mut [Box<dyn Group>]) -> Result<()> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.options.connect().await?),
        };
        let transaction = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
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
