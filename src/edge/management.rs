//! What every request for an operation of the table passes through: id, deadline, caller, bounded body, planned faults,
//! format of errors, and the line in the log. The OCI registry has its own, `registry`.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::ALLOW;
use http::request::Parts;
use http::{HeaderValue, Method};
use tokio::time::Instant;
use tower::ServiceExt;
use tower_http::catch_panic::{CatchPanic, ResponseForPanic};
use tracing::{Instrument, info_span};

use super::body;
use super::hosts::check_origin;
use super::log::RequestLog;
use super::ready::Keeper;
use super::request_id::identify;
use super::requests::is_of_console;
use crate::app::{App, AppState, Routes};
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::excerpt::excerpt;
use crate::faults::{FaultAction, RequestFacts};
use crate::http::{
    Cut, DEADLINE, ErrorFormat, Failure, Limits, OWN_PATHS, Operation, Query, Room, SharedBody,
    gather,
};
use crate::nearest::nearest;
use crate::registry::RegistryError;

/// For how long a body is read: less than the request as a whole takes.
const BODY_TIME: Duration = Duration::from_secs(20);
/// How many characters of a method or a path that leads nowhere are repeated.
const MAX_SHOWN: usize = 256;
/// The code of a failure where there is no operation.
const NO_API: &str = "APIGW.0601";
/// The answer to requests that wait, or whose body is awaited, when the instance stops.
const STOPPING: Error = Error::Unavailable("The emulator is stopping");
/// The answer to one waiting request too many.
const TOO_MANY_WAIT: Error = Error::Unavailable("Too many requests are already waiting");

/// The operations of a listener and their handlers.
///
/// It is around the handlers, and none of their layers: each of those asks for memory for every
/// request.
#[derive(Debug)]
pub struct Edge {
    pub(super) app: AppState,
    /// Those with the same path.
    operations: Vec<Vec<Operation>>,
    /// Which of them a path leads to.
    paths: matchit::Router<usize>,
    handlers: Handlers,
}

/// What operations lead to. One that panics fails its own request only.
type Handlers = CatchPanic<Router, Panicked>;

impl Edge {
    /// Serves the operations of a table and the registry, and refuses everything else as the
    /// gateway does.
    pub fn new(routes: Routes, app: AppState) -> Self {
        let (operations, handlers) = routes.into_parts();
        let mut by_path: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for operation in operations {
            by_path.entry(operation.path).or_default().push(operation);
        }
        let mut paths = matchit::Router::new();
        for (at, path) in by_path.keys().copied().enumerate() {
            // The router of the handlers has the same paths, and refused what cannot be one or
            // cannot stand beside another.
            let _ = paths.insert(path, at);
        }
        Self {
            operations: by_path.into_values().collect(),
            paths,
            handlers: CatchPanic::custom(handlers.with_state(Arc::clone(&app)), Panicked),
            app,
        }
    }

