//! `/_emulator/requests`: the newest requests to the instance, for assertions on those that a
//! program sent and on their answers.
//!
//! It holds what the log tells (`edge::log`), with the size of the body, and for those who may
//! control the instance the body too, where it cannot hold a secret: never a credential. Times are
//! the machine's own, as those of the log.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{Method, StatusCode, Uri};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;

use super::clock::time_schema;
use crate::app::{AppState, Routes};
use crate::auth::Controller;
use crate::clock::Timestamp;
use crate::edge::{RecordedRequest, Requests};
use crate::error::{Error, Fault, Result};
use crate::http::{
    JsonResponse, NextPage, Operation, OperationDoc, Param, Query, QueryParams, cut_to_page,
};
use crate::namespace::NamespaceName;
use crate::nearest::unknown_operation;
use crate::registry::OPERATIONS;
use crate::schema::{number_schema, schema_of};

const REQUESTS: &str = "/_emulator/requests";

/// The name of requests for no operation.
const NO_OPERATION: &str = "-";

/// The operations of this file.
#[rustfmt::skip] // A table: one line an operation.
pub(super) fn routes() -> Routes {
    Routes::of("Emulator")
        .route(unrecorded("EmulatorListRequests", Method::GET, REQUESTS).lists(), list, list_doc)
        .route(unrecorded("EmulatorDeleteRequests", Method::DELETE, REQUESTS), delete, delete_doc)
}

/// An operation on the requests, which is not one of them: people look for those of their program.
fn unrecorded(name: &'static str, method: Method, path: &'static str) -> Operation {
    Operation::new(name, method, path).unrecorded()
}

fn list_doc() -> OperationDoc {
    OperationDoc::new("Lists the last 1,000 requests, newest first.")
        .remarks(
            "Includes requests to the registry; without secrets. Those who may control the \
             instance also see `body` if it was JSON: the first 4 KiB, with `***` in place of \
             values that look secret. Bodies of logins, tokens, users, seeds, snapshots and the \
             registry are never recorded.",
        )
        .query(Filter::params())
        .answers::<Vec<RequestView>>(StatusCode::OK)
        .in_pages(number_schema())
}

/// The newest requests first, in the order in which they were answered.
async fn list(
    State(app): State<AppState>,
    controller: Result<Controller>,
    uri: Uri,
    query: Query,
) -> Result<Response> {
    let shows_bodies = controller.is_ok();
    let criteria = query.parameters();
    let (limit, before) = (criteria.limit()?, criteria.number("marker")?);
    let filter = Filter::parse(&criteria, &app.operations)?;
    let mut page = filter.select(&app.requests);
    page.retain(|request| before.is_none_or(|before| request.number < before));
    let next = cut_to_page(&mut page, limit, |last| last.number);
    let views: Vec<_> = page
        .iter()
        .map(|request| {
            let view = RequestView::from(&**request);
            if shows_bodies {
                view
            } else {
                view.without_body()
            }
        })
        .collect();
    Ok(NextPage::of(&uri, next).on(JsonResponse(StatusCode::OK, views)))
}

fn delete_doc() -> OperationDoc {
    OperationDoc::new("Removes all recorded requests.")
        .answers_nothing()
        .needs_control()
}

async fn delete(State(app): State<AppState>, _: Controller) -> StatusCode {
    app.requests.clear();
    StatusCode::NO_CONTENT
}

/// Which requests are asked for.
#[derive(Debug)]
pub(crate) struct Filter {
    operation: Option<&'static str>,
    status: Option<Status>,
    namespace: Option<NamespaceName>,
    since: Option<Timestamp>,
}

impl Filter {
    fn parse(criteria: &QueryParams<'_>, operations: &[Operation]) -> Result<Self> {
        Self::of(|name| criteria.get(name), operations)
    }

