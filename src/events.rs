//! What happens in an instance, for those who listen (`/_emulator/events`, in `control::events`).
//!
//! While nobody listens, nothing is kept or even made: [`Events::publish`] looks at a flag. What
//! happens is kept in a ring, from which each listener takes it at its own pace; one that is too
//! slow is told how much it missed. After the last listener has gone, the ring is filled once more,
//! so that who comes back in time has missed nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use tokio::sync::watch;

use crate::clock::{Clock, Timestamp};
use crate::edge::RecordedRequest;
use crate::engine::Landed;
use crate::engine::pushes::LocatedPush;
use crate::faults::PlannedFault;

/// How many events are kept. With the requests that are kept anyway, they hold 2,000 recorded
/// bodies at the most, which are 8 MiB.
const KEPT: usize = 1000;
/// How many listeners there may be at once.
const MOST_LISTENERS: usize = 64;
/// How many events a listener takes at once.
const MOST_NEWS: usize = 64;

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// A request was answered.
    Request(Arc<RecordedRequest>),
    /// A tag was stored.
    Push(LocatedPush),
    /// It was decided which triggers a push fires.
    Verdicts {
        push_id: i64,
        /// How many it fires.
        fired: i64,
        /// How many it does not, as far as the push remembers them.
        passed_over: i64,
    },
    /// A firing has an outcome.
    Firing(EndedFiring),
    /// The rollout of a firing has begun or changed.
    Rollout(ChangedRollout),
    /// The clock was moved.
    Clock {
        /// The time of the machine.
        real: Timestamp,
        /// How far the emulated time is ahead of it, in microseconds.
        ahead: i64,
    },
    /// A fault was planned.
    Fault(Box<PlannedFault>),
    /// Everything went back to the start, or on to another seed or snapshot.
    Reset,
}

/// A firing with its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndedFiring {
    pub push_id: i64,
    /// The organization's name.
    pub namespace: String,
    /// The repository's name.
    pub repository: String,
    pub tag: String,
    /// The trigger's name.
    pub trigger: String,
    /// `success` or `failed`.
    pub result: &'static str,
    /// Why it failed, or what was special.
    pub detail: String,
    /// How often it was tried.
    pub tries: u32,
}

/// A firing whose rollout has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedRollout {
    pub push_id: i64,
    /// The organization's name.
    pub namespace: String,
    /// The repository's name.
    pub repository: String,
    pub tag: String,
    /// The trigger's name.
    pub trigger: String,
    /// Its workload and its rollout.
    pub landed: Landed,
}

/// The newest events of an instance, and those who listen to it.
#[derive(Debug)]
pub struct Events {
    /// Whether events are kept: spares those who have something to tell the lock.
    is_kept: AtomicBool,
    ring: Mutex<Ring>,
    /// Changes with each event.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Ring {
    /// Those that are kept, up to the newest one.
    kept: VecDeque<Arc<Event>>,
    /// The number of the next event.
    next: u64,
    /// From which number on none was left out.
    whole_since: u64,
    listeners: usize,
    /// How many events are still kept while there is no listener.
    left: usize,
}

impl Default for Events {
    /// Before anything has happened. Numbers begin at the time of the start, so that none of an
    /// earlier run is taken for one of this.
    fn default() -> Self {
        let now = Clock::real_now().as_microsecond();
        let next = u64::try_from(now).unwrap_or_default().max(1);
        Self {
            is_kept: AtomicBool::new(false),
            ring: Mutex::new(Ring {
                kept: VecDeque::new(),
                next,
                whole_since: next,
                listeners: 0,
                left: 0,
            }),
            changed: watch::Sender::new(()),
        }
    }
}

impl Events {
    /// Tells of something that happened, which is made only if somebody listens.
    pub fn publish(&self, event: impl FnOnce() -> Event) {
        if self.are_kept() {
            self.keep(event());
        }
    }

