//! `/_emulator/requests`: the newest requests to the instance, for assertions on those that a
//! program sent and on their answers.
//!
//! It holds what the log tells (`edge::log`), with the size of the body: never a body, never a
//! credential. Times are the machine's own, as those of the log.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::response::Response;
use http::{Method, StatusCode, Uri};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use schemars::{JsonSchema, json_schema};
use serde::Serialize;

use super::clock::time_schema;
use super::number_schema;
use crate::app::{AppState, Routes};
use crate::auth::Controller;
use crate::clock::Moment;
use crate::edge::RequestLog;
use crate::error::{Error, Fault, Result};
use crate::excerpt::beginning;
use crate::http::{
    Criteria, JsonResponse, NextPage, Operation, OperationDoc, Param, Query, cut_to_page,
};
use crate::namespace::NamespaceName;
use crate::nearest::unknown_operation;
use crate::registry::OPERATIONS;
use crate::schema::schema_of;

const REQUESTS: &str = "/_emulator/requests";

/// How many requests are kept.
const KEPT: usize = 1000;
/// How many characters of a text are kept, and of a user's name or a code.
const MAX_TEXT: usize = 512;
const MAX_NAME: usize = 64;
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
    OperationDoc::new("Lists the newest 1,000 requests, newest first.")
        .remarks("Those to the registry too; without bodies and secrets.")
        .query(Filter::params())
        .answers::<Vec<RequestView>>(StatusCode::OK)
        .in_pages(number_schema())
}

/// The newest requests first, in the order in which they were answered.
async fn list(State(app): State<AppState>, uri: Uri, query: Query) -> Result<Response> {
    let criteria = query.parameters();
    let (limit, before) = (criteria.limit()?, criteria.number("marker")?);
    let filter = Filter::parse(&criteria)?;
    let recorded = app.requests.newest_first();
    let mut page: Vec<_> = recorded
        .iter()
        .filter(|request| before.is_none_or(|before| request.number < before))
        .filter(|request| filter.admits(request))
        .collect();
    let next = cut_to_page(&mut page, limit, |last| last.number);
    let views: Vec<_> = page
        .iter()
        .map(|request| RequestView::from(&***request))
        .collect();
    Ok(NextPage::of(&uri, next).on(JsonResponse(StatusCode::OK, views)))
}

fn delete_doc() -> OperationDoc {
    OperationDoc::new("Forgets all requests until now.")
        .answers_nothing()
        .needs_control()
}

async fn delete(State(app): State<AppState>, _: Controller) -> StatusCode {
    app.requests.clear();
    StatusCode::NO_CONTENT
}

/// The newest requests of an instance.
#[derive(Debug, Default)]
pub struct Requests {
    kept: Mutex<VecDeque<Arc<RecordedRequest>>>,
    recorded: AtomicI64,
}

impl Requests {
    /// Keeps a request in a few words, and forgets the oldest one where there are enough.
    pub fn record(&self, log: &RequestLog<'_>, milliseconds: f64, time: Moment) {
        let mut request = RecordedRequest::new(log, milliseconds, time);
        let oldest = {
            let mut requests = self.lock();
            // Under the lock, so that the list is in the order of the numbers.
            request.number = self.recorded.fetch_add(1, Ordering::Relaxed);
            let request = Arc::new(request);
            let is_full = requests.len() >= KEPT;
            let oldest = if is_full { requests.pop_front() } else { None };
            requests.push_back(request);
            oldest
        };
        // Freed only now, so that nobody waits for it.
        drop(oldest);
    }

    /// How many were recorded so far.
    pub fn count(&self) -> i64 {
        self.recorded.load(Ordering::Relaxed)
    }

    fn newest_first(&self) -> Vec<Arc<RecordedRequest>> {
        self.lock().iter().rev().cloned().collect()
    }

    fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<RecordedRequest>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that was answered. Each text is bounded.
#[derive(Debug)]
struct RecordedRequest {
    /// Later ones have larger ones.
    number: i64,
    operation: &'static str,
    method: Method,
    /// With the query, secrets masked.
    path: String,
    caller: String,
    status: u16,
    code: Option<String>,
    message: Option<String>,
    body_bytes: u64,
    milliseconds: f64,
    /// When it arrived.
    time: Moment,
    id: String,
}

impl RecordedRequest {
    fn new(log: &RequestLog<'_>, milliseconds: f64, time: Moment) -> Self {
        let failure = log.failure.as_ref();
        Self {
            number: 0,
            operation: log.operation,
            method: log.short_method(),
            path: log.short_path().into_owned(),
            caller: beginning(log.caller, MAX_NAME).to_owned(),
            status: log.status,
            code: failure.map(|failure| beginning(&failure.code, MAX_NAME).to_owned()),
            message: failure.map(|failure| beginning(&failure.reason, MAX_TEXT).to_owned()),
            body_bytes: log.body_bytes,
            milliseconds,
            time,
            id: log.request_id.to_owned(),
        }
    }

    /// The organization that the path names, or else the query.
    fn namespace(&self) -> Option<Cow<'_, str>> {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let management = path
            .strip_prefix("/v2/manage/")
            .or_else(|| path.strip_prefix("/v3/manage/"));
        let named = match management {
            Some(rest) => rest.strip_prefix("namespaces/"),
            None => path
                .strip_prefix("/v2/")
                .filter(|image| image.contains('/')),
        };
        if let Some(named) = named {
            let segment = named.split('/').next().unwrap_or_default();
            return Some(percent_decode_str(segment).decode_utf8_lossy());
        }
        form_urlencoded::parse(query.as_bytes())
            .find_map(|(name, value)| (name == "namespace").then_some(value))
    }
}