    /// Reads the values of the parameters that are there.
    pub(crate) fn of<'a>(
        get: impl Fn(&str) -> Option<&'a str>,
        operations: &[Operation],
    ) -> Result<Self> {
        let since = get("since").map(|text| {
            let rule = "must be an RFC 3339 time, like 2027-01-01T00:00:00Z";
            text.parse::<jiff::Timestamp>()
                .map(|time| Timestamp::from_microseconds(time.as_microsecond()))
                .map_err(|_| Error::fault(Fault::Query, "since", rule))
        });
        Ok(Self {
            operation: get("operation")
                .map(|name| operation(name, operations))
                .transpose()?,
            status: get("status").map(Status::parse).transpose()?,
            namespace: get("namespace").map(NamespaceName::parse).transpose()?,
            since: since.transpose()?,
        })
    }

    /// The parameters that [`Self::parse`] takes.
    fn params() -> [Param; 4] {
        let operation = json_schema!({"type": "string", "examples": ["CreateTrigger"]});
        let status = json_schema!({
            "type": "string",
            "pattern": "^(?:0|[1-5]xx|[1-5][0-9]{2})$",
            "examples": ["4xx"],
        });
        let namespace = "Only requests whose path or query names this organization.";
        [
            Param::new(
                "operation",
                "Only requests of this operation, which may be one of the registry; `-` means \
                 requests without an operation.",
                operation,
            )
            .refused(Fault::Query),
            Param::new(
                "status",
                "Only requests with this status or class of statuses; 0 if a fault cut the \
                 connection.",
                status,
            )
            .refused(Fault::Query),
            Param::new("namespace", namespace, schema_of::<NamespaceName>())
                .refused(Fault::NamespaceName),
            Param::new(
                "since",
                "Only requests that arrived at this time or later.",
                time_schema(),
            )
            .refused(Fault::Query),
        ]
    }

    /// Those of the recorded requests, newest first.
    pub(crate) fn select(&self, requests: &Requests) -> Vec<Arc<RecordedRequest>> {
        let mut recorded = requests.newest_first();
        recorded.retain(|request| self.admits(request));
        recorded
    }

    fn admits(&self, request: &RecordedRequest) -> bool {
        let Self {
            operation,
            status,
            namespace,
            since,
        } = self;
        operation.is_none_or(|operation| operation == request.operation)
            && status.is_none_or(|status| status.admits(request.status))
            && since.is_none_or(|since| request.time >= since)
            && namespace.as_ref().is_none_or(|name| {
                let found = request.namespace();
                found.is_some_and(|found| found == name.as_str())
            })
    }
}

/// The operation that a name means. That nobody asked for one that there is not proves nothing.
fn operation(name: &str, operations: &[Operation]) -> Result<&'static str> {
    let table = operations.iter().map(|operation| operation.name);
    let registry = OPERATIONS.iter().map(|operation| operation.name);
    let mut names = table.chain(registry).chain([NO_OPERATION]);
    if let Some(known) = names.clone().find(|known| *known == name) {
        return Ok(known);
    }
    let rule = unknown_operation(name, &mut names);
    Err(Error::fault(Fault::Query, "operation", rule))
}

/// Which statuses are asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Status {
    Exactly(u16),
    /// By the first digit.
    Class(u16),
}

impl Status {
    /// Reads `404` or `4xx`; 0 stands for a connection that was cut.
    fn parse(text: &str) -> Result<Self> {
        let status = match (text.strip_suffix("xx"), text) {
            (Some(class), _) => digits(class)
                .filter(|class| (1..=5).contains(class))
                .map(Self::Class),
            (None, "0") => Some(Self::Exactly(0)),
            (None, exact) => digits(exact)
                .filter(|status| (100..=599).contains(status))
                .map(Self::Exactly),
        };
        let rule = "must be a status like 404, or a class like 4xx";
        status.ok_or_else(|| Error::fault(Fault::Query, "status", rule))
    }

    fn admits(self, status: u16) -> bool {
        match self {
            Self::Exactly(wanted) => status == wanted,
            Self::Class(class) => status / 100 == class,
        }
    }
}

/// A number without a sign.
fn digits(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[derive(Serialize, JsonSchema)]
pub(super) struct RequestView<'a> {
    operation: &'a str,
    method: &'a str,
    path: &'a str,
    caller: &'a str,
    /// 0 if a fault cut the connection.
    status: u16,
    code: Option<&'a str>,
    message: Option<&'a str>,
    body_bytes: u64,
    /// For those who may control the instance, if it was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    milliseconds: f64,
    time: String,
    request_id: &'a str,
}

impl RequestView<'_> {
    fn without_body(self) -> Self {
        Self { body: None, ..self }
    }
}

impl<'a> From<&'a RecordedRequest> for RequestView<'a> {
    fn from(request: &'a RecordedRequest) -> Self {
        Self {
            operation: request.operation,
            method: request.method.as_str(),
            path: &request.path,
            caller: &request.caller,
            status: request.status,
            code: request.code.as_deref(),
            message: request.message.as_deref(),
            body_bytes: request.body_bytes,
            body: request.body.as_deref(),
            milliseconds: (request.took.as_secs_f64() * 1e6).round() / 1e3,
            time: request.time.to_string(),
            request_id: request.id.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_number_or_a_class() {
        let check = |text: &str, expected: Option<Status>| {
            assert_eq!(Status::parse(text).ok(), expected, "{text}");
        };
        check("404", Some(Status::Exactly(404)));
        check("0", Some(Status::Exactly(0)));
        check("4xx", Some(Status::Class(4)));
        check("5xx", Some(Status::Class(5)));
        for text in [
            "6xx", "0xx", "xx", "+4xx", "4x", "99", "600", "+404", "-1", "x", "44xx",
        ] {
            check(text, None);
        }
        assert!(Status::Class(4).admits(499) && !Status::Class(4).admits(500));
        assert!(Status::Exactly(404).admits(404) && !Status::Exactly(404).admits(400));
    }
}
