//! Why a request was not served, for the log.

use crate::error::Error;
use crate::excerpt::excerpt;

/// How many characters of a reason are told.
const MAX_REASON: usize = 1000;

/// Why a request was not served, as the log tells it.
#[derive(Debug)]
pub struct Failure {
    /// The error code.
    pub code: String,
    /// The message, with what the client is not told; for a failure of ours the whole chain.
    pub reason: String,
    /// Whether the client can do nothing about it.
    pub is_ours: bool,
}

impl Failure {
    /// Of an operation whose own code for 500 is `failure`.
    pub fn of(error: &Error, failure: &'static str) -> Self {
        let is_ours = matches!(error, Error::Internal(_));
        let reason = match error {
            Error::Internal(_) => error.chain(),
            Error::LoginRefused { message, reason } if !reason.is_empty() => {
                format!("{message} {reason}")
            }
            error => error.to_string(),
        };
        // What echoes a request's own canonical form is left out.
        let reason = reason.split("canonicalRequest").next().unwrap_or_default();
        Self::new(error.code(failure), reason, is_ours)
    }

    /// With a code and a reason, which is cut; `is_ours` where the client can do nothing about it.
    pub fn new(code: &str, reason: &str, is_ours: bool) -> Self {
        Self {
            code: code.to_owned(),
            reason: excerpt(reason, MAX_REASON).into_owned(),
            is_ours,
        }
    }
}
