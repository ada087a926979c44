//! `/_emulator/`: what SWR itself does not have. Readiness, and the way back to the start.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use serde::Serialize;

use crate::app::AppState;
use crate::error::Result;
use crate::http::{Answer, Operation, Routes};
use crate::seed::Reset;

/// The operations of the emulator itself.
pub fn routes() -> Routes {
    Routes::new()
        .with(
            Operation::new("EmulatorHealth", Method::GET, "/_emulator/health").open_to_all(),
            health,
        )
        .with(
            Operation::new("EmulatorReset", Method::POST, "/_emulator/reset"),
            reset,
        )
}

/// Answers once the emulator serves.
async fn health() -> Response {
    let view = HealthView {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    };
    Answer(StatusCode::OK, view).into_response()
}

#[derive(Serialize)]
struct HealthView {
    status: &'static str,
    version: &'static str,
}

/// Forgets everything but the seed file, issued tokens included, in one transaction.
async fn reset(State(app): State<AppState>) -> Result<StatusCode> {
    app.db.write(Reset::to(&app)).await?;
    app.tokens.clear();
    Ok(StatusCode::NO_CONTENT)
}
