//! The HTTP of triggers (API reference, trigger management).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use tracing::{info, warn};

use super::body::{body_schema, enable_schema, enabled, read_body};
use super::lint::{self, Surroundings};
use super::store::{self, CreateTrigger, DeleteTrigger, EnableTrigger};
use super::{NewTrigger, Trigger, TriggerName};
use crate::account::NO_AGENCY;
use crate::app::{App, AppState, Routes};
use crate::auth::Caller;
use crate::engine::history::{self, HistoryEntry};
use crate::error::{Error, Fault, Resource, Result, one_line};
use crate::http::{JsonResponse, OperationDoc, Query, Segment, empty_object, json};
use crate::json::JsonObject;
use crate::permission::{Editable, Viewable, for_readers_of};
use crate::repository::RepositoryRef;
use crate::tag::accessory;

const TRIGGERS: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/triggers";
const TRIGGER: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/triggers/{trigger}";

static HINT: HeaderName = HeaderName::from_static("x-emulator-hint");
const HINT_MEANING: &str =
    "Not of SWR: what its maker may not have meant; absent with `--hints off`.";

/// How many triggers of a list are in memory at once.
const PIECE: u32 = 1000;

/// The operations of this chapter.
pub fn routes() -> Routes {
    Routes::of("Triggers")
        .post("CreateTrigger", TRIGGERS, create, create_doc)
        .with_recorded_body()
        .list("ListTriggersDetails", TRIGGERS, list, list_doc)
        .get("ShowTrigger", TRIGGER, show, show_doc)
        .patch("UpdateTrigger", TRIGGER, update, update_doc)
        .with_recorded_body()
        .delete("DeleteTrigger", TRIGGER, delete, delete_doc)
}

fn create_doc() -> OperationDoc {
    OperationDoc::new("Adds a trigger to a repository.")
        .takes(body_schema())
        .answers_empty_object(StatusCode::CREATED)
        .with_optional_header("X-Emulator-Hint", HINT_MEANING)
        .refuses([
            Error::AlreadyExists(Resource::Trigger),
            Error::ClusterUnavailable(
                "deployment (with `--strict-targets` or `--require-agency`)".to_owned(),
            ),
        ])
}

/// `CreateTrigger`
async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Editable(repository): Editable<RepositoryRef>,
    body: JsonObject,
) -> Result<Response> {
    let trigger = read_body(&body)?;
    let hint = if app.strict_targets {
        // In a box of its own: without it, each creation would have the room for it.
        Box::pin(app.engine.check_target(&repository, &trigger)).await?
    } else {
        None
    };
    if app
        .engine
        .lacks_agency(&repository.namespace.account_id)
        .await?
    {
        return Err(refuse_without_agency(&app, &repository, &trigger).await?);
    }
    let now = app.clock.now();
    let write = CreateTrigger::new(repository.id, &trigger, caller.user_name(), now)?;
    let surroundings = match &app.hints {
        None => Surroundings::default(),
        Some(known) => Box::pin(known.surroundings(&app.db, repository.id, &trigger)).await?,
    };
    app.db.write(write).await?;
    if let Some(hint) = &hint {
        let (name, hint) = (trigger.name.as_str(), one_line(hint));
        warn!(
            trigger.name = name,
            "Trigger {name} cannot update anything yet: {hint}"
        );
    }
    let hints = match &app.hints {
        None => Vec::new(),
        Some(known) => {
            known.note(&app.db, repository.id, &trigger);
            lint::hints(&trigger, &surroundings)
        }
    };
    Ok(hinting(
        empty_object(StatusCode::CREATED),
        &trigger.name,
        &hints,
    ))
}

/// An answer that carries hints, which the log tells, too.
fn hinting(mut response: Response, name: &TriggerName, hints: &[String]) -> Response {
    if let Some(line) = lint::line(hints)
        && let Ok(value) = HeaderValue::try_from(&line)
    {
        let name = name.as_str();
        info!(trigger.name = name, "Hint for the trigger {name}: {line}");
        response.headers_mut().insert(&HINT, value);
    }
    response
}

