//! Requests whose answers are ready (`crate::answers`): who asks, whether they may, the line in the
//! log and the record are as for any other; the router and the database are not asked.

use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;

use super::log::RequestLog;
use super::request_id::identify;
use crate::answers::{Answer, Keep, is_short};
use crate::app::App;
use crate::auth::Caller;
use crate::db::Version;
use crate::http::Operation;

/// The answer to a request, if there is one that is what its caller would be answered now. All
/// else, every refusal included, is for the router.
pub(super) fn answer(app: &App, request: &Request) -> Option<Response> {
    let started = Instant::now();
    if !may_be_ready(request.method(), request.uri().query()) || !request.body().is_end_stream() {
        return None;
    }
    let found = app.answers.find(request.uri().path())?;
    if app.faults.is_any() {
        return None;
    }
    let caller = caller(app, request)?;
    if !found.is_for(&caller, app.db.versions()) {
        return None;
    }
    let mut response = Response::new(Body::from(found.body.clone()));
    response.headers_mut().clone_from(&found.headers);
    let request_id = app.request_ids.next();
    identify(&mut response, request_id);
    RequestLog {
        request_id,
        method: request.method(),
        uri: request.uri(),
        operation: found.operation,
        status: StatusCode::OK.as_u16(),
        started,
        caller: caller.user_name(),
        body_bytes: 0,
        failure: None,
        is_recorded: true,
    }
    .write(&app.requests);
    Some(response)
}

/// Whether the answer to a request may be kept and sent again: a query would make too many of them.
fn may_be_ready(method: &Method, query: Option<&str>) -> bool {
    method == Method::GET && query.is_none()
}

fn caller(app: &App, request: &Request) -> Option<Caller> {
    let claim = app.authenticator().identify(request.headers()).ok()?;
    let (method, uri) = (request.method(), request.uri());
    let proven = claim.prove(method, uri, request.headers(), &Bytes::new());
    proven.ok()
}

/// What an answer is kept under, taken before its handler reads anything.
pub(super) struct Keeper {
    path: String,
    operation: &'static str,
    since: Version,
}

impl Keeper {
    /// That of a request for an operation, if its answer may be kept.
    pub(super) fn of(app: &App, operation: &Operation, request: &Request) -> Option<Self> {
        let uri = request.uri();
        (app.answers.keeps() && may_be_ready(request.method(), uri.query())).then(|| Self {
            path: uri.path().to_owned(),
            operation: operation.name,
            since: app.db.versions().now(),
        })
    }

    /// Keeps the answer if its handler said so.
    pub(super) async fn keep(self, app: &App, mut response: Response) -> Response {
        let Some(keep) = response.extensions_mut().remove::<Keep>() else {
            return response;
        };
        let is_known = response.body().size_hint().exact().is_some_and(is_short);
        if response.status() != StatusCode::OK || !is_known {
            return response;
        }
        let (parts, body) = response.into_parts();
        let Ok(body) = body.collect().await else {
            // A body of a known length is in memory as a whole: it cannot break off.
            return Response::from_parts(parts, Body::empty());
        };
        let body = body.to_bytes();
        let answer = Answer {
            operation: self.operation,
            headers: parts.headers.clone(),
            body: body.clone(),
            since: self.since,
            keep,
        };
        app.answers.put(&self.path, answer);
        Response::from_parts(parts, Body::from(body))
    }
}
