//! Sharing: a private image that another account may pull (API reference, image sharing).
//!
//! `api` is its HTTP, `store` its SQL. Lists of shared repositories are the chapter `repository`'s.

mod api;
pub mod store;

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::clock::Timestamp;
use crate::error::{Error, Result};

pub use api::{read_terms, routes};

/// How many accounts an image can be shared with (user guide).
pub const MOST_ACCOUNTS: usize = 500;
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
        deadline: Timestamp,
        /// The first moment of the next day.
        ends_at: Timestamp,
    },
}

impl Deadline {
    /// `forever`, or a time; leap days and times of other zones are read as well.
    const PATTERN: &str = "^(?:forever|[12][0-9]{3}-\
        (?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])\
        |(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)\
        T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?Z)$";

    /// Reads `forever` or a time in UTC.
    pub fn parse(text: &str) -> Result<Self> {
        if text == "forever" {
            return Ok(Self::Forever);
        }
        let rule = "must be forever, or a time like 2026-10-01T16:00:00.000Z";
        let wrong = |_| Error::invalid("deadline", rule);
        let deadline: jiff::Timestamp = text.parse().map_err(wrong)?;
        let deadline = Timestamp::from_microseconds(deadline.as_microsecond());
        Ok(Self::Until {
            deadline,
            ends_at: deadline.next_day(),
        })
    }

    /// Deadline and end, as the database holds them.
    fn columns(self) -> (Option<Timestamp>, Option<Timestamp>) {
        match self {
            Self::Forever => (None, None),
            Self::Until { deadline, ends_at } => (Some(deadline), Some(ends_at)),
        }
    }
}

impl JsonSchema for Deadline {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Deadline".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": Self::PATTERN,
            "examples": ["forever"],
            "description": "`forever`, or a time in UTC; the share ends at the end of that day.",
        })
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
    pub fn reach(&self, account_id: &str, now: Timestamp) -> bool {
        let mut shares = self.0.iter();
        shares.any(|(id, ends_at)| {
            id == account_id && ends_at.is_none_or(|end| now < Timestamp::from_microseconds(end))
        })
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

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
    fn what_the_document_calls_a_deadline_is_one() {
        let promised = Regex::new(Deadline::PATTERN).expect("a valid expression");
        let check = |text: &str, is_promised: bool| {
            assert_eq!(promised.is_match(text), is_promised, "{text}");
            assert!(!is_promised || Deadline::parse(text).is_ok(), "{text}");
        };
        check("forever", true);
        check("1000-01-01T00:00:00Z", true);
        check("2999-12-31T23:59:59.999999Z", true);
        for month in 1..=12 {
            for day in 1..=31 {
                let text = format!("2026-{month:02}-{day:02}T16:00:00.000Z");
                check(&text, Deadline::parse(&text).is_ok());
            }
        }
        check("2026-10-01", false);
        check("2026-10-01T24:00:00Z", false);
        check("2026-10-01T16:60:00Z", false);
        check("2026-13-01T16:00:00Z", false);
        check("forever ", false);
    }

    #[test]
    fn only_the_accounts_that_are_named_are_reached_and_only_in_time() {
        let shares = Shares::from_json(r#"[["a",null],["b",1000]]"#).expect("legal");
        let reach = |account, now| shares.reach(account, Timestamp::from_microseconds(now));
        assert!(reach("a", i64::MAX));
        assert!(reach("b", 999));
        assert!(!reach("b", 1000));
        assert!(!reach("c", 0));
    }
}