    /// Whether somebody listens, or may come back.
    pub fn are_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }

    fn keep(&self, event: Event) {
        {
            let mut ring = self.lock();
            // Meanwhile the ring may have been left.
            if !self.are_kept() {
                return;
            }
            if ring.kept.len() >= KEPT {
                ring.kept.pop_front();
            }
            ring.kept.push_back(Arc::new(event));
            ring.next += 1;
            if ring.listeners == 0 {
                ring.left -= 1;
                if ring.left == 0 {
                    self.leave(&mut ring);
                }
            }
        }
        self.changed.send_replace(());
    }

    /// Keeps nothing any more.
    fn leave(&self, ring: &mut Ring) {
        ring.kept = VecDeque::new();
        // Stands for all that nobody hears.
        ring.next += 1;
        self.is_kept.store(false, Ordering::Relaxed);
    }

    /// Listens from now on, or from after an event on; nothing where there are too many listeners.
    pub fn listen(self: &Arc<Self>, after: Option<u64>) -> Option<Listener> {
        let mut ring = self.lock();
        if ring.listeners >= MOST_LISTENERS {
            return None;
        }
        ring.listeners += 1;
        let begins = !self.are_kept();
        if begins {
            ring.whole_since = ring.next;
            self.is_kept.store(true, Ordering::Relaxed);
        }
        Some(Listener {
            heard: after.unwrap_or(ring.next - 1),
            begins,
            changed: self.changed.subscribe(),
            events: Arc::clone(self),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock()
    }
}

/// Somebody who hears of events.
#[derive(Debug)]
pub struct Listener {
    events: Arc<Events>,
    changed: watch::Receiver<()>,
    /// The number of the last event that was heard of.
    heard: u64,
    begins: bool,
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut ring = self.events.lock();
        ring.listeners -= 1;
        if ring.listeners == 0 {
            ring.left = KEPT;
        }
    }
}

/// What a listener hears at once.
#[derive(Debug)]
pub struct News {
    /// That something before it was missed.
    pub gap: Option<Gap>,
    /// Events with their numbers.
    pub events: Vec<(u64, Arc<Event>)>,
}

/// Events that a listener missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The number of the last one.
    pub number: u64,
    /// How many there were; nothing where nobody counted them.
    pub missed: Option<u64>,
}

impl Listener {
    /// Whether nobody listened before.
    pub fn begins(&self) -> bool {
        self.begins
    }

    /// The number of the last event that was heard of.
    pub fn heard(&self) -> u64 {
        self.heard
    }

    /// The next news, which are waited for. Nothing is lost where the wait is given up.
    pub async fn next(&mut self) -> News {
        loop {
            self.changed.mark_unchanged();
            let news = self.news();
            if news.gap.is_some() || !news.events.is_empty() {
                return news;
            }
            // The other end is in `events`.
            let _ = self.changed.changed().await;
        }
    }

