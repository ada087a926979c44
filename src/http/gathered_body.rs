//! Bodies that are read as a whole: bounded in size and time each, and all together in memory.
//!
//! All bodies of an instance share one budget, of which a body takes what has arrived of it, not
//! what it announces, until its request is answered. When the budget is spent, the slowest of the
//! bodies that still arrive is given up, again and again until there is room. So somebody who holds
//! many bodies back holds up nobody but himself.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::shared_body::SharedBody;
use crate::error::Error;

/// How many bytes of bodies an instance holds at once.
const BUDGET: usize = 64 * 1024 * 1024;
/// A body below this is never given up: it would make no room to speak of. Many have no more.
const SMALL: usize = 8 * 1024;

/// In parts of how many bytes a body is held that does not come in one piece.
const PART: usize = 64 * 1024;

/// How much of a body is read, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most bytes it may have.
    pub bytes: usize,
    /// How long it may take, whatever its size.
    pub time: Duration,
    /// How much longer for each KiB that has arrived.
    pub time_per_kib: Duration,
}

/// Why there is no whole body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incomplete {
    /// It has more bytes than this.
    TooLarge(usize),
    /// It did not arrive in this many seconds.
    TooLate(u64),
    /// It was the slowest one when there was no room for all.
    TooSlow,
    /// There was no room for it.
    NoRoom,
    /// The connection or the encoding broke.
    Broken(String),
}

/// Why a body that was too slow for the others was given up.
const OVERTAKEN: &str = "arrived more slowly than others when buffer space ran out";
/// Why a body was not read.
const NO_ROOM: &str = "There is no buffer space left for the request body";

impl Incomplete {
    /// What a client is told that was too slow; none for other reasons.
    pub fn slowness(&self) -> Option<String> {
        match self {
            Self::TooLate(seconds) => Some(format!("did not arrive within {seconds} seconds")),
            Self::TooSlow => Some(OVERTAKEN.to_owned()),
            Self::TooLarge(_) | Self::NoRoom | Self::Broken(_) => None,
        }
    }
}

impl From<Incomplete> for Error {
    fn from(incomplete: Incomplete) -> Self {
        match incomplete {
            Incomplete::TooLarge(bytes) => Self::BodyTooLarge(bytes),
            Incomplete::TooLate(_) | Incomplete::TooSlow => {
                Self::BodyTooSlow(incomplete.slowness().unwrap_or_default().into())
            }
            Incomplete::NoRoom => Self::Unavailable(NO_ROOM),
            Incomplete::Broken(reason) => {
                Self::invalid("body", format!("could not be read completely ({reason})"))
            }
        }
    }
}

/// Reads a body to its end. The room that it takes is free again when the second value ends, so
/// that lives until the request is answered.
pub async fn gather<'a>(
    body: &SharedBody,
    limits: Limits,
    budget: &'a BodyBudget,
) -> Result<(Bytes, Room<'a>), Incomplete> {
    let announced = body.size_hint().lower();
    if usize::try_from(announced).map_or(true, |bytes| bytes > limits.bytes) {
        return Err(Incomplete::TooLarge(limits.bytes));
    }
    let started = Instant::now();
    let mut body = body.clone();
    let mut room = Room {
        budget,
        started,
        bytes: 0,
        known: None,
    };
    let mut pieces = Pieces::default();
    let mut deadline = pin!(tokio::time::sleep_until(started + limits.time));
    loop {
        if body.has_ended() {
            break;
        }
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = room.given_up() => return Err(Incomplete::TooSlow),
            () = &mut deadline => {
                let time = limits.time_after(pieces.length);
                return Err(Incomplete::TooLate(time.as_secs()));
            }
        };
        let Some(frame) = frame else {
            break;
        };
        let frame = frame.map_err(|error| Incomplete::Broken(error.to_string()))?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if pieces.length + piece.len() > limits.bytes {
            return Err(Incomplete::TooLarge(limits.bytes));
        }
        if !room.grow(piece.len()) {
            let given_up = room.given_up();
            tokio::select! {
                biased;
                () = room.grow_by_others(piece.len()) => {}
                () = given_up => return Err(Incomplete::TooSlow),
                () = &mut deadline => return Err(Incomplete::NoRoom),
            }
        }
        let most = body.size_hint().upper().map_or(limits.bytes, |left| {
            usize::try_from(left).unwrap_or(usize::MAX)
        });
        pieces.push(piece, most);
        if !limits.time_per_kib.is_zero() {
            let time = limits.time_after(pieces.length);
            deadline.as_mut().reset(started + time);
        }
    }
    room.arrived();
    Ok((pieces.whole(), room))
}