    fn operation(&self, request: &Request) -> Route<'_> {
        let on_path = self
            .paths
            .at(request.uri().path())
            .ok()
            .and_then(|found| self.operations.get(*found.value))
            .map_or(&[][..], Vec::as_slice);
        on_path
            .iter()
            .find(|operation| operation.method == request.method())
            .map_or(Route::None { on_path }, Route::Operation)
    }

    /// What the live gateway says to a path, or a method on a path, that no API has, with our
    /// reason and the path that was meant.
    fn no_such_api(&self, method: &Method, path: &str, mut reason: String) -> Error {
        if let Some(meant) = self.meant(method, path) {
            reason.push_str("; ");
            reason.push_str(&meant);
        }
        Error::NoSuchApi(format!(
            "The API does not exist or has not been published: {} {} ({reason})",
            excerpt(method.as_str(), MAX_SHOWN),
            excerpt(path, MAX_SHOWN),
        ))
    }

    /// The path that was meant by one that leads nowhere: another one up to the slash at its end,
    /// or one of the emulator's own.
    fn meant(&self, method: &Method, path: &str) -> Option<String> {
        if !self.on_path(path).is_empty() {
            return None;
        }
        let (other, difference) = match path.strip_suffix('/') {
            Some(bare) => (bare.to_owned(), "without the trailing slash"),
            None => (format!("{path}/"), "with a trailing slash"),
        };
        let there = self.on_path(&other);
        if !there.is_empty() {
            let named = there.iter().find(|operation| operation.method == method);
            return Some(match named {
                Some(operation) => format!("{difference} it is {}", operation.name),
                None => format!("{difference} it accepts {}", methods(there)),
            });
        }
        let asked = path.strip_prefix(OWN_PATHS).unwrap_or(path);
        let own = self
            .operations
            .iter()
            .filter_map(|on_path| on_path.first()?.path.strip_prefix(OWN_PATHS))
            .filter(|rest| !rest.is_empty() && !rest.contains('{'));
        let name = nearest(asked.trim_matches('/'), own)?;
        Some(format!("did you mean {OWN_PATHS}{name}?"))
    }

    /// The operations that a path leads to; one whose first segment can be anything is not meant.
    fn on_path(&self, path: &str) -> &[Operation] {
        self.operations
            .iter()
            .filter(|operations| {
                operations.first().is_some_and(|operation| {
                    operation.has_path(path) && !operation.path.starts_with("/{")
                })
            })
            .min_by_key(|operations| {
                let path = operations.first().map(|operation| operation.path);
                path.map_or(0, |path| path.matches('{').count())
            })
            .map_or(&[], Vec::as_slice)
    }
}

/// Where a request leads.
enum Route<'a> {
    Operation(&'a Operation),
    /// Nowhere; the operations that its path has with other methods.
    None {
        on_path: &'a [Operation],
    },
}

/// Serves a request from its head to its line in the log.
pub(super) async fn serve(edge: &Edge, request: Request) -> Response {
    let started = std::time::Instant::now();
    let request_id = edge.app.request_ids.next();
    let route = edge.operation(&request);
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(request_id);
    let (method, uri) = (parts.method.clone(), parts.uri.clone());
    let is_of_console = is_of_console(&parts.headers);
    let body = SharedBody::new(&parts.headers, body);
    let mut known = Known::default();

    let outcome = tokio::select! {
        biased;
        outcome = dispatch(edge, &route, parts, &body, &mut known)
            .instrument(info_span!("request", request.id = request_id.as_str())) => outcome,
        () = body.abandoned(&edge.app.stop) => Err(STOPPING),
    };
    match &outcome {
        // Who is slow is not waited for again.
        Err(Error::BodyTooSlow(_) | Error::Unavailable(_)) => {}
        _ => body.discard(&edge.app.stop, &edge.app.wanted).await,
    }

    let (form, failure, name, is_recorded) = match &route {
        Route::Operation(operation) => (
            operation.form,
            operation.failure,
            operation.name,
            operation.is_recorded,
        ),
        Route::None { .. } => (ErrorFormat::Gateway, NO_API, "-", true),
    };
    let mut failed = None;
    let mut refuse = |error: Error| {
        let error = match error {
            Error::NoSuchApi(reason) => edge.no_such_api(&method, uri.path(), reason),
            error => error,
        };
        form.render(failed.insert(error), failure, request_id.as_str())
    };
    let mut response = match outcome {
        Ok(mut response) => match response.extensions_mut().remove::<Error>() {
            None => response,
            Some(error) => refuse(error),
        },
        Err(error) => refuse(error),
    };
    if let Route::None { on_path } = route {
        allow(&mut response, on_path);
    }
    identify(&mut response, request_id);
    let is_cut = Cut::is_in(&response);
    let failed = match &failed {
        Some(error) => Some(Failure::of(error, failure)),
        None => response
            .extensions_mut()
            .remove::<RegistryError>()
            .as_ref()
            .map(Into::into),
    };
    RequestLog {
        request_id,
        method: &method,
        uri: &uri,
        operation: name,
        status: if is_cut {
            0
        } else {
            response.status().as_u16()
        },
        started,
        caller: known.caller_name(),
        body_bytes: body.received(),
        body: known.body.as_deref().and_then(body::recorded),
        failure: failed,
        is_recorded: is_recorded && !is_of_console,
    }
    .write(&edge.app.requests);
    response
}

