//! Sharing: a private image that another account may pull (API reference, image sharing).
//!
//! `api` is its HTTP, `store` its SQL. Lists of shared repositories are the chapter `repository`'s.

mod api;
pub mod store;

use std::sync::Arc;

use jiff::Timestamp;

use crate::clock::Moment;
use crate::error::{Error, Result};

pub use api::routes;

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 1000;

/// Until when something is shared: validity counts by day, so it ends with the deadline's day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// `forever`
    Forever,
    /// Until the end of this moment's day (UTC).
    Until {
        /// As it was given.
        deadline: Moment,
        /// The first moment of the next day.
        ends_at: Moment,
    },
}

impl Deadline {
    /// Reads `forever` or a time in UTC.
    pub fn parse(text: &str) -> Result<Self> {
        if text == "forever" {
            return Ok(Self::Forever);
        }
        let rule = "must be forever, or a time like 2026-10-01T16:00:00.000Z";
        let wrong = |_| Error::invalid("deadline", rule);
        let deadline: Timestamp = text.parse().map_err(wrong)?;
        let deadline = Moment::from_microseconds(deadline.as_microsecond());
        Ok(Self::Until {
            deadline,
            ends_at: deadline.next_day(),
        })
    }

    /// Deadline and end, as the database holds them.
    fn columns(self) -> (Option<Moment>, Option<Moment>) {
        match self {
            Self::Forever => (None, None),
            Self::Until { deadline, ends_at } => (Some(deadline), Some(ends_at)),
        }
    }
}

/// The accounts that a repository is shared with, and when that ends.
#[derive(Debug, Clone, Default)]
pub struct Shares(Arc<[(String, Option<i64>)]>);

impl Shares {
    /// From the JSON array that SQL made of the rows: `[["account id", microseconds or null]]`.
    pub fn from_json(json: &str) -> Result<Self> {
        let rows: Vec<_> = serde_json::from_str(json).map_err(Error::internal)?;
        Ok(Self(rows.into()))
    }

    /// Whether an account may pull now.
    pub fn reach(&self, account_id: &str, now: Moment) -> bool {
        let mut shares = self.0.iter();
        shares.any(|(id, ends_at)| {
            id == account_id && ends_at.is_none_or(|end| now < Moment::from_microseconds(end))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_ends_with_the_day_of_its_deadline() {
        let check = |text: &str, expected: &str| {
            let Ok(Deadline::Until { ends_at, .. }) = Deadline::parse(text) else {
                panic!("{text}")
            };
            assert_eq!(ends_at.to_string(), expected, "{text}");
        };
        check("2018-10-01T16:00:00.000Z", "2018-10-02T00:00:00Z");
        check("2018-10-01T00:00:00Z", "2018-10-02T00:00:00Z");
        check("2018-12-31T23:59:59.999999Z", "2019-01-01T00:00:00Z");
        assert_eq!(Deadline::parse("forever").ok(), Some(Deadline::Forever));
        for text in [
            "",
            "Forever",
            "2018-10-01",
            "tomorrow",
            "2018-13-01T00:00:00Z",
        ] {
            assert!(Deadline::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_the_accounts_that_are_named_are_reached_and_only_in_time() {
        let shares = Shares::from_json(r#"[["a",null],["b",1000]]"#).expect("legal");
        let reach = |account, now| shares.reach(account, Moment::from_microseconds(now));
        assert!(reach("a", i64::MAX));
        assert!(reach("b", 999));
        assert!(!reach("b", 1000));
        assert!(!reach("c", 0));
    }
}
