//! `/_emulator/snapshot`: the whole state of the instance as a file, and back from one.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, StatusCode};

use super::worlds::{Next, go_to};
use crate::app::{App, AppState, Routes};
use crate::auth::Controller;
use crate::error::{Error, Result};
use crate::http::{Operation, OperationDoc, file_body, spool};
use crate::seed::{read_accounts, write_accounts};
use crate::snapshot::{self, MEDIA_TYPE, Saved, SavedRegion, Snapshot};
use crate::world::{Origin, WorldId};

const SNAPSHOT: &str = "/_emulator/snapshot";
const FIELD: &str = "snapshot";

/// The operations that save and load.
pub(super) fn routes() -> Routes {
    let save = Operation::new("EmulatorSaveSnapshot", Method::GET, SNAPSHOT).streams();
    let load = Operation::new("EmulatorLoadSnapshot", Method::POST, SNAPSHOT)
        .alone()
        .streams();
    Routes::of("Emulator")
        .route(save, save_snapshot, save_doc)
        .route(load, load_snapshot, load_doc)
}

fn save_doc() -> OperationDoc {
    OperationDoc::new("Saves the whole state in a file, with the images and all secrets.")
        .remarks(
            "The file is a tar archive of a list of its contents, the database and the blobs. It \
             holds the state of one moment, although the instance goes on writing. The clock, \
             faults and the record of requests are not part of it.",
        )
        .answers_text(MEDIA_TYPE)
        .needs_control()
}

async fn save_snapshot(State(app): State<AppState>, _: Controller) -> Result<Response> {
    let saved = save_state(&app).await?;
    let headers = [
        (CONTENT_TYPE, MEDIA_TYPE.to_owned()),
        (CONTENT_LENGTH, saved.size.to_string()),
    ];
    Ok((headers, file_body(saved.file, saved.size)).into_response())
}

/// Saves the state of an instance, whose world stays meanwhile.
pub(crate) async fn save_state(app: &App) -> Result<Saved> {
    app.registry.downloads.flush().await;
    // Users are changed in turns, so the accounts are those of the copied database.
    let _turn = app.directory.turn().await;
    let accounts = write_accounts(&app.directory);
    let (files, spool) = (&app.registry.files, &app.spool);
    snapshot::save(&app.db, files, spool, regions(app), accounts).await
}

/// The regions of an instance, as its snapshots name them.
fn regions(app: &App) -> Vec<SavedRegion> {
    let first = app.world.first_seed();
    let regions = app.regions.iter().map(|region| {
        let mut seeded = first.regions.iter();
        let seeded = seeded.find(|seeded| seeded.name == region.name);
        SavedRegion {
            name: region.name.clone(),
            port: seeded.map(|seeded| seeded.listen.port()),
            registry_host: seeded.and_then(|seeded| seeded.registry_host.clone()),
            registry_names: region.registry_names.clone(),
        }
    });
    regions.collect()
}

fn load_doc() -> OperationDoc {
    OperationDoc::new("Loads a saved file in place of the whole state.")
        .remarks(
            "All or nothing: the file is read and checked as a whole before anything changes. \
             Firings that were open go on; images of workloads get the names of this instance's \
             registries. Resets without a body return to the snapshot. A signed request has to be \
             signed with `X-Sdk-Content-Sha256: UNSIGNED-PAYLOAD`.",
        )
        .takes_file(&[MEDIA_TYPE])
        .answers_nothing()
        .refuses([Error::invalid(FIELD, "")])
        .needs_control()
}

async fn load_snapshot(
    State(app): State<AppState>,
    _: Controller,
    Extension(known_in): Extension<WorldId>,
    body: Body,
) -> Result<StatusCode> {
    let file = app.spool.file().map_err(Error::internal)?;
    let mut file = spool(body, app.max_snapshot, file).await?;
    file.rewind().map_err(Error::internal)?;
    load_state(app, known_in, file).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Loads a saved state, for somebody who was known in a world.
pub(crate) async fn load_state(app: AppState, known_in: WorldId, file: File) -> Result<()> {
    let snapshot = Snapshot::read(BufReader::new(file), app.max_snapshot, &app.spool).await?;
    let next = world_of(&app, snapshot)?;
    go_to(app, known_in, next).await
}

/// The world that begins with a snapshot.
fn world_of(app: &AppState, snapshot: Snapshot) -> Result<Next> {
    let wrong = |rule: String| Error::invalid(FIELD, rule);
    let contents = snapshot.contents();
    let home = app.regions.home_name();
    if let Some(region) = contents.regions.first()
        && region.name != home
    {
        let rule = format!("its home region {} must be this one's: {home}", region.name);
        return Err(wrong(rule));
    }
    let mut regions = contents.regions.iter();
    if let Some(region) = regions.find(|region| app.regions.get(&region.name).is_none()) {
        let rule = format!("its region {} must be one of this instance", region.name);
        return Err(wrong(rule));
    }
    let directory = read_accounts(&contents.accounts, home)
        .map_err(|error| wrong(format!("its accounts: {}", error.in_no_file())))?;
    let seed = app.world.first_seed().with_accounts(&directory);
    let origin = Origin {
        seed: Arc::new(seed),
        snapshot: Some(Arc::new(snapshot)),
    };
    Next::another(app, FIELD, directory, origin)
}
