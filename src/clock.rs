//! The one clock of an instance. Nothing else in the crate asks for the time.
//!
//! Two times live here: the emulated one, which stamps rows and ages tokens and can be moved, and
//! the real one, which judges signatures, dates the lines of the log and says what may be
//! collected. Request deadlines use the runtime's monotonic timer, not
//! this.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::tz::Offset;
use jiff::{SignedDuration, Span, SpanRelativeTo};

/// How far the emulated time may be from the real one, in microseconds: a hundred years.
const FURTHEST: u64 = 36_525 * 24 * 3600 * 1_000_000;

/// Where an instance reads the time. All clones show the same.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// How far the emulated time is ahead of the real one, in microseconds.
    ahead: Arc<AtomicI64>,
}

impl Clock {
    /// The time that the emulated service believes in: `created_at`, expiry of tokens.
    pub fn now(&self) -> Timestamp {
        let real = Clock::real_now().as_microsecond();
        Timestamp(real.saturating_add(self.ahead.load(Ordering::Acquire)))
    }

    /// The time of the machine, for signatures (`X-Sdk-Date`) and lines of the log.
    pub fn real_now() -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    /// Lets the emulated time go on from this moment.
    pub fn set(&self, moment: Timestamp) {
        let ahead = moment.0.saturating_sub(Clock::real_now().as_microsecond());
        self.ahead.store(ahead, Ordering::Release);
    }

    /// Moves the emulated time forwards, or backwards by a negative duration. Where that is out of
    /// reach, it does nothing and says `false`.
    #[must_use]
    pub fn advance(&self, by: SignedDuration) -> bool {
        let real = Clock::real_now().as_microsecond();
        let moved = self
            .ahead
            .try_update(Ordering::AcqRel, Ordering::Acquire, |ahead| {
                let ahead = ahead.checked_add(i64::try_from(by.as_micros()).ok()?)?;
                is_within_reach(real, real.checked_add(ahead)?).then_some(ahead)
            });
        moved.is_ok()
    }

    /// Whether the emulated time may be set to a moment: from 1970 on, and no more than a hundred
    /// years from the real one.
    pub fn reaches(moment: Timestamp) -> bool {
        is_within_reach(Clock::real_now().as_microsecond(), moment.0)
    }

    /// How far the emulated time is ahead of the real one, in microseconds.
    pub fn ahead_microseconds(&self) -> i64 {
        self.ahead.load(Ordering::Acquire)
    }

    /// Lets the emulated time be the real one again.
    pub fn reset(&self) {
        self.ahead.store(0, Ordering::Release);
    }
}

fn is_within_reach(real: i64, emulated: i64) -> bool {
    emulated >= 0 && emulated.abs_diff(real) <= FURTHEST
}

/// Reads a duration in the one form that settings, queries and bodies take: `90s`, `1h30m`, `-2w`,
/// or ISO 8601's `PT90S`. A day has 24 hours; months and years have no fixed length.
pub fn parse_duration(text: &str) -> Option<SignedDuration> {
    let span: Span = text.parse().ok()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
}

/// A point in time in microseconds since 1970 (UTC), the precision SWR answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, sqlx::Type)]
#[sqlx(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment that is `hours` later.
    #[must_use]
    pub fn plus_hours(self, hours: i64) -> Self {
        self.plus_seconds(hours.saturating_mul(3600))
    }

    /// The moment that is `seconds` later.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// The first moment of the next day (UTC).
    #[must_use]
    pub fn next_day(self) -> Self {
        const DAY: i64 = 24 * 3600 * 1_000_000;
        Self((self.0.div_euclid(DAY) + 1).saturating_mul(DAY))
    }

    /// The moment that is `microseconds` later.
    #[must_use]
    pub fn plus_microseconds(self, microseconds: i64) -> Self {
        Self(self.0.saturating_add(microseconds))
    }

    /// A point in time by its microseconds since 1970.
    pub const fn from_microseconds(microseconds: i64) -> Self {
        Self(microseconds)
    }

    /// Microseconds since 1970, as the database holds it.
    pub fn as_microseconds(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, as a JWT holds it.
    pub fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The day that it is in.
    pub fn day(self) -> Day {
        Day(self.as_seconds().div_euclid(86_400))
    }

    /// As IAM writes it: always six digits of a second.
    pub fn with_microseconds(self) -> String {
        format!("{:.6}", self.timestamp())
    }

    fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX)
    }
}