/// Which requests are asked for.
#[derive(Debug)]
struct Filter {
    operation: Option<&'static str>,
    status: Option<Status>,
    namespace: Option<NamespaceName>,
    since: Option<Moment>,
}

impl Filter {
    fn parse(criteria: &Criteria<'_>) -> Result<Self> {
        let since = criteria.get("since").map(|text| {
            let rule = "must be a time of RFC 3339, like 2027-01-01T00:00:00Z";
            text.parse::<Timestamp>()
                .map(|time| Moment::from_microseconds(time.as_microsecond()))
                .map_err(|_| Error::fault(Fault::Query, "since", rule))
        });
        Ok(Self {
            operation: criteria.get("operation").map(operation).transpose()?,
            status: criteria.get("status").map(Status::parse).transpose()?,
            namespace: criteria
                .get("namespace")
                .map(NamespaceName::parse)
                .transpose()?,
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
        let namespace = "Those whose path, or else query, names this organization.";
        [
            Param::new(
                "operation",
                "Those of this operation, of the registry too; `-` for those of none.",
                operation,
            )
            .refused(Fault::Query),
            Param::new(
                "status",
                "Those with this status, or class of them; 0 where the connection was cut.",
                status,
            )
            .refused(Fault::Query),
            Param::new("namespace", namespace, schema_of::<NamespaceName>())
                .refused(Fault::NamespaceName),
            Param::new("since", "Those that arrived then or later.", time_schema())
                .refused(Fault::Query),
        ]
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

/// The names under which requests are remembered.
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let routes = crate::routes();
    let table = routes.operations().iter().map(|operation| operation.name);
    let registry = OPERATIONS.iter().map(|operation| operation.name);
    table.chain(registry).chain([NO_OPERATION]).collect()
});

/// The operation that a name means. That nobody asked for one that there is not proves nothing.
fn operation(name: &str) -> Result<&'static str> {
    if let Some(known) = NAMES.iter().find(|known| **known == name) {
        return Ok(known);
    }
    let rule = unknown_operation(name, NAMES.iter().copied());
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
        let rule = "must be a status, like 404, or a class of them, like 4xx";
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
struct RequestView<'a> {
    operation: &'a str,
    method: &'a str,
    path: &'a str,
    caller: &'a str,
    /// 0 where the connection was cut instead, as clients count it.
    status: u16,
    code: Option<&'a str>,
    message: Option<&'a str>,
    body_bytes: u64,
    milliseconds: f64,
    time: String,
    request_id: &'a str,
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
            milliseconds: request.milliseconds,
            time: request.time.to_string(),
            request_id: &request.id,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn log(uri: &Uri) -> RequestLog<'_> {
        RequestLog {
            request_id: "id",
            method: &Method::GET,
            uri,
            operation: "X",
            status: 200,
            started: Instant::now(),
            caller: "admin",
            body_bytes: 0,
            failure: None,
            is_recorded: true,
        }
    }

    fn recorded(uri: &str) -> RecordedRequest {
        let uri = uri.parse().expect("a URI");
        RecordedRequest::new(&log(&uri), 1.0, Moment::from_microseconds(0))
    }

    #[test]
    fn what_is_kept_of_a_request_is_bounded() {
        let long = recorded(&format!("/{}?{}", "x".repeat(600), "y".repeat(600)));
        assert_eq!(long.path.len(), 512);
        let method = Method::from_bytes("M".repeat(50_000).as_bytes()).expect("a method");
        let uri = Uri::from_static("/");
        let log = RequestLog {
            method: &method,
            ..log(&uri)
        };
        let kept = RecordedRequest::new(&log, 1.0, Moment::from_microseconds(0));
        assert_eq!(kept.method.as_str(), "M".repeat(64));
    }

    #[test]
    fn the_organization_of_a_request_is_in_its_path_or_its_query() {
        let check = |uri: &str, expected: Option<&str>| {
            assert_eq!(recorded(uri).namespace().as_deref(), expected, "{uri}");
        };
        check("/v2/manage/namespaces/group", Some("group"));
        check("/v2/manage/namespaces/group/repos?limit=1", Some("group"));
        check("/v3/manage/namespaces/g%72oup/repos/a/tags", Some("group"));
        check("/v2/manage/namespaces", None);
        check("/v2/manage/repos?limit=1&namespace=group", Some("group"));
        check("/v2/manage/repos", None);
        check("/v2/group/a/b/tags/list", Some("group"));
        check("/v2/", None);
        check("/v2", None);
        check("/_emulator/explain?namespace=group&tag=1", Some("group"));
        let workload = "/_emulator/clusters/c/namespaces/default/deployments/a";
        check(workload, None);
    }

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

    #[test]
    fn the_newest_thousand_are_kept() {
        let requests = Requests::default();
        let ids: Vec<_> = (0..KEPT + 5).map(|at| at.to_string()).collect();
        for id in &ids {
            let uri = Uri::from_static("/");
            let log = RequestLog {
                request_id: id,
                ..log(&uri)
            };
            requests.record(&log, 1.0, Moment::from_microseconds(0));
        }
        let kept: Vec<_> = requests.newest_first();
        let kept: Vec<_> = kept.iter().map(|request| request.id.as_str()).collect();
        let newest: Vec<_> = ids[5..].iter().rev().map(String::as_str).collect();
        assert_eq!(kept, newest);
        requests.clear();
        assert!(requests.newest_first().is_empty());
    }
}
