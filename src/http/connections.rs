//! The connections of a listener: how many there may be, which of them are idle, and how they are
//! told to end. Where all places are taken and another client comes, the connection goes that has
//! been idle for the longest time.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Connections open at once; the next one waits until one of them ends.
const MAX_CONNECTIONS: u32 = 1024;
/// How long a connection that was told to end is waited for before another one is told, too.
const PATIENCE: Duration = Duration::from_secs(1);
/// In the place of a time: a request runs.
const BUSY: u64 = u64::MAX;

/// All connections of a listener.
#[derive(Debug)]
pub(super) struct Connections {
    started: Instant,
    places: Arc<Semaphore>,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next_id: AtomicU64,
    /// Whether a client waits for a place.
    is_full: AtomicBool,
    /// Told when a connection has become idle while a client waits.
    idle: Notify,
}

impl Connections {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS as usize)),
            open: Mutex::default(),
            next_id: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            idle: Notify::new(),
        })
    }

    /// A place for one more connection, made free where there is none.
    pub(super) async fn open(self: &Arc<Self>) -> OpenConnection {
        let place = self.place().await;
        let connection = Arc::new(Connection {
            all: Arc::clone(self),
            idle_since: AtomicU64::new(self.now()),
            has_served: AtomicBool::new(false),
            leaves_unread: AtomicBool::new(false),
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

    /// Ends once no connection is open any more.
    pub(super) async fn all_ended(&self) {
        drop(self.places.acquire_many(MAX_CONNECTIONS).await);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(BUSY - 1)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    /// Microseconds from the listener's start, or [`BUSY`].
    idle_since: AtomicU64,
    /// Whether there was a request already.
    has_served: AtomicBool,
    /// Whether the newest request's body was not read to its end.
    leaves_unread: AtomicBool,
    is_closing: AtomicBool,
    close: Notify,
}

impl Connection {
    /// Notes that a request has come.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        self.idle_since.store(BUSY, Ordering::SeqCst);
        self.has_served.store(true, Ordering::Relaxed);
        self.leaves_unread.store(false, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// The body of a request, which notes whether it was read to its end.
    pub(super) fn watch(self: &Arc<Self>, body: Incoming) -> WatchedBody {
        WatchedBody {
            body,
            has_ended: false,
            connection: Arc::clone(self),
        }
    }

    /// Whether there was a request already.
    pub(super) fn has_served(&self) -> bool {
        self.has_served.load(Ordering::Relaxed)
    }

    /// Whether the newest request's body was not read to its end.
    pub(super) fn leaves_unread(&self) -> bool {
        self.leaves_unread.load(Ordering::Relaxed)
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

/// The body of a request.
#[derive(Debug)]
pub(super) struct WatchedBody {
    body: Incoming,
    has_ended: bool,
    connection: Arc<Connection>,
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.has_ended |= matches!(polled, Poll::Ready(None));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if !self.has_ended && !self.body.is_end_stream() {
            self.connection.leaves_unread.store(true, Ordering::Relaxed);
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
