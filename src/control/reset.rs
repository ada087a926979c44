//! `/_emulator/reset`: back to the start, or on to another seed.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use bytes::Bytes;
use http::{Method, StatusCode};
use tracing::warn;

use super::worlds::{Next, go_to};
use crate::app::{AppState, Routes};
use crate::auth::Controller;
use crate::error::{Error, Result};
use crate::http::{Operation, OperationDoc, YAML};
use crate::seed;
use crate::world::{Origin, WorldId};

const RESET: &str = "/_emulator/reset";

/// The longest seed that can be posted, in bytes: that of some 50,000 triggers.
const LARGEST_SEED: usize = 16 * 1024 * 1024;

/// The operation that resets the instance.
pub(super) fn routes() -> Routes {
    let operation = Operation::new("EmulatorReset", Method::POST, RESET)
        .alone()
        .with_body_up_to(LARGEST_SEED);
    Routes::of("Emulator").route(operation, reset, reset_doc)
}

fn reset_doc() -> OperationDoc {
    OperationDoc::new("Returns the instance to the state of a fresh start.")
        .remarks(
            "With a seed as its body (YAML or JSON), to the state that the seed describes, which \
             later resets without a body return to as well. Without one, and after a snapshot was \
             loaded, to that snapshot. An empty body, or `{}`, is none. A seed \
             that breaks a rule changes nothing.",
        )
        .may_take(&[YAML, "application/json"])
        .answers_nothing()
        .refuses([Error::invalid("seed", "")])
        .needs_control()
}

/// Forgets everything but the seed, issued tokens and images included, in one transaction; before,
/// it takes the clock back to the real time and removes all faults. Which requests there were is
/// remembered.
async fn reset(
    State(app): State<AppState>,
    _: Controller,
    Extension(known_in): Extension<WorldId>,
    body: Bytes,
) -> Result<StatusCode> {
    let reset = reset_to(app, known_in, body).await;
    reset.map(|()| StatusCode::NO_CONTENT)
}

/// Does it, for somebody who was known in a world.
pub(crate) async fn reset_to(app: AppState, known_in: WorldId, body: Bytes) -> Result<()> {
    let next = match read_posted(&app, body).await? {
        None => Next::Start,
        Some(world) => world,
    };
    go_to(app, known_in, next).await
}

/// The world of the seed in a body, if it has one. `{}` is what clients send that must send
/// something.
async fn read_posted(app: &AppState, body: Bytes) -> Result<Option<Next>> {
    if matches!(body.trim_ascii(), b"" | b"{}") {
        return Ok(None);
    }
    let reader = Arc::clone(app);
    let read = move || {
        let home = reader.regions.home_name();
        let wrong = |rule: String| Error::invalid("seed", rule);
        let text = std::str::from_utf8(&body).map_err(|_| wrong("must be UTF-8".to_owned()))?;
        seed::read_posted(text, home, reader.world.first_seed())
            .map_err(|error| wrong(error.in_no_file()))
    };
    // A large one takes a while.
    let read = tokio::task::spawn_blocking(read).await;
    let (directory, seed) = read.map_err(Error::internal)??;
    for warning in seed.warnings() {
        warn!("{warning}");
    }
    let origin = Origin {
        seed: Arc::new(seed),
        snapshot: None,
    };
    Next::another(app, "seed", directory, origin).map(Some)
}