/// The refusal of a trigger that nothing could be deployed for, which is also what the live
/// service says. That the name is taken comes before it.
async fn refuse_without_agency(
    app: &App,
    repository: &RepositoryRef,
    trigger: &NewTrigger,
) -> Result<Error> {
    let taken = store::find(app.db.lookups(), repository.id, &trigger.name).await?;
    Ok(if taken.is_some() {
        Error::AlreadyExists(Resource::Trigger)
    } else {
        let kind = trigger.app_type.resource();
        Error::ClusterUnavailable(format!("{kind}: {NO_AGENCY}"))
    })
}

fn list_doc() -> OperationDoc {
    OperationDoc::new("Lists the triggers of a repository without their history.")
        .answers::<Vec<TriggerView>>(StatusCode::OK)
}

/// `ListTriggersDetails`, which has no pages. A long list is read and written piece by piece, so
/// that it is never in memory as a whole.
async fn list(
    State(app): State<AppState>,
    Viewable(repository): Viewable<RepositoryRef>,
) -> Result<Response> {
    let first = store::list(app.db.readers(), repository.id, 0, PIECE).await?;
    if first.len() < PIECE as usize {
        let views: Vec<_> = first.into_iter().map(TriggerView::listed).collect();
        let subject = store::list_subject(repository.id);
        let answer = JsonResponse(StatusCode::OK, views);
        return Ok(for_readers_of(repository, Some(subject), answer));
    }
    let pieces = stream::try_unfold((first, b'['), move |(piece, opening)| {
        let app = Arc::clone(&app);
        async move { write_piece(&app, repository.id, piece, opening).await }
    });
    // The status is on its way by then: the client sees that the connection breaks.
    let pieces = pieces.inspect_err(|error| {
        warn!(chain = error.chain(), "A list of triggers was cut short");
    });
    Ok(json(StatusCode::OK, Body::from_stream(pieces)))
}

/// A piece of the list as JSON, after `[` or `,`, and what the next one begins with; nothing after
/// the end.
async fn write_piece(
    app: &App,
    repository_id: i64,
    piece: Vec<Trigger>,
    opening: u8,
) -> Result<Option<(Bytes, (Vec<Trigger>, u8))>> {
    let Some(last) = piece.last().map(|trigger| trigger.id) else {
        return Ok(None);
    };
    let mut text = Vec::new();
    let mut separator = opening;
    for trigger in piece {
        text.push(separator);
        serde_json::to_writer(&mut text, &TriggerView::listed(trigger)).map_err(Error::internal)?;
        separator = b',';
    }
    let next = store::list(app.db.readers(), repository_id, last, PIECE).await?;
    if next.is_empty() {
        text.push(b']');
    }
    Ok(Some((Bytes::from(text), (next, b','))))
}

fn show_doc() -> OperationDoc {
    let doc = OperationDoc::new("Shows a trigger with its history.");
    accessory::or_accessories::<TriggerView>(doc, "triggers")
}

/// `ShowTrigger`
async fn show(
    State(app): State<AppState>,
    name: TriggerName,
    Viewable(repository): Viewable<RepositoryRef>,
    query: Query,
) -> Result<Response> {
    let trigger = store::find(app.db.lookups(), repository.id, &name).await?;
    let Some(trigger) = trigger else {
        let instead =
            accessory::instead_of(&app, &repository, "triggers", name.as_str(), &query).await?;
        return instead.ok_or(Error::NotFound(Resource::Trigger));
    };
    let history = if trigger.has_history {
        history::list_history(app.db.lookups(), repository.id, name.as_str()).await?
    } else {
        Vec::new()
    };
    let subject = store::subject(repository.id, &name);
    let answer = JsonResponse(StatusCode::OK, TriggerView::shown(trigger, history));
    Ok(for_readers_of(repository, Some(subject), answer))
}

fn update_doc() -> OperationDoc {
    OperationDoc::new("Enables or disables a trigger; nothing else can be changed.")
        .takes(json_schema!({
            "type": "object",
            "required": ["enable"],
            "properties": {"enable": enable_schema()},
        }))
        .answers_empty_object(StatusCode::CREATED)
        .with_optional_header("X-Emulator-Hint", HINT_MEANING)
}