impl Limits {
    fn time_after(&self, bytes: usize) -> Duration {
        let kibs = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        self.time + self.time_per_kib * kibs
    }
}

/// What has arrived of a body.
#[derive(Debug, Default)]
struct Pieces {
    length: usize,
    /// Most bodies come in one piece, which is not copied.
    first: Bytes,
    /// What came after it. Parts of one size leave no gaps in memory, as one that grows would.
    parts: Vec<BytesMut>,
}

impl Pieces {
    /// Adds a piece, after which at most `left` bytes follow.
    fn push(&mut self, piece: Bytes, left: usize) {
        if self.length == 0 {
            self.length = piece.len();
            self.first = piece;
            return;
        }
        self.length += piece.len();
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let free = match self.parts.last() {
                Some(part) => part.capacity() - part.len(),
                None => 0,
            };
            if free == 0 {
                let capacity = PART.min(rest.len().saturating_add(left));
                self.parts.push(BytesMut::with_capacity(capacity));
                continue;
            }
            let (now, later) = rest.split_at(free.min(rest.len()));
            if let Some(part) = self.parts.last_mut() {
                part.extend_from_slice(now);
            }
            rest = later;
        }
    }

    fn whole(self) -> Bytes {
        if self.parts.is_empty() {
            return self.first;
        }
        let mut whole = BytesMut::with_capacity(self.length);
        whole.extend_from_slice(&self.first);
        for part in self.parts {
            whole.extend_from_slice(&part);
        }
        whole.freeze()
    }
}

/// The memory that an instance has for bodies.
#[derive(Debug)]
pub struct BodyBudget {
    left: AtomicUsize,
    /// How many bodies wait for room.
    waiting: AtomicUsize,
    /// Told when there is more room, or may be, while a body waits.
    more: Notify,
    arriving: Mutex<ArrivingBodies>,
}

impl Default for BodyBudget {
    fn default() -> Self {
        Self::new(BUDGET)
    }
}

/// The bodies that have begun to arrive, but for small ones.
#[derive(Debug, Default)]
struct ArrivingBodies {
    next_id: u64,
    bodies: HashMap<u64, ArrivingBody>,
    /// The one that was given up last and still has its room.
    given_up: Option<u64>,
}

#[derive(Debug)]
struct ArrivingBody {
    bytes: u64,
    /// How long it took so far, without what it waited for room.
    time: Duration,
    /// Since when it is waited for; none while it waits for room itself.
    since: Option<Instant>,
    give_up: Arc<Notify>,
}

impl ArrivingBody {
    fn bytes_per_second(&self, now: Instant) -> u128 {
        let since = self.since.map_or(Duration::ZERO, |since| now - since);
        let time = (self.time + since).as_nanos().max(1);
        u128::from(self.bytes) * 1_000_000_000 / time
    }
}

impl BodyBudget {
    /// Room for so many bytes.
    fn new(bytes: usize) -> Self {
        Self {
            left: AtomicUsize::new(bytes),
            waiting: AtomicUsize::new(0),
            more: Notify::new(),
            arriving: Mutex::default(),
        }
    }