/// What becomes known of a request on its way.
#[derive(Default)]
struct Known {
    caller: Option<Caller>,
    /// Its body, where the record may have it.
    body: Option<Bytes>,
}

impl Known {
    /// The user's name, or `-`.
    fn caller_name(&self) -> &str {
        self.caller.as_ref().map_or("-", Caller::user_name)
    }
}

async fn dispatch(
    edge: &Edge,
    route: &Route<'_>,
    parts: Parts,
    body: &SharedBody,
    known: &mut Known,
) -> Result<Response> {
    let app = &edge.app;
    let mut deadline = Instant::now()
        + match route {
            Route::Operation(operation) => operation.deadline,
            Route::None { .. } => DEADLINE,
        };
    // Taken before the caller is looked up, and asked about once that matters: neither a body nor a
    // delay that somebody planned holds up a reset.
    let world = app.world.id();
    if let Route::Operation(operation) = route
        && operation.is_own()
        && operation.method != Method::GET
    {
        check_origin(&parts.headers)?;
    }
    let (operation, mut request, _room) =
        until(deadline, admit(app, route, parts, body, known)).await?;
    // The cloud overlooks parameters that it does not know; an assertion that is misspelt would
    // hold for a reason that nobody meant.
    if let Some(query) = request.uri().query()
        && operation.is_own()
    {
        Query::parse(query).knows_only(operation.parameters())?;
    }
    let _place = if operation.waits {
        Some(app.waits.try_acquire().map_err(|_| TOO_MANY_WAIT)?)
    } else {
        None
    };
    let path = request.uri().path();
    let caller = known.caller_name();
    let facts = || RequestFacts::of(operation, path, caller);
    if let Some(fault) = app.faults.inject(facts) {
        let delay = fault.delay;
        let action = fault.wait(&app.stop).await.ok_or(STOPPING)?;
        deadline += delay;
        match action {
            FaultAction::Respond {
                status,
                code,
                retry_after_s,
            } => {
                return Err(Error::Injected {
                    status,
                    code,
                    retry_after_s,
                });
            }
            FaultAction::Disconnect => return Ok(Cut::response()),
            // Only blobs are cut in the middle.
            FaultAction::DisconnectAfter(_) | FaultAction::Continue => {}
        }
    }
    let keeper = Keeper::of(app, operation, &request);
    if operation.is_alone {
        request.extensions_mut().insert(world);
    }
    let serve = until(deadline, async {
        let _stay = match operation {
            // It has the world to itself, or only reads, and is answered below.
            operation if operation.is_alone || operation.waits => None,
            operation if operation.needs_credentials => Some(app.world.stay_in(world).await?),
            _ => Some(app.world.stay().await),
        };
        let Ok(response) = edge.handlers.clone().oneshot(request).await;
        let response = response.map(Body::new);
        Ok(match keeper {
            Some(keeper) => keeper.keep(app, response).await,
            None => response,
        })
    });
    if !operation.waits {
        return serve.await;
    }
    let response = tokio::select! {
        response = serve => response,
        () = app.stop.raised() => Err(STOPPING),
    };
    app.world.is_still(world)?;
    response
}

/// Not an `async fn`: that would have room for the work twice.
fn until<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T>>,
) -> impl Future<Output = Result<T>> {
    tokio::time::timeout_at(deadline, work)
        .map(|done| done.unwrap_or_else(|_| Err(Error::internal("the request's deadline passed"))))
}

