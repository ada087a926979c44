//! `/_emulator/`: the operations that SWR itself does not have. Here are readiness, the way back to
//! the start, and a push without an image; in `firing` the outcome of pushes, in `waiting` the ways
//! to wait for it; for tests, in `clock` the time, in `faults` failures on purpose, in `requests` the
//! newest requests, and in `report` all that is remembered of a run.

mod clock;
mod faults;
mod firing;
mod report;
mod requests;
mod reset;
mod waiting;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use tracing::warn;

pub(crate) use self::clock::{Move, move_clock};
pub(crate) use self::faults::read_fault;
pub use self::report::Report;
pub(crate) use self::requests::Filter as RequestFilter;
use self::reset::ResetWithTokens;
use crate::app::{AppState, Routes};
use crate::auth::{Caller, Controller, Directory, Mode};
use crate::error::{Error, Fault, Resource, Result};
use crate::http::{JsonResponse, Operation, OperationDoc, RequestId};
use crate::image::{SampleImage, repository_for_push};
use crate::json::JsonObject;
use crate::namespace::NamespaceName;
use crate::permission::Editable;
use crate::push::PushedBy;
use crate::repository::RepositoryName;
use crate::schema::schema_of;
use crate::seed::{self, Exporter, ReadState, Reset, Seed};
use crate::tag::TagName;
use crate::world::WorldId;

const HEALTH: &str = "/_emulator/health";
const RESET: &str = "/_emulator/reset";
const SEED: &str = "/_emulator/seed";
const PUSH: &str = "/_emulator/push";

/// The media type of a seed.
const YAML: &str = "application/yaml";
/// The longest seed that can be posted, in bytes: that of some 50,000 triggers.
const LARGEST_SEED: usize = 16 * 1024 * 1024;

/// The operations of the emulator itself.
#[rustfmt::skip] // A table: one line an operation.
pub fn routes() -> Routes {
    Routes::of("Emulator")
        .open_get("EmulatorHealth", HEALTH, show, show_doc)
        .route(alone(RESET), reset, reset_doc)
        .get("EmulatorShowSeed", SEED, show_seed, show_seed_doc)
        .post("EmulatorPush", PUSH, push_sample, push_sample_doc)
        .and(waiting::routes())
        .and(firing::routes())
        .and(clock::routes())
        .and(faults::routes())
        .and(requests::routes())
}

fn alone(path: &'static str) -> Operation {
    Operation::new("EmulatorReset", Method::POST, path)
        .alone()
        .with_body_up_to(LARGEST_SEED)
}

fn show_doc() -> OperationDoc {
    OperationDoc::new(
        "Shows whether the emulator can read and write, and what clients need to know: the region \
         of this address, whether the built-in account exists, the names of the registry (`path` \
         shows the first one), and all emulated regions, the home region first.",
    )
    .answers::<HealthView>(StatusCode::OK)
    .answers::<HealthView>(StatusCode::SERVICE_UNAVAILABLE)
}

/// `EmulatorHealth`: 200 while a read and a write get through the database within a second, else
/// 503.
async fn show(State(app): State<AppState>) -> Response {
    let (status_code, status) = match app.db.check().await {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(error) => {
            warn!(chain = error.chain(), "The database is not working");
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        }
    };
    let view = HealthView {
        status,
        version: env!("CARGO_PKG_VERSION"),
        region: &app.region,
        builtin_account: app.directory.builtin_admin().is_some(),
        registry_names: &app.registry_names,
        regions: app.regions.iter().map(|region| &*region.name).collect(),
    };
    JsonResponse(status_code, view).into_response()
}

/// Can be read without credentials, so it contains no secrets.
#[derive(Serialize, JsonSchema)]
struct HealthView<'a> {
    status: &'static str,
    version: &'static str,
    region: &'a str,
    builtin_account: bool,
    registry_names: &'a [String],
    regions: Vec<&'a str>,
}

