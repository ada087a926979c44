//! The router of an instance's listener.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::any;
use http::StatusCode;
use tower_http::catch_panic::CatchPanicLayer;

use super::management::{self, Edge};
use super::registry;
use crate::app::{AppState, Routes};

/// Serves the operations of a table and the registry, and refuses everything else as the gateway
/// does.
pub fn router(routes: Routes, app: AppState) -> Router {
    let (operations, handlers) = routes.into_parts();
    let edge = Edge::new(Arc::clone(&app), operations);
    // What no chapter has below this path is not the registry's either.
    let management = handlers
        .route("/v2/manage", any(StatusCode::NOT_FOUND))
        .route("/v2/manage/", any(StatusCode::NOT_FOUND))
        .route("/v2/manage/{*path}", any(StatusCode::NOT_FOUND));
    // The edge wraps what is there before it; the registry has limits of its own.
    management
        .layer((
            from_fn_with_state(Arc::new(edge), management::serve),
            CatchPanicLayer::custom(management::answer_panic),
        ))
        .route("/v2/", any(registry::serve))
        .route("/v2/{*path}", any(registry::serve))
        .with_state(app)
}
