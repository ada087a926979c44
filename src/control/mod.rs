//! `/_emulator/`: the operations that SWR itself does not have. Here are readiness and a
//! push without an image; in `reset` the way back to the start or on to another seed, in `seed` the
//! state as a seed file, in `snapshot` all of it as a file and back, in `worlds` how everything
//! changes at once; in `firing` the outcome of pushes, in `waiting` the ways
//! to wait for it; for tests, in `clock` the time, in `faults` failures on purpose, in `requests` the
//! newest requests, in `events` all that happens as it happens, in `report` all that is remembered
//! of a run, and in `doctor` all that can be wrong.

mod clock;
mod doctor;
mod events;
mod faults;
mod firing;
mod report;
mod requests;
mod reset;
mod seed;
mod snapshot;
mod waiting;
mod worlds;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use tracing::warn;

pub(crate) use self::clock::{Move, move_clock};
pub use self::doctor::{Finding, Severity};
pub(crate) use self::faults::read_fault;
pub use self::report::Report;
pub(crate) use self::requests::Filter as RequestFilter;
pub(crate) use self::reset::reset_to;
pub(crate) use self::snapshot::{load_state, save_state};
use crate::app::{AppState, Routes};
use crate::auth::Caller;
use crate::error::{Error, Fault, Resource, Result};
use crate::http::{JsonResponse, OperationDoc, RequestId};
use crate::image::{SampleImage, repository_for_push};
use crate::json::JsonObject;
use crate::namespace::NamespaceName;
use crate::permission::Editable;
use crate::push::PushedBy;
use crate::repository::RepositoryName;
use crate::schema::schema_of;
use crate::tag::TagName;

const HEALTH: &str = "/_emulator/health";
const PUSH: &str = "/_emulator/push";

/// The operations of the emulator itself.
#[rustfmt::skip] // A table: one line an operation.
pub fn routes() -> Routes {
    Routes::of("Emulator")
        .open_get("EmulatorHealth", HEALTH, show, show_doc)
        .and(reset::routes())
        .and(seed::routes())
        .and(snapshot::routes())
        .post("EmulatorPush", PUSH, push_sample, push_sample_doc).with_recorded_body()
        .and(waiting::routes())
        .and(firing::routes())
        .and(clock::routes())
        .and(faults::routes())
        .and(requests::routes())
        .and(doctor::routes())
        .and(events::routes())
        .and(report::routes())
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