/// `UpdateTrigger`: nothing but `enable` can be changed.
async fn update(
    State(app): State<AppState>,
    name: TriggerName,
    Editable(repository): Editable<RepositoryRef>,
    body: Result<JsonObject>,
) -> Result<Response> {
    let enabled = match body.and_then(|body| enabled(&body)) {
        Ok(enabled) => enabled,
        // That the trigger is missing is told before any fault of the body.
        Err(fault) => {
            let found = store::find(app.db.lookups(), repository.id, &name).await?;
            return Err(found.map_or(Error::NotFound(Resource::Trigger), |_| fault));
        }
    };
    let write = EnableTrigger {
        repository_id: repository.id,
        name: name.clone(),
        enabled,
    };
    app.db.write(write).await?;
    let found = if enabled && app.hints.is_some() {
        store::find(app.db.lookups(), repository.id, &name).await?
    } else {
        None
    };
    let hints = found.map(|trigger| lint::of_condition(&trigger.condition));
    let response = empty_object(StatusCode::CREATED);
    Ok(hinting(response, &name, &hints.unwrap_or_default()))
}

fn delete_doc() -> OperationDoc {
    OperationDoc::new("Deletes a trigger with its history.").answers_nothing()
}

/// `DeleteTrigger`
async fn delete(
    State(app): State<AppState>,
    name: TriggerName,
    Editable(repository): Editable<RepositoryRef>,
) -> Result<StatusCode> {
    let write = DeleteTrigger {
        repository_id: repository.id,
        name,
    };
    app.db.write(write).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl<S: Sync> FromRequestParts<S> for TriggerName {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let segment = Segment::read(parts, "trigger", Fault::Parameter).await?;
        Self::parse("trigger", &segment)
    }
}

/// The reference's trigger object.
#[derive(Serialize, JsonSchema)]
struct TriggerView {
    action: &'static str,
    app_type: &'static str,
    application: String,
    cluster_id: String,
    cluster_name: String,
    cluster_ns: String,
    condition: String,
    container: String,
    created_at: String,
    creator_name: String,
    enable: &'static str,
    name: String,
    trigger_history: Option<Vec<HistoryView>>,
    trigger_mode: &'static str,
    trigger_type: &'static str,
}

impl TriggerView {
    /// As `ListTriggersDetails` shows it: the history is null there.
    fn listed(trigger: Trigger) -> Self {
        Self {
            action: "update",
            app_type: trigger.app_type.as_str(),
            application: trigger.application,
            cluster_id: trigger.cluster.id().to_owned(),
            cluster_name: trigger.cluster.name().to_owned(),
            cluster_ns: trigger.cluster_ns,
            condition: trigger.condition.text().to_owned(),
            container: trigger.container,
            created_at: trigger.created_at.to_string(),
            creator_name: trigger.creator_name,
            enable: if trigger.enabled { "true" } else { "false" },
            name: trigger.name.as_str().to_owned(),
            trigger_history: None,
            trigger_mode: trigger.cluster.trigger_mode().as_str(),
            trigger_type: trigger.condition.trigger_type().as_str(),
        }
    }

    /// As `ShowTrigger` shows it.
    fn shown(trigger: Trigger, history: Vec<HistoryEntry>) -> Self {
        Self {
            trigger_history: Some(history.into_iter().map(HistoryView::from).collect()),
            ..Self::listed(trigger)
        }
    }
}

/// An entry of `trigger_history`: the trigger as it was when it fired, and the result.
#[derive(Serialize, JsonSchema)]
pub(crate) struct HistoryView {
    action: &'static str,
    app_type: String,
    application: String,
    cluster_id: String,
    cluster_name: String,
    cluster_ns: String,
    condition: String,
    container: String,
    created_at: String,
    creator_name: String,
    detail: String,
    result: String,
    tag: String,
}

impl From<HistoryEntry> for HistoryView {
    fn from(entry: HistoryEntry) -> Self {
        Self {
            action: "update",
            app_type: entry.app_type,
            application: entry.application,
            cluster_id: entry.cluster_id,
            cluster_name: entry.cluster_name,
            cluster_ns: entry.cluster_ns,
            condition: entry.condition,
            container: entry.container,
            created_at: entry.created_at.to_string(),
            creator_name: entry.creator_name,
            detail: entry.detail,
            result: entry.result,
            tag: entry.tag,
        }
    }
}
