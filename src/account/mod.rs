//! The account as a whole: its quota, what it stores and what was pulled from it, and whether SWR
//! may deploy for it (the agency).
//!
//! `api` is its HTTP, `store` its SQL. Who the accounts are is the business of `auth`.

mod api;
pub mod store;

use crate::clock::Day;
use crate::error::{Error, Result};

pub use api::routes;

/// The days that a report covers, today included.
const REPORT_DAYS: i64 = 30;

/// Why nothing is deployed for an account where the agency is asked for.
pub const NO_AGENCY: &str =
    "the account has not delegated CCE and CCI to SWR; delegate them with POST /v2/manage/agency";

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceType {
    /// `store`: bytes stored at the end of each day.
    Store,
    /// `downflow`: bytes pulled on each day.
    Downflow,
}

impl ResourceType {
    /// Reads the two segments that name a report. There are daily ones only.
    pub fn of_report(resource_type: &str, frequency: &str) -> Result<Self> {
        let resource_type = match resource_type {
            "store" => Self::Store,
            "downflow" => Self::Downflow,
            _ => {
                return Err(Error::invalid("resource_type", "must be store or downflow"));
            }
        };
        match frequency {
            "daily" => Ok(resource_type),
            _ => Err(Error::invalid("frequency", "must be daily")),
        }
    }
}

/// What an account has in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Holdings {
    /// Organizations.
    pub namespaces: i64,
    /// Repositories in them.
    pub repositories: i64,
    /// Tags in these, as a repository counts its images.
    pub images: i64,
}

/// An amount that belongs to a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct DayBytes {
    /// Which day.
    pub day: Day,
    /// How many bytes.
    pub bytes: i64,
}

/// What was stored at the end of each day: what was written down of it, else what has come until
/// then and is still there.
fn stored_by_day(
    days: impl Iterator<Item = Day>,
    snapshots: &[DayBytes],
    growth: &[DayBytes],
) -> Vec<DayBytes> {
    let at_end_of = |day: Day| {
        let known = snapshots.iter().find(|entry| entry.day == day);
        known.map_or_else(
            || {
                let until = growth.iter().filter(|entry| entry.day <= day);
                until.map(|entry| entry.bytes).sum()
            },
            |entry| entry.bytes,
        )
    };
    days.map(|day| DayBytes {
        day,
        bytes: at_end_of(day),
    })
    .collect()
}

/// The amount of each day, where some days have none.
fn filled(days: impl Iterator<Item = Day>, amounts: &[DayBytes]) -> Vec<DayBytes> {
    let of = |day: Day| amounts.iter().find(|entry| entry.day == day);
    days.map(|day| of(day).copied().unwrap_or(DayBytes { day, bytes: 0 }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn day(number: i64) -> Day {
        Timestamp::from_microseconds(0)
            .plus_hours(24 * number)
            .day()
    }

    fn amount(number: i64, bytes: i64) -> DayBytes {
        DayBytes {
            day: day(number),
            bytes,
        }
    }

    #[test]
    fn a_report_has_a_known_type_and_is_daily() {
        let check = |resource_type: &str, frequency: &str, expected: Result<_, &str>| {
            let read = ResourceType::of_report(resource_type, frequency);
            let read = read.map_err(|error| error.to_string());
            assert_eq!(read, expected.map_err(str::to_owned));
        };
        check("store", "daily", Ok(ResourceType::Store));
        check("downflow", "daily", Ok(ResourceType::Downflow));
        check(
            "Store",
            "daily",
            Err("resource_type: must be store or downflow"),
        );
        check("", "daily", Err("resource_type: must be store or downflow"));
        check("store", "monthly", Err("frequency: must be daily"));
        check(
            "upflow",
            "hourly",
            Err("resource_type: must be store or downflow"),
        );
    }

    #[test]
    fn what_is_stored_adds_up_and_what_was_written_down_holds() {
        let growth = [amount(2, 10), amount(4, 1)];
        let stored = stored_by_day(day(1).through(day(5)), &[], &growth);
        let expected = [(1, 0), (2, 10), (3, 10), (4, 11), (5, 11)];
        assert_eq!(stored, expected.map(|(day, bytes)| amount(day, bytes)));

        let snapshots = [amount(2, 90), amount(3, 95)];
        let stored = stored_by_day(day(1).through(day(4)), &snapshots, &growth);
        let expected = [(1, 0), (2, 90), (3, 95), (4, 11)];
        assert_eq!(stored, expected.map(|(day, bytes)| amount(day, bytes)));
    }

    #[test]
    fn a_day_without_an_amount_has_none() {
        let filled = filled(day(1).through(day(3)), &[amount(0, 5), amount(2, 7)]);
        assert_eq!(filled, [amount(1, 0), amount(2, 7), amount(3, 0)]);
    }
}
