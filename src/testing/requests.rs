//! The requests that an instance answered.

use std::time::Duration;

use super::Error;
use crate::control::RequestFilter;
use crate::edge::RecordedRequest;
use crate::emulator::Emulator;

/// Which of the recorded requests a test asks for. A text alone is the name of an operation.
#[derive(Debug, Clone, Default)]
#[must_use = "it only says which requests are asked for"]
pub struct Requests {
    operation: Option<String>,
    status: Option<String>,
    namespace: Option<String>,
}

impl Requests {
    /// All of them.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those of an operation, which may be one of the registry; `-` means requests without an
    /// operation.
    pub fn of(operation: &str) -> Self {
        Self {
            operation: Some(operation.to_owned()),
            ..Self::default()
        }
    }

    /// Only those with this status, like `404`, or class of statuses, like `4xx`; `0` where a fault
    /// cut the connection.
    pub fn status(mut self, status: &str) -> Self {
        self.status = Some(status.to_owned());
        self
    }

    /// Only those whose path or query names this organization.
    pub fn namespace(mut self, name: &str) -> Self {
        self.namespace = Some(name.to_owned());
        self
    }
}

impl From<&str> for Requests {
    fn from(operation: &str) -> Self {
        Self::of(operation)
    }
}

/// A request that was answered, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The operation's name, or `-`.
    pub operation: String,
    /// The HTTP method.
    pub method: String,
    /// With the query.
    pub path: String,
    /// The user's name, or `-`.
    pub caller: String,
    /// The status of the answer; 0 where a fault cut the connection.
    pub status: u16,
    /// The error code, where there was an error.
    pub code: Option<String>,
    /// The reason, where there was an error.
    pub message: Option<String>,
    /// How many bytes of the body arrived.
    pub body_bytes: u64,
    /// The JSON of the body, where the operation takes no secrets: the first 4 KiB, with `***` in
    /// place of values whose names look secret.
    pub body: Option<String>,
    /// How long the answer took.
    pub took: Duration,
    /// When it arrived (RFC 3339), by the machine's clock.
    pub time: String,
    /// The id that its answer has too.
    pub request_id: String,
}

impl From<&RecordedRequest> for Request {
    fn from(request: &RecordedRequest) -> Self {
        Self {
            operation: request.operation.to_owned(),
            method: request.method.to_string(),
            path: request.path.clone(),
            caller: request.caller.clone(),
            status: request.status,
            code: request.code.clone(),
            message: request.message.clone(),
            body_bytes: request.body_bytes,
            body: request.body.as_deref().map(str::to_owned),
            took: request.took,
            time: request.time.to_string(),
            request_id: request.id.as_str().to_owned(),
        }
    }
}

impl Emulator {
    /// The last 1,000 requests, newest first, or those of them that are asked for. An operation that
    /// does not exist is an error, so that a typo never looks like a program that asked for nothing.
    pub fn requests(&self, which: impl Into<Requests>) -> Result<Vec<Request>, Error> {
        let app = self.app();
        let which = which.into();
        let get = |name: &str| match name {
            "operation" => which.operation.as_deref(),
            "status" => which.status.as_deref(),
            "namespace" => which.namespace.as_deref(),
            _ => None,
        };
        let filter = RequestFilter::of(get, &app.operations)?;
        let found = filter.select(&app.requests);
        Ok(found
            .iter()
            .map(|request| Request::from(&**request))
            .collect())
    }
}