    fn take(&self, bytes: usize) -> bool {
        let order = Ordering::SeqCst;
        let taken = |left: usize| left.checked_sub(bytes);
        self.left.fetch_update(order, order, taken).is_ok()
    }

    fn tell(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.more.notify_waiters();
        }
    }

    /// Gives up the slowest body, unless one was given up that has yet to make its room free.
    fn give_up_slowest(&self) {
        let mut arriving = self.lock();
        if arriving.given_up.is_some() {
            return;
        }
        let now = Instant::now();
        let bodies = arriving.bodies.iter();
        let slowest = bodies.min_by_key(|(_, body)| body.bytes_per_second(now));
        if let Some((id, body)) = slowest {
            body.give_up.notify_one();
            arriving.given_up = Some(*id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, ArrivingBodies> {
        self.arriving.lock()
    }
}

/// The room that a body takes.
#[derive(Debug)]
pub struct Room<'a> {
    budget: &'a BodyBudget,
    started: Instant,
    bytes: usize,
    /// Of one that is large and still arrives: under which number it is known, and how it is told
    /// that it was given up.
    known: Option<(u64, Arc<Notify>)>,
}

impl Room<'_> {
    /// The room of a body that is not kept.
    #[must_use]
    pub fn given_back(self) -> Self {
        Self {
            budget: self.budget,
            started: self.started,
            bytes: 0,
            known: None,
        }
    }

    /// Takes more room, if there is any.
    fn grow(&mut self, bytes: usize) -> bool {
        if !self.budget.take(bytes) {
            return false;
        }
        self.bytes += bytes;
        if self.bytes > SMALL {
            self.note();
        }
        true
    }

    /// Notes how far the body is.
    fn note(&mut self) {
        let bytes = self.bytes as u64;
        let mut arriving = self.budget.lock();
        if let Some((id, _)) = &self.known {
            if let Some(body) = arriving.bodies.get_mut(id) {
                body.bytes = bytes;
            }
            return;
        }
        let id = arriving.next_id;
        arriving.next_id += 1;
        let give_up = Arc::new(Notify::new());
        let body = ArrivingBody {
            bytes,
            time: Duration::ZERO,
            since: Some(self.started),
            give_up: Arc::clone(&give_up),
        };
        arriving.bodies.insert(id, body);
        self.known = Some((id, give_up));
    }

    /// Takes more room once others have made it free.
    async fn grow_by_others(&mut self, bytes: usize) {
        let budget = self.budget;
        let _waiting = Waiting::new(budget, self.known.as_ref().map(|(id, _)| *id));
        loop {
            let mut more = pin!(budget.more.notified());
            // In this order, so that nothing is missed in between.
            more.as_mut().enable();
            if self.grow(bytes) {
                return;
            }
            budget.give_up_slowest();
            more.await;
        }
    }

    /// Ends once the body was given up; never for one that is small, or whole.
    fn given_up(&self) -> impl Future<Output = ()> + use<> {
        let give_up = self.known.as_ref().map(|(_, give_up)| Arc::clone(give_up));
        async move {
            match give_up {
                None => std::future::pending().await,
                Some(give_up) => give_up.notified().await,
            }
        }
    }

    /// The body is whole: it is not given up any more.
    fn arrived(&mut self) {
        let Some((id, _)) = self.known.take() else {
            return;
        };
        let mut arriving = self.budget.lock();
        arriving.bodies.remove(&id);
        if arriving.given_up == Some(id) {
            // Too late for that: another one has to go.
            arriving.given_up = None;
            drop(arriving);
            self.budget.tell();
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes, Ordering::SeqCst);
        self.arrived();
        self.budget.tell();
    }
}

/// A body that waits for room; its clock stands still.
struct Waiting<'a> {
    budget: &'a BodyBudget,
    id: Option<u64>,
}

