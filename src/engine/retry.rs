//! Firings that are tried again: the pauses in between, and what is known of them meanwhile. It is
//! in memory only, and at most one for each workload: others wait behind it.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::LONGEST_REASON;
use crate::error::one_line;
use crate::excerpt::beginning;

/// The first pause before a try is repeated, and the longest one.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A firing that failed for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// How many tries have failed.
    pub tries: u32,
    /// Why the last one did.
    pub last_answer: String,
    /// When the next one begins; none while it runs.
    pub next: Option<Instant>,
}

impl Retry {
    /// How long it is until the next try; none while it runs.
    pub fn pause(&self) -> Option<Duration> {
        let next = self.next?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// What there is to know, in one line.
    pub fn told(&self) -> String {
        let (tries, answer) = (count(self.tries), &self.last_answer);
        match self.pause() {
            Some(pause) => format!("waiting: {tries}, {answer}, next in {}", length(pause)),
            None => format!("retrying: {tries}, {answer}"),
        }
    }
}

/// The firings that are tried again, by number.
#[derive(Debug, Default)]
pub(super) struct Retries(Mutex<HashMap<i64, Retry>>);

impl Retries {
    pub(super) fn get(&self, firing: i64) -> Option<Retry> {
        self.known().get(&firing).cloned()
    }

    /// Notes that a try failed, and when the next one begins.
    pub(super) fn note(&self, firing: i64, tries: u32, reason: &str, pause: Duration) {
        let retry = Retry {
            tries,
            last_answer: beginning(&one_line(reason), LONGEST_REASON).to_owned(),
            next: Some(Instant::now() + pause),
        };
        self.known().insert(firing, retry);
    }

    /// Notes that the next try runs.
    pub(super) fn begin(&self, firing: i64) {
        if let Some(retry) = self.known().get_mut(&firing) {
            retry.next = None;
        }
    }

    /// Forgets a firing once this value goes.
    pub(super) fn forgetting(&self, firing: i64) -> Forgetting<'_> {
        Forgetting {
            retries: self,
            firing,
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<i64, Retry>> {
        self.0.lock()
    }
}

/// See [`Retries::forgetting`].
pub(super) struct Forgetting<'a> {
    retries: &'a Retries,
    firing: i64,
}

impl Drop for Forgetting<'_> {
    fn drop(&mut self) {
        self.retries.known().remove(&self.firing);
    }
}

/// A number of tries.
pub(super) fn count(tries: u32) -> String {
    match tries {
        1 => "1 try".to_owned(),
        tries => format!("{tries} tries"),
    }
}

/// A pause, as precise as it is of use.
pub(super) fn length(pause: Duration) -> String {
    if pause < Duration::from_secs(1) {
        format!("{} ms", pause.as_millis())
    } else {
        format!("{:.1} s", pause.as_secs_f64())
    }
}

/// Between half of a pause and all of it, so that those who failed together do not try together.
pub(super) fn jittered(pause: Duration) -> Duration {
    let share = getrandom::u32().unwrap_or_default() % 512;
    pause / 2 + pause * share / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_retry_tells_the_tries_the_answer_and_the_next_try() {
        let retries = Retries::default();
        let forgetting = retries.forgetting(7);
        let told = || retries.get(7).map(|retry| retry.told());
        assert_eq!(told(), None);
        let check = |tries, pause, expected: &str| {
            retries.note(7, tries, "the cluster answered 503\n", pause);
            assert_eq!(told().as_deref(), Some(expected));
        };
        check(
            1,
            Duration::from_millis(80),
            "waiting: 1 try, the cluster answered 503\\n, next in 80 ms",
        );
        check(
            3,
            Duration::from_millis(4250),
            "waiting: 3 tries, the cluster answered 503\\n, next in 4.2 s",
        );
        retries.begin(7);
        assert_eq!(
            told().as_deref(),
            Some("retrying: 3 tries, the cluster answered 503\\n")
        );
        retries.note(7, 4, &"x".repeat(10_000), Duration::ZERO);
        let length = retries.get(7).map(|retry| retry.last_answer.len());
        assert_eq!(length, Some(1000));
        drop(forgetting);
        assert_eq!(told(), None);
    }
}