fn reset_doc() -> OperationDoc {
    OperationDoc::new("Returns the instance to the state of a fresh start.")
        .remarks(
            "With a seed as its body (YAML or JSON), to the state that the seed describes, which \
             later resets without a body return to as well. An empty body, or `{}`, is none. A seed \
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
    let reset = async move {
        let posted = read_posted(&app, body).await?;
        let departure = app.world.leave(known_in).await?;
        app.clock.reset();
        app.faults.clear();
        let users = app.directory.turn().await;
        let seed = match &posted {
            Some((_, seed)) => Arc::clone(seed),
            None => app.world.seed(),
        };
        let registry = app.regions.seed_registry().to_owned();
        let reset = Reset::to(Arc::clone(&seed), registry, app.clock.now());
        let unused = app.db.write(ResetWithTokens(reset)).await?;
        // After the commit: with a user of now, nothing that was kept before is current.
        match posted {
            None => {
                users.clear();
                for user in &seed.users {
                    if let Some(account) = app.directory.account_with_id(user.account_id()) {
                        users.put(user.to_user(&account));
                    }
                }
            }
            Some((directory, _)) => {
                users.replace(directory);
                app.engine.replace_real_clusters(seed.real_clusters());
                departure.to(seed);
                app.warn_of_known_keys();
            }
        }
        app.tokens.clear();
        drop(users);
        let reloaded = app.registry.key.reload(app.db.lookups()).await;
        app.registry.files.forget_all();
        app.registry.files.remove(unused).await;
        drop(departure);
        reloaded
    };
    // To its end, even where the client does not wait for it.
    tokio::spawn(reset).await.map_err(Error::internal)?
}

/// The seed of a body, if it has one. `{}` is what clients send that must send something.
async fn read_posted(app: &AppState, body: Bytes) -> Result<Option<(Directory, Arc<Seed>)>> {
    if matches!(body.trim_ascii(), b"" | b"{}") {
        return Ok(None);
    }
    let reader = Arc::clone(app);
    let read = move || {
        let home = reader.regions.iter().next();
        let home = home.map_or("", |region| region.name.as_str());
        let wrong = |rule: String| Error::invalid("seed", rule);
        let text = std::str::from_utf8(&body).map_err(|_| wrong("must be UTF-8".to_owned()))?;
        seed::read_posted(text, home, reader.world.first_seed())
            .map_err(|error| wrong(error.in_no_file()))
    };
    // A large one takes a while.
    let read = tokio::task::spawn_blocking(read).await;
    let (directory, seed) = read.map_err(Error::internal)??;
    if app.auth == Mode::Any && directory.builtin_admin().is_none() {
        let rule = "builtin_account: must not be false: the instance runs with --auth any, which \
                    makes everyone the built-in user";
        return Err(Error::invalid("seed", rule));
    }
    for warning in seed.warnings() {
        warn!("{warning}");
    }
    Ok(Some((directory, Arc::new(seed))))
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
        let seed = writer.world.seed();
        let exporter = Exporter {
            directory: &writer.directory,
            regions: &writer.regions,
            first: writer.world.first_seed(),
            seed: &seed,
        };
        exporter.write(&state)
    };
    // A large one takes a while.
    let text = tokio::task::spawn_blocking(write).await;
    let text = text.map_err(Error::internal)?;
    Ok(([(CONTENT_TYPE, YAML)], text).into_response())
}

fn push_sample_doc() -> OperationDoc {
    OperationDoc::new("Stores a small, real image under a tag, as a push would.")
        .takes(json_schema!({
            "type": "object",
            "required": ["namespace", "repository", "tag"],
            "properties": {
                "namespace": schema_of::<NamespaceName>(),
                "repository": schema_of::<RepositoryName>(),
                "tag": schema_of::<TagName>(),
                "nonce": {
                    "type": "string",
                    "description": "Determines the content of the image.",
                },
            },
        }))
        .answers::<PushedView>(StatusCode::CREATED)
        .refuses([
            Error::fault(Fault::NamespaceName, "namespace", ""),
            Error::fault(Fault::RepositoryName, "repository", ""),
            Error::NotFound(Resource::Namespace),
            Error::NotFound(Resource::Repository),
        ])
}

/// Stores a small real image under a tag exactly as a push would: `namespace`, `repository`,
/// `tag`, and optionally `nonce`, which its content follows from.
async fn push_sample(
    State(app): State<AppState>,
    request_id: RequestId,
    caller: Caller,
    body: JsonObject,
) -> Result<Response> {
    let namespace = NamespaceName::parse(body.string("namespace")?)?;
    let name = RepositoryName::parse(body.string("repository")?)?;
    let tag = TagName::parse_field("tag", body.string("tag")?)?;
    let nonce = match body.optional_string("nonce")? {
        Some(nonce) => nonce.to_owned(),
        None => getrandom::u64().map_err(Error::internal)?.to_string(),
    };
    let Editable(namespace) = Editable::named_for_push(&app, &caller, &namespace, &name).await?;
    let now = app.clock.now();
    let repository =
        repository_for_push(&app.db, &app.lookup, &namespace, &name, caller.user(), now).await?;
    let image = SampleImage::new(&nonce)?;
    let pushed_by = PushedBy::request(caller.user_name(), request_id.as_str());
    let pusher = app.pusher();
    let digest = pusher.push(&repository, tag, image, pushed_by).await?;
    let view = PushedView {
        digest: digest.to_string(),
    };
    Ok(JsonResponse(StatusCode::CREATED, view).into_response())
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PushedView")]
struct PushedView {
    digest: String,
}
