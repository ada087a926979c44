//! The connections of a listener: how many there may be, which of them are idle, and how they are
//! told to end. Where all places are taken and another client comes, the connection goes that has
//! been idle for the longest time.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Connections open at once; the next one waits until one of them ends or was idle long enough to
/// be closed for it.
const MAX_CONNECTIONS: u32 = 4096;
/// How long a connection that was told to end is waited for before another one is told, too.
const PATIENCE: Duration = Duration::from_secs(1);
/// In the place of a time: a request runs.
const BUSY: u64 = u64::MAX;

/// All connections of a listener.
#[derive(Debug)]
pub(super) struct Connections {
    started: Instant,
    most: u32,
    places: Arc<Semaphore>,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next_id: AtomicU64,
    /// Whether a client waits for a place.
    is_full: AtomicBool,
    /// Told when a connection has become idle while a client waits.
    idle: Notify,
    /// Told when a client finds no place, for those who listen to somebody out of courtesy only.
    wanted: Arc<Notify>,
}

impl Connections {
    /// As many as an address takes. Each is an open file; half of those that the process may have are
    /// left to what requests work with.
    pub(super) fn new(wanted: Arc<Notify>) -> Arc<Self> {
        let most = most_files().map_or(MAX_CONNECTIONS, |files| {
            u32::try_from(files / 2).unwrap_or(MAX_CONNECTIONS)
        });
        Self::at_most(most.clamp(1, MAX_CONNECTIONS), wanted)
    }

    fn at_most(most: u32, wanted: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            most,
            places: Arc::new(Semaphore::new(most as usize)),
            open: Mutex::default(),
            next_id: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            idle: Notify::new(),
            wanted,
        })
    }

    /// A place for one more connection, made free where there is none.
    pub(super) async fn open(self: &Arc<Self>) -> OpenConnection {
        let place = self.place().await;
        let connection = Arc::new(Connection {
            all: Arc::clone(self),
            idle_since: AtomicU64::new(self.now()),
            has_served: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
            close: Notify::new(),
        });
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, Arc::clone(&connection));
        OpenConnection {
            id,
            connection,
            _place: place,
        }
    }

    async fn place(&self) -> OwnedSemaphorePermit {
        loop {
            let place = Arc::clone(&self.places).try_acquire_owned();
            if let Ok(place) = place {
                return place;
            }
            // In this order: what becomes idle from here on tells, what was idle before is found.
            self.is_full.store(true, Ordering::SeqCst);
            self.close_longest_idle();
            self.wanted.notify_waiters();
            let place = tokio::select! {
                place = Arc::clone(&self.places).acquire_owned() => place.ok(),
                () = self.idle.notified() => None,
                () = tokio::time::sleep(PATIENCE) => None,
            };
            self.is_full.store(false, Ordering::SeqCst);
            if let Some(place) = place {
                return place;
            }
        }
    }

    fn close_longest_idle(&self) {
        let open = self.lock();
        let idle = open.values().filter_map(|connection| {
            let since = connection.idle_since.load(Ordering::SeqCst);
            let is_idle = since != BUSY && !connection.is_closing();
            is_idle.then_some((since, connection))
        });
        if let Some((_, connection)) = idle.min_by_key(|(since, _)| *since) {
            connection.close();
        }
    }

    /// Tells all connections to end, those with a running request after it.
    pub(super) fn close_all(&self) {
        for connection in self.lock().values() {
            connection.close();
        }
    }

    /// How many of them have a running request.
    pub(super) fn running(&self) -> usize {
        let open = self.lock();
        let busy = |one: &&Arc<Connection>| one.idle_since.load(Ordering::SeqCst) == BUSY;
        open.values().filter(busy).count()
    }

    /// Ends once no connection is open any more.
    pub(super) async fn all_ended(&self) {
        drop(self.places.acquire_many(self.most).await);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(BUSY - 1)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock()
    }
}

/// How many files the process may have open, where the system says so.
#[cfg(unix)]
fn most_files() -> Option<u64> {
    rlimit::Resource::NOFILE.get_soft().ok()
}