/// As SWR writes it (API reference, dates): RFC 3339 in UTC, trailing zeros of the second dropped.
impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.timestamp())
    }
}

/// A day (UTC) by its number since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct Day(i64);

impl Day {
    /// The day that is `days` earlier.
    #[must_use]
    pub fn back(self, days: i64) -> Self {
        Self(self.0.saturating_sub(days))
    }

    /// This day and those after it, until `last`.
    pub fn through(self, last: Self) -> impl Iterator<Item = Self> {
        (self.0..=last.0).map(Self)
    }
}

/// As SWR's reports write it: `2024-09-01`.
impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = Timestamp(0).plus_hours(self.0.saturating_mul(24));
        write!(f, "{}", Offset::UTC.to_datetime(start.timestamp()).date())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_in_utc() {
        let check = |microseconds, date: &str| {
            assert_eq!(Timestamp(microseconds).day().to_string(), date);
        };
        check(1_725_148_800_000_000, "2024-09-01");
        check(1_725_148_799_999_999, "2024-08-31");
        check(0, "1970-01-01");
        check(-1, "1969-12-31");
        let day = Timestamp(1_725_148_800_000_000).day();
        let days: Vec<_> = day
            .back(1)
            .through(day)
            .map(|day| day.to_string())
            .collect();
        assert_eq!(days, ["2024-08-31", "2024-09-01"]);
    }

    #[test]
    fn a_moment_drops_trailing_zeros_for_swr_and_keeps_them_for_iam() {
        let check = |microseconds, swr: &str, iam: &str| {
            let moment = Timestamp(microseconds);
            assert_eq!(moment.to_string(), swr);
            assert_eq!(moment.with_microseconds(), iam);
        };
        check(
            1_587_002_695_922_236,
            "2020-04-16T02:04:55.922236Z",
            "2020-04-16T02:04:55.922236Z",
        );
        check(
            1_587_089_463_531_830,
            "2020-04-17T02:11:03.53183Z",
            "2020-04-17T02:11:03.531830Z",
        );
        check(
            1_587_089_463_000_000,
            "2020-04-17T02:11:03Z",
            "2020-04-17T02:11:03.000000Z",
        );
    }

    #[test]
    fn the_emulated_time_goes_on_from_where_it_was_set() {
        let clock = Clock::default();
        let other = clock.clone();
        let then = clock.now().plus_hours(24 * 400);
        clock.set(then);
        assert!(other.now() >= then);
        assert!(Clock::real_now().as_microsecond() < then.0);
        clock.reset();
        assert!(other.now() < then);
    }

    #[test]
    fn the_emulated_time_stays_within_a_hundred_years_and_after_1970() {
        const YEAR: i64 = 366 * 24 * 3600;
        let clock = Clock::default();
        let advance = |seconds| clock.advance(SignedDuration::from_secs(seconds));
        for seconds in [101 * YEAR, -101 * YEAR, -70 * YEAR, i64::MAX, i64::MIN] {
            assert!(!advance(seconds), "{seconds}");
            assert!(
                !Clock::reaches(clock.now().plus_seconds(seconds)),
                "{seconds}"
            );
        }
        assert_eq!(clock.ahead_microseconds(), 0);

        assert!(Clock::reaches(Timestamp(0)) && !Clock::reaches(Timestamp(-1)));
        assert!(advance(60 * YEAR) && !advance(60 * YEAR));
        assert!(advance(-61 * YEAR));
        assert_eq!(clock.ahead_microseconds(), -YEAR * 1_000_000);
    }

    #[test]
    fn a_duration_has_units_of_a_fixed_length() {
        let check = |text: &str, expected: Option<i64>| {
            let found = parse_duration(text).map(|duration| duration.as_millis());
            assert_eq!(found, expected.map(i128::from), "{text}");
        };
        check("500ms", Some(500));
        check("90s", Some(90_000));
        check("15m", Some(900_000));
        check("1h30m", Some(5_400_000));
        check("40d", Some(3_456_000_000));
        check("2w", Some(1_209_600_000));
        check("0s", Some(0));
        check("-40d", Some(-3_456_000_000));
        check("PT90S", Some(90_000));
        check("", None);
        check("-", None);
        check("d", None);
        check("40", None);
        check("--40d", None);
        check("1mo", None);
        check("40y", None);
        check("99999999999999999999s", None);
    }
}
