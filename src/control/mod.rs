//! `/_emulator/`: what SWR itself does not have. Readiness, the way back to the start, and a push
//! without an image; in `firing`, what became of pushes.

mod firing;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use serde::Serialize;

use crate::app::AppState;
use crate::auth::{Caller, Level};
use crate::error::{Error, Resource, Result};
use crate::http::{Answer, Fields, Operation, Routes};
use crate::namespace::NamespaceName;
use crate::registry::{SampleImage, push};
use crate::repository::store::CreateRepository;
use crate::repository::{NewRepository, RepositoryName};
use crate::seed::Reset;
use crate::tag::TagName;

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
        .with(
            Operation::new("EmulatorPush", Method::POST, "/_emulator/push"),
            push_sample,
        )
        .and(firing::routes())
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

/// Forgets everything but the seed file, issued tokens and images included, in one transaction.
async fn reset(State(app): State<AppState>) -> Result<StatusCode> {
    let unused = app.db.write(Reset::to(&app)).await?;
    app.tokens.clear();
    app.engine.look_again();
    app.registry.files.forget_all();
    app.registry.files.remove(unused).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Stores a small real image under a tag exactly as a push would: `namespace`, `repository`,
/// `tag`, and optionally `nonce`, which its content follows from.
async fn push_sample(
    State(app): State<AppState>,
    caller: Caller,
    body: Fields,
) -> Result<Response> {
    let namespace = NamespaceName::parse(body.string("namespace")?)?;
    let name = RepositoryName::parse(body.string("repository")?)?;
    let tag = TagName::parse(body.string("tag")?).ok_or_else(|| {
        let rule = "must have 1 to 128 letters, digits, _ . - and not start with . or -";
        Error::invalid("tag", rule)
    })?;
    let nonce = match body.optional_string("nonce")? {
        Some(nonce) => nonce.to_owned(),
        None => getrandom::u64().map_err(Error::internal)?.to_string(),
    };
    let namespace = app
        .lookup
        .namespace(&namespace)
        .await?
        .filter(|namespace| Level::of(&caller, namespace).is_some())
        .ok_or(Error::NotFound(Resource::Namespace))?;
    let mut repository = app.lookup.repository(&namespace, &name).await?;
    if repository.is_none() {
        let new = NewRepository::by_push(&namespace, &name, caller.user(), app.clock.now());
        match app.db.write(CreateRepository(new)).await {
            Ok(()) | Err(Error::AlreadyExists(_)) => {}
            Err(error) => return Err(error),
        }
        repository = app.lookup.repository(&namespace, &name).await?;
    }
    let repository = repository.ok_or(Error::NotFound(Resource::Repository))?;
    let image = SampleImage::new(&nonce)?;
    let digest = push(&app, &repository, tag, image, caller.user_name()).await?;
    let view = PushView {
        digest: digest.to_string(),
    };
    Ok(Answer(StatusCode::CREATED, view).into_response())
}

#[derive(Serialize)]
struct PushView {
    digest: String,
}