impl<'a> Waiting<'a> {
    fn new(budget: &'a BodyBudget, id: Option<u64>) -> Self {
        budget.waiting.fetch_add(1, Ordering::SeqCst);
        let waiting = Self { budget, id };
        waiting.change(|body| {
            if let Some(since) = body.since.take() {
                body.time += since.elapsed();
            }
        });
        waiting
    }

    fn change(&self, change: impl FnOnce(&mut ArrivingBody)) {
        let Some(id) = self.id else {
            return;
        };
        if let Some(body) = self.budget.lock().bodies.get_mut(&id) {
            change(body);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.budget.waiting.fetch_sub(1, Ordering::SeqCst);
        self.change(|body| body.since = Some(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use http::HeaderMap;
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::*;

    const LIMITS: Limits = Limits {
        bytes: 1024 * 1024,
        time: Duration::from_secs(20),
        time_per_kib: Duration::ZERO,
    };

    /// A body that arrives as the test sends it.
    struct Sent {
        pieces: mpsc::UnboundedSender<Result<Bytes, Infallible>>,
        /// How many bytes it has in the end; its room is held until then.
        gathered: JoinHandle<Result<usize, Incomplete>>,
    }

    impl Sent {
        fn new(budget: &Arc<BodyBudget>, limits: Limits) -> Self {
            let (pieces, received) = mpsc::unbounded_channel();
            let received = futures_util::stream::unfold(received, async |mut received| {
                let piece = received.recv().await?;
                Some((piece, received))
            });
            let body = Body::from_stream(Box::pin(received));
            let body = SharedBody::new(&HeaderMap::new(), body);
            let budget = Arc::clone(budget);
            let gathered = tokio::spawn(async move {
                let (whole, _room) = gather(&body, limits, &budget).await?;
                Ok(whole.len())
            });
            Self { pieces, gathered }
        }

        /// Sends a piece and lets it be read.
        async fn send(&self, kib: usize) {
            let piece = Bytes::from(vec![0; kib * 1024]);
            // Nobody may read any more.
            drop(self.pieces.send(Ok(piece)));
            settle().await;
        }

        async fn end(self) -> Result<usize, Incomplete> {
            drop(self.pieces);
            self.gathered.await.expect("no panic")
        }
    }

    /// Lets all that can go on go on; time stands still.
    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    fn left(budget: &BodyBudget) -> usize {
        budget.left.load(Ordering::SeqCst) / 1024
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_takes_room_for_what_has_arrived_until_its_request_is_answered() {
        let budget = Arc::new(BodyBudget::new(100 * 1024));
        let body = Sent::new(&budget, LIMITS);
        body.send(10).await;
        body.send(20).await;
        assert_eq!(left(&budget), 70);
        assert_eq!(body.end().await, Ok(30 * 1024));
        assert_eq!(left(&budget), 100);

        let sent = Bytes::from("whole");
        let body = SharedBody::new(&HeaderMap::new(), Body::from(sent.clone()));
        let (whole, room) = gather(&body, LIMITS, &budget).await.expect("whole");
        assert_eq!(whole, sent);
        assert_eq!(budget.left.load(Ordering::SeqCst), 100 * 1024 - 5);
        let room = room.given_back();
        assert_eq!(left(&budget), 100);
        drop(room);
        assert_eq!(left(&budget), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_bounded_in_size_and_time() {
        let budget = Arc::new(BodyBudget::default());
        let large = Sent::new(&budget, LIMITS);
        large.send(1024).await;
        large.send(1).await;
        assert_eq!(large.end().await, Err(Incomplete::TooLarge(1024 * 1024)));

        let announced = SharedBody::new(&HeaderMap::new(), Body::from(vec![0; LIMITS.bytes + 1]));
        let refused = gather(&announced, LIMITS, &budget).await.map(drop);
        assert_eq!(refused, Err(Incomplete::TooLarge(LIMITS.bytes)));
        assert_eq!(announced.received(), 0);

        let late = Sent::new(&budget, LIMITS);
        for _ in 0..19 {
            late.send(1).await;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        settle().await;
        assert!(!late.gathered.is_finished());
        tokio::time::advance(Duration::from_secs(1)).await;
        settle().await;
        assert_eq!(late.end().await, Err(Incomplete::TooLate(20)));

        let time_per_kib = Duration::from_secs(1);
        let limits = Limits {
            time_per_kib,
            ..LIMITS
        };
        let patient = Sent::new(&budget, limits);
        for _ in 0..10 {
            patient.send(4).await;
            tokio::time::advance(Duration::from_secs(4)).await;
        }
        assert_eq!(patient.end().await, Ok(40 * 1024));
    }

    #[tokio::test(start_paused = true)]
    async fn where_there_is_no_room_the_slowest_body_gives_its_own_back() {
        let budget = Arc::new(BodyBudget::new(100 * 1024));
        let slow = Sent::new(&budget, LIMITS);
        let slowest = Sent::new(&budget, LIMITS);
        let small = Sent::new(&budget, LIMITS);
        slow.send(40).await;
        slowest.send(30).await;
        small.send(1).await;
        tokio::time::advance(Duration::from_secs(5)).await;
        let fast = Sent::new(&budget, LIMITS);
        tokio::time::advance(Duration::from_millis(10)).await;
        for _ in 0..4 {
            fast.send(14).await;
        }
        assert!(slowest.gathered.is_finished());
        assert_eq!(slowest.end().await, Err(Incomplete::TooSlow));
        assert_eq!(left(&budget), 3);
        assert_eq!(fast.end().await, Ok(56 * 1024));
        assert_eq!(slow.end().await, Ok(40 * 1024));
        assert_eq!(small.end().await, Ok(1024));
        assert_eq!(left(&budget), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_all_wait_for_room_go_one_by_one_until_there_is_some() {
        let budget = Arc::new(BodyBudget::new(100 * 1024));
        let bodies: Vec<_> = (0..10).map(|_| Sent::new(&budget, LIMITS)).collect();
        for body in &bodies {
            body.send(10).await;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        for body in &bodies {
            body.send(10).await;
        }
        let mut served = 0;
        for body in bodies {
            match body.end().await {
                Ok(length) => {
                    assert_eq!(length, 20 * 1024);
                    served += 1;
                }
                Err(incomplete) => assert_eq!(incomplete, Incomplete::TooSlow),
            }
        }
        assert_eq!(served, 5);
        assert_eq!(left(&budget), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_waits_for_those_whose_requests_run_until_its_deadline() {
        let budget = Arc::new(BodyBudget::new(100 * 1024));
        let whole = SharedBody::new(&HeaderMap::new(), Body::from(vec![0; 90 * 1024]));
        let (_, room) = gather(&whole, LIMITS, &budget).await.expect("whole");

        let late = Sent::new(&budget, LIMITS);
        late.send(20).await;
        tokio::time::advance(Duration::from_secs(20)).await;
        settle().await;
        assert_eq!(late.end().await, Err(Incomplete::NoRoom));

        let in_time = Sent::new(&budget, LIMITS);
        in_time.send(20).await;
        assert!(!in_time.gathered.is_finished());
        drop(room);
        assert_eq!(in_time.end().await, Ok(20 * 1024));
        assert_eq!(left(&budget), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_nobody_reads_any_more_gives_its_room_back() {
        let budget = Arc::new(BodyBudget::new(100 * 1024));
        let gone = Sent::new(&budget, LIMITS);
        gone.send(90).await;
        let waiting = Sent::new(&budget, LIMITS);
        waiting.send(9).await;
        gone.gathered.abort();
        settle().await;
        assert_eq!(left(&budget), 91);
        assert!(budget.lock().bodies.len() == 1);
        assert_eq!(waiting.end().await, Ok(9 * 1024));
    }
}
