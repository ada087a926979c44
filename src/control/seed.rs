//! `/_emulator/seed`: the present state as a seed file.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use crate::app::{AppState, Routes};
use crate::auth::Controller;
use crate::error::{Error, Result};
use crate::http::{OperationDoc, YAML};
use crate::seed::{Exporter, ReadState};

const SEED: &str = "/_emulator/seed";

/// The operation that shows the state.
pub(super) fn routes() -> Routes {
    Routes::of("Emulator").get("EmulatorShowSeed", SEED, show_seed, show_seed_doc)
}

fn show_seed_doc() -> OperationDoc {
    OperationDoc::new("Shows the present state as a seed file, with the secrets of its users.")
        .remarks(
            "Everything is ordered by name, defaults are left out, and names of the registry are \
             written as `{registry}`. Images, tags, times and passwords that were set through IAM \
             are not part of it.",
        )
        .answers_yaml()
        .needs_control()
}

/// The state of one moment: users are changed in turns, and the caller's world stays.
async fn show_seed(State(app): State<AppState>, _: Controller) -> Result<Response> {
    let _turn = app.directory.turn().await;
    let state = app.db.write(ReadState).await?;
    let writer = Arc::clone(&app);
    let write = move || {
        let origin = writer.world.origin();
        let exporter = Exporter {
            directory: &writer.directory,
            regions: &writer.regions,
            first: writer.world.first_seed(),
            seed: &origin.seed,
        };
        exporter.write(&state)
    };
    // A large one takes a while.
    let text = tokio::task::spawn_blocking(write).await;
    let text = text.map_err(Error::internal)?;
    Ok(([(CONTENT_TYPE, YAML)], text).into_response())
}