    fn news(&mut self) -> News {
        let ring = self.events.lock();
        let oldest = ring.next - ring.kept.len() as u64;
        let missed = if self.heard >= ring.next || self.heard + 1 < ring.whole_since {
            // Of another run, or of a time when nobody listened.
            Some(None)
        } else if self.heard + 1 < oldest {
            Some(Some(oldest - 1 - self.heard))
        } else {
            None
        };
        let gap = missed.map(|missed| {
            self.heard = oldest - 1;
            Gap {
                number: self.heard,
                missed,
            }
        });
        let first = usize::try_from(self.heard + 1 - oldest).unwrap_or(usize::MAX);
        let events = (self.heard + 1..).zip(ring.kept.iter().skip(first).take(MOST_NEWS).cloned());
        let events: Vec<_> = events.collect();
        if let Some((number, _)) = events.last() {
            self.heard = *number;
        }
        News { gap, events }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn verdicts(events: &Events, push_ids: impl IntoIterator<Item = i64>) {
        for push_id in push_ids {
            events.publish(|| Event::Verdicts {
                push_id,
                fired: 0,
                passed_over: 0,
            });
        }
    }

    /// All that is to be heard at once: what was missed, and the pushes.
    fn heard(listener: &mut Listener) -> (Vec<Option<u64>>, Vec<i64>) {
        let (mut gaps, mut pushes) = (Vec::new(), Vec::new());
        while let Some(news) = listener.next().now_or_never() {
            gaps.extend(news.gap.map(|gap| gap.missed));
            for (_, event) in news.events {
                match *event {
                    Event::Verdicts { push_id, .. } => pushes.push(push_id),
                    ref other => panic!("{other:?}"),
                }
            }
        }
        (gaps, pushes)
    }

    fn listen(events: &Arc<Events>, after: Option<u64>) -> Listener {
        events.listen(after).expect("there is room")
    }

    const MOST: i64 = 1000;

    #[test]
    fn without_a_listener_nothing_is_made() {
        let events = Arc::new(Events::default());
        events.publish(|| panic!("nobody listens"));
        let mut listener = listen(&events, None);
        assert!(listener.begins());
        verdicts(&events, 1..=100);
        assert_eq!(heard(&mut listener), (vec![], (1..=100).collect()));
        let mut other = listen(&events, None);
        assert!(!other.begins());
        assert_eq!(heard(&mut other), (vec![], vec![]));
    }

    #[test]
    fn who_is_too_slow_is_told_how_much_it_missed() {
        let events = Arc::new(Events::default());
        let mut listener = listen(&events, None);
        verdicts(&events, 1..=MOST + 7);
        assert_eq!(
            heard(&mut listener),
            (vec![Some(7)], (8..=MOST + 7).collect())
        );
        assert_eq!(events.lock().kept.len(), KEPT);
        assert_eq!(i64::try_from(KEPT), Ok(MOST));
    }

    #[test]
    fn who_comes_back_goes_on_after_what_it_heard() {
        let events = Arc::new(Events::default());
        let mut listener = listen(&events, None);
        verdicts(&events, [1, 2]);
        assert_eq!(heard(&mut listener), (vec![], vec![1, 2]));
        let last = listener.heard();
        drop(listener);
        verdicts(&events, [3, 4]);

        let mut listener = listen(&events, Some(last));
        assert!(!listener.begins());
        assert_eq!(heard(&mut listener), (vec![], vec![3, 4]));
        // Of another run: whatever there is, and that there was more.
        for unknown in [0, last + 100, u64::MAX] {
            let mut listener = listen(&events, Some(unknown));
            assert_eq!(heard(&mut listener), (vec![None], vec![1, 2, 3, 4]));
        }
    }

    #[test]
    fn once_nobody_came_back_in_time_nothing_is_kept_and_the_next_one_is_told() {
        let events = Arc::new(Events::default());
        let mut listener = listen(&events, None);
        verdicts(&events, [1]);
        assert_eq!(heard(&mut listener), (vec![], vec![1]));
        let all_but_one = listener.heard() + KEPT as u64 - 1;
        drop(listener);
        verdicts(&events, 2..=MOST);
        assert!(events.are_kept());
        verdicts(&events, [MOST + 1]);
        assert!(!events.are_kept() && events.lock().kept.is_empty());
        events.publish(|| panic!("nobody listens"));

        for after in [all_but_one, all_but_one + 1] {
            let mut listener = listen(&events, Some(after));
            assert_eq!(heard(&mut listener), (vec![None], vec![]));
        }
        assert_eq!(heard(&mut listen(&events, None)), (vec![], vec![]));
    }

    #[test]
    fn there_are_as_many_listeners_as_may_be_and_who_goes_makes_room() {
        let events = Arc::new(Events::default());
        let mut all: Vec<_> = (0..MOST_LISTENERS).map(|_| listen(&events, None)).collect();
        assert!(events.listen(None).is_none());
        all.pop();
        assert!(events.listen(None).is_some());
    }

    #[tokio::test]
    async fn a_listener_waits_for_news() {
        let events = Arc::new(Events::default());
        let mut listener = listen(&events, None);
        let waiting = tokio::spawn(async move { listener.next().await.events.len() });
        tokio::task::yield_now().await;
        verdicts(&events, [1]);
        assert_eq!(waiting.await.expect("no panic"), 1);
    }
}