#[cfg(not(unix))]
fn most_files() -> Option<u64> {
    None
}

/// An open connection; its place is free with this value's end.
#[derive(Debug)]
pub(super) struct OpenConnection {
    id: u64,
    connection: Arc<Connection>,
    _place: OwnedSemaphorePermit,
}

impl OpenConnection {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connection.all.lock().remove(&self.id);
    }
}

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    all: Arc<Connections>,
    /// Nanoseconds from the listener's start, or [`BUSY`].
    idle_since: AtomicU64,
    /// Whether there was a request already.
    has_served: AtomicBool,
    is_closing: AtomicBool,
    close: Notify,
}

impl Connection {
    /// Notes that a request has come.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        self.idle_since.store(BUSY, Ordering::SeqCst);
        self.has_served.store(true, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Whether there was a request already.
    pub(super) fn has_served(&self) -> bool {
        self.has_served.load(Ordering::Relaxed)
    }

    /// Whether it was told to end.
    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }

    /// Ends once the connection shall end.
    pub(super) async fn told_to_close(&self) {
        self.close.notified().await;
    }

    fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
        self.close.notify_one();
    }
}

/// A running request: from its head until the last byte of its answer was handed over.
#[derive(Debug)]
pub(super) struct Running(Arc<Connection>);

impl Running {
    /// The body of the answer, with which the request ends.
    pub(super) fn until_sent(self, body: Body) -> AnsweredBody {
        AnsweredBody {
            body,
            _running: self,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Connection {
            all, idle_since, ..
        } = &*self.0;
        idle_since.store(all.now(), Ordering::SeqCst);
        if all.is_full.load(Ordering::SeqCst) {
            all.idle.notify_one();
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct AnsweredBody {
    body: Body,
    _running: Running,
}

impl http_body::Body for AnsweredBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u32 = 16;

    async fn all_open(connections: &Arc<Connections>) -> Vec<OpenConnection> {
        let mut open = Vec::new();
        for _ in 0..MOST {
            open.push(connections.open().await);
        }
        open
    }

    /// Lets all that can go on go on; time stands still.
    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_idle_connections_make_room_the_longest_idle_one_first() {
        let connections = Connections::at_most(MOST, Arc::default());
        let mut open = all_open(&connections).await;
        let running: Vec<_> = open.iter().map(|open| open.connection().begin()).collect();
        let newcomer = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.open().await }
        });
        settle().await;
        let closing = |open: &[OpenConnection]| -> Vec<usize> {
            let all = open.iter().enumerate();
            all.filter_map(|(at, open)| open.connection().is_closing().then_some(at))
                .collect()
        };
        assert!(closing(&open).is_empty());

        // A request ends, and with it the connection, since somebody waits.
        let mut running: Vec<_> = running.into_iter().map(Some).collect();
        running[7] = None;
        settle().await;
        assert_eq!(closing(&open), [7]);
        open[7].connection().told_to_close().await;
        assert!(!newcomer.is_finished());
        drop(open.remove(7));
        let newcomer = newcomer.await.expect("no panic");

        // Nobody waits: connections stay.
        running[5] = None;
        running[3] = None;
        settle().await;
        assert!(closing(&open).is_empty());
        drop(newcomer);
        let _newcomer = connections.open().await;
        let next = tokio::spawn(async move { connections.open().await });
        settle().await;
        assert_eq!(closing(&open), [5]);
        drop(open.remove(5));
        next.await.expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_end_is_not_waited_for() {
        let connections = Connections::at_most(MOST, Arc::default());
        let open = all_open(&connections).await;
        let newcomer = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.open().await }
        });
        settle().await;
        let closing = || {
            let all = open.iter();
            all.filter(|open| open.connection().is_closing()).count()
        };
        assert_eq!(closing(), 1);
        tokio::time::advance(PATIENCE).await;
        settle().await;
        assert_eq!(closing(), 2);
        newcomer.abort();
    }
}