/// Finds the request's operation and its caller, and reads its body, which is not begun where the
/// head is enough to refuse it.
async fn admit<'a>(
    app: &'a AppState,
    route: &Route<'a>,
    mut parts: Parts,
    body: &SharedBody,
    known: &mut Known,
) -> Result<(&'a Operation, Request, Option<Room<'a>>)> {
    let operation = match route {
        Route::Operation(operation) => operation,
        Route::None { on_path } => return Err(no_such_api(on_path)),
    };
    let claim = if operation.needs_credentials {
        Some(app.authenticator().identify(&parts.headers)?)
    } else {
        None
    };
    let limits = Limits {
        bytes: operation.max_body,
        time: BODY_TIME,
        time_per_kib: Duration::ZERO,
    };
    let (mut content, mut room) = if operation.streams {
        (Bytes::new(), None)
    } else {
        let (content, room) = gather(body, limits, &app.bodies).await?;
        (content, Some(room))
    };
    if let Some(claim) = claim {
        let caller = claim.prove(&parts.method, &parts.uri, &parts.headers, &content)?;
        parts.extensions.insert(caller.clone());
        known.caller = Some(caller);
    }
    if operation.records_body && app.record_bodies && !content.is_empty() {
        known.body = Some(content.clone());
    }
    if operation.waits {
        // None of these takes a body, and for minutes nobody else could have its room.
        content = Bytes::new();
        room = room.map(Room::given_back);
    }
    let body = if operation.streams {
        Body::new(body.clone())
    } else {
        Body::from(content)
    };
    Ok((operation, Request::from_parts(parts, body), room))
}

/// The answer to a request that is refused before anybody looks at what it wants.
pub(super) fn refuse<B>(app: &App, request: &http::Request<B>, refusal: &Error) -> Response {
    let request_id = app.request_ids.next();
    let mut response = ErrorFormat::Gateway.render(refusal, NO_API, request_id.as_str());
    identify(&mut response, request_id);
    RequestLog {
        request_id,
        method: request.method(),
        uri: request.uri(),
        operation: "-",
        status: response.status().as_u16(),
        started: std::time::Instant::now(),
        caller: "-",
        body_bytes: 0,
        body: None,
        failure: Some(Failure::of(refusal, NO_API)),
        is_recorded: true,
    }
    .write(&app.requests);
    response
}

/// Why a request leads nowhere; the edge says the rest.
fn no_such_api(on_path: &[Operation]) -> Error {
    Error::NoSuchApi(if on_path.is_empty() {
        "no API has this path".to_owned()
    } else {
        format!("this path accepts only {}", methods(on_path))
    })
}

fn allow(response: &mut Response, on_path: &[Operation]) {
    if !on_path.is_empty()
        && let Ok(value) = HeaderValue::try_from(methods(on_path))
    {
        response.headers_mut().insert(ALLOW, value);
    }
}

fn methods(on_path: &[Operation]) -> String {
    let methods: Vec<_> = on_path
        .iter()
        .map(|operation| operation.method.as_str())
        .collect();
    methods.join(", ")
}

/// The answer of a handler that panicked.
#[derive(Debug, Clone, Copy)]
struct Panicked;

impl ResponseForPanic for Panicked {
    type ResponseBody = Body;

