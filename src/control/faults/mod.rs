//! `/_emulator/faults`: people plan failures on purpose. How a fault applies to a request is in
//! [`crate::faults`].
//!
//! `api` is the HTTP, `body` reads a fault, `schema` says for the document which ones are read,
//! `target` which operations can fail. Those of `/_emulator/` cannot.

mod api;
mod body;
mod schema;
mod target;

pub(super) use api::{FaultView, routes};
pub(crate) use body::parse as read_fault;

/// The longest delay, in milliseconds: ten minutes.
const MAX_DELAY: u32 = 600_000;
/// The most that `times` can say.
const MAX_TIMES: u32 = 1_000_000;
/// The statuses that a fault can answer with.
const LEAST_STATUS: u32 = 400;
const MOST_STATUS: u32 = 599;
/// The longest error code.
const MAX_CODE: usize = 64;
/// The longest name of a user.
const MAX_CALLER: usize = 255;
/// The longest time after which to try again, in seconds: an hour.
const MAX_RETRY_AFTER: u32 = 3600;
/// The statuses that can say when to try again.
const RETRIABLE: [u32; 2] = [429, 503];

/// The fields of a fault's body.
const KEYS: [&str; 15] = [
    "operation",
    "status",
    "code",
    "times",
    "delay_ms",
    "probability",
    "seed",
    "namespace",
    "repository",
    "tag",
    "digest",
    "caller",
    "cut",
    "cut_after_bytes",
    "retry_after_s",
];
/// Those of them that narrow a fault.
const NARROWING: [&str; 5] = ["namespace", "repository", "tag", "digest", "caller"];
