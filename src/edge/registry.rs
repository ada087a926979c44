//! What every request of the registry passes through: its id, the end of the instance, the form of
//! its errors, and its line in the log. Bodies have limits of their own there.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::HeaderValue;
use tracing::{Instrument, info_span};

use super::log::RequestLog;
use super::request_id::identify;
use crate::app::AppState;
use crate::error::Error;
use crate::http::{Cut, SharedBody};
use crate::registry::{RegistryError, Trace, answer};

/// Serves everything below `/v2/` that is not the management API's.
pub(super) async fn serve(app: &AppState, request: Request) -> Response {
    let started = Instant::now();
    let request_id = app.request_ids.next();
    let trace = Trace::default();
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(request_id);
    let body = SharedBody::new(&parts.headers, body);
    let span = info_span!("request", request.id = request_id.as_str());
    let work = answer(app, &parts, &body, &trace).instrument(span);
    let outcome = tokio::select! {
        biased;
        outcome = AssertUnwindSafe(work).catch_unwind() => outcome.unwrap_or_else(|_| {
            let reason = "the handler panicked";
            Err(RegistryError::Internal(Error::internal(reason)))
        }),
        () = body.abandoned(&app.stop) => {
            Err(RegistryError::Unavailable("the emulator is stopping"))
        }
    };
    let mut response = match outcome {
        Ok(response) => response,
        Err(error) => {
            match error {
                // Who is slow is not waited for again, who is cut off not listened to.
                RegistryError::ManifestTooSlow(_)
                | RegistryError::Unavailable(_)
                | RegistryError::Cut => {}
                _ => body.discard(&app.stop, &app.wanted).await,
            }
            error.into_response()
        }
    };
    if body.is_cut() {
        response = Cut::response();
    }
    let headers = response.headers_mut();
    headers.insert(
        "docker-distribution-api-version",
        HeaderValue::from_static("registry/2.0"),
    );
    identify(&mut response, request_id);
    let failed = response.extensions_mut().remove::<RegistryError>();
    RequestLog {
        request_id,
        method: &parts.method,
        uri: &parts.uri,
        operation: trace.operation(),
        status: if Cut::is_in(&response) {
            0
        } else {
            response.status().as_u16()
        },
        started,
        caller: trace.caller(),
        body_bytes: body.received(),
        body: None,
        failure: failed.as_ref().map(Into::into),
        is_recorded: true,
    }
    .write(&app.requests);
    response
}