    fn response_for_panic(&mut self, payload: Box<dyn Any + Send>) -> Response {
        let message = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("without a message");
        Error::internal(format!("the handler panicked: {message}")).into_response()
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use super::*;
    use crate::app::App;
    use crate::auth::BUILTIN_TOKEN;
    use crate::http::{OperationDoc, empty_object};

    async fn edge(operation: Operation) -> Edge {
        let (app, _folder) = App::seeded("").await;
        let handler = async |body: Bytes| match &body[..] {
            b"panic" => panic!("with a secret"),
            b"hang" => std::future::pending().await,
            b"internal" => Err(Error::internal("with a secret")),
            _ => Ok(empty_object(StatusCode::CREATED)),
        };
        let routes = Routes::of("").route(operation, handler, || OperationDoc::new(""));
        Edge::new(routes, Arc::new(app))
    }

    async fn post(edge: &Edge, body: &'static str) -> (StatusCode, String) {
        let request = Request::post("/x")
            .header("X-Auth-Token", BUILTIN_TOKEN)
            .body(Body::from(body))
            .expect("a legal request");
        let response = edge.serve(request).await;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
    }

    #[tokio::test]
    async fn a_panic_or_a_failure_is_a_500_without_internals_and_the_next_request_is_served() {
        let operation = Operation::new("CreateX", Method::POST, "/x");
        let edge = edge(operation.clone()).await;
        for body in ["panic", "internal"] {
            let (status, text) = post(&edge, body).await;
            assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
            let json: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(json["error_code"], operation.failure);
            assert_eq!(json["error_msg"], "Internal error");
            assert!(!text.contains("secret"), "{text}");
        }
        assert_eq!(
            post(&edge, "x").await,
            (StatusCode::CREATED, "{}".to_owned())
        );
    }

    #[tokio::test]
    async fn a_request_ends_at_its_deadline() {
        let edge = edge(Operation::new("CreateX", Method::POST, "/x")).await;
        tokio::time::pause();
        let (status, text) = post(&edge, "hang").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(text.contains("SVCSTG.SWR.5000046"), "{text}");
    }

    #[tokio::test]
    async fn a_request_that_waits_holds_no_body() {
        let edge = edge(Operation::new("CreateX", Method::POST, "/x").waits()).await;
        let served = post(&edge, "panic").await;
        assert_eq!(served, (StatusCode::CREATED, "{}".to_owned()));
    }

    #[tokio::test]
    async fn a_body_that_does_not_arrive_in_time_is_refused_in_the_operations_form() {
        let check = async |form: ErrorFormat, expected: Value| {
            let operation = Operation::new("X", Method::POST, "/x").in_form(form);
            let edge = edge(operation).await;
            let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
            let request = Request::post("/x")
                .header("X-Auth-Token", BUILTIN_TOKEN)
                .body(Body::from_stream(never))
                .expect("a legal request");
            tokio::time::pause();
            let response = edge.serve(request).await;
            tokio::time::resume();
            assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
            let body = response.into_body().collect().await.expect("a body");
            let body: Value = serde_json::from_slice(&body.to_bytes()).expect("JSON");
            let found = match form {
                ErrorFormat::Management => &body["errors"][0]["errorMessage"],
                ErrorFormat::Iam => &body["error"]["message"],
                ErrorFormat::Gateway => &body["error_msg"],
                ErrorFormat::Registry => &body["errors"][0]["message"],
            };
            assert_eq!(*found, expected, "{body}");
        };
        let message = json!("The request body did not arrive within 20 seconds");
        for form in [
            ErrorFormat::Management,
            ErrorFormat::Gateway,
            ErrorFormat::Iam,
            ErrorFormat::Registry,
        ] {
            check(form, message.clone()).await;
        }
    }

    #[tokio::test]
    async fn each_form_writes_an_error_in_its_own_way() {
        let check = async |form: ErrorFormat, expected: Value| {
            let edge = edge(Operation::new("X", Method::POST, "/x").in_form(form)).await;
            let (_, text) = post(&edge, "internal").await;
            let mut body: Value = serde_json::from_str(&text).expect("JSON");
            if let Some(id) = body.get_mut("request_id") {
                *id = "[id]".into();
            }
            assert_eq!(body, expected);
        };
        let code = "SVCSTG.SWR.5000046";
        check(
            ErrorFormat::Management,
            json!({
                "errors": [{"errorCode": code, "errorMessage": "Internal error", "detail": ""}],
                "error_code": code, "error_msg": "Internal error",
                "details": [{"error_code": code, "error_msg": "Internal error"}]
            }),
        )
        .await;
        check(
            ErrorFormat::Gateway,
            json!({"error_code": code, "error_msg": "Internal error", "request_id": "[id]"}),
        )
        .await;
        check(
            ErrorFormat::Iam,
            json!({"error": {"code": 500, "message": "Internal error",
                             "title": "Internal Server Error"}}),
        )
        .await;
    }
}
