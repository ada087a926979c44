//! Waiting for the outcome of pushes: `EmulatorIdle` and `EmulatorWait`.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use tokio::time::Instant;

use super::firing::{
    DecisionView, LandedView, PushView, repository, repository_params, tag, tag_param,
};
use crate::app::{App, AppState, Routes};
use crate::auth::Caller;
use crate::config::{DEFAULT_WAIT, parse_wait};
use crate::engine::store::count_waiting;
use crate::engine::{Counts, Ended, Until, Wait, Waited};
use crate::error::{Error, Fault, Resource, Result};
use crate::http::{JsonResponse, Operation, OperationDoc, Param, Query, QueryParams};
use crate::repository::RepositoryRef;
use crate::schema::{number_schema, schema_of};
use crate::sync;
use crate::tag::TagName;
use crate::trigger::{HistoryView, TriggerName};

const IDLE: &str = "/_emulator/idle";
const WAIT: &str = "/_emulator/wait";

/// How `EmulatorWait` answers.
const ANSWERS_TO_WAIT: &str = "\
Waits for the newest push of the tag, or for the next one if there is none yet. With `trigger`: \
200 with its history entry, whatever the result; 409 immediately, with the reason, if the trigger \
did not fire or its history does not reach back to the push; 404 if the push has arrived and no \
trigger has the name. Without `trigger`: 200 with the push, as in `/_emulator/pushes`, once none \
of its firings is pending, even if there were none. 408 at the timeout: with the push if it \
arrived, otherwise with an error that names the tag. With `until=healthy` a firing is pending until \
its workload runs the update: 200, also with `rollout` and `workload`, once the rollout is healthy; \
409 as soon as it is degraded or unknown, or the firing failed, with the reason and the message of \
the pod.";

/// The operations of this file.
#[rustfmt::skip] // A table: one line an operation.
pub(super) fn routes() -> Routes {
    Routes::of("Emulator")
        .route(Operation::new("EmulatorIdle", Method::GET, IDLE).waits(), idle, idle_doc)
        .route(Operation::new("EmulatorWait", Method::GET, WAIT).waits(), wait, wait_doc)
}

fn idle_doc() -> OperationDoc {
    OperationDoc::new("Waits until no firing and no sync is pending.")
        .query([timeout_param()])
        .answers::<IdleView>(StatusCode::OK)
        .answers::<IdleView>(StatusCode::REQUEST_TIMEOUT)
}

/// Waits until no firing and no sync job is open.
async fn idle(State(app): State<AppState>, query: Query) -> Result<Response> {
    let deadline = Instant::now() + timeout(&query.parameters())?;
    let mut counts = app.engine.counts();
    loop {
        // In this order: what is not in the table any more is counted, or about to be.
        counts.mark_unchanged();
        let is_late = Instant::now() >= deadline;
        // What is being recorded changes the counts in a moment: until then nobody looks into the
        // table.
        if is_late || counts.borrow().recording == 0 {
            let open = count_open(&app).await?;
            let Counts {
                recording,
                fired,
                failed,
            } = *counts.borrow();
            let is_idle = open == 0 && recording == 0;
            let status = match (is_idle, is_late) {
                (true, _) => Some(StatusCode::OK),
                (false, true) => Some(StatusCode::REQUEST_TIMEOUT),
                (false, false) => None,
            };
            if let Some(status) = status {
                let view = IdleView {
                    fired,
                    failed,
                    open: (!is_idle).then_some(open),
                };
                return Ok(JsonResponse(status, view).into_response());
            }
        }
        // Either way, the next turn tells.
        drop(tokio::time::timeout_at(deadline, counts.changed()).await);
    }
}

/// Firings and sync jobs without an outcome.
async fn count_open(app: &App) -> Result<i64> {
    // Jobs first: the end of one can open firings, in one transaction.
    let jobs = sync::store::count_open(app.db.lookups()).await?;
    Ok(jobs + count_waiting(app.db.lookups()).await?)
}

#[derive(Serialize, JsonSchema)]
struct IdleView {
    /// Firings that have ended since the program started, failed ones included.
    fired: u64,
    /// The number of these that failed.
    failed: u64,
    /// Firings and syncs that have not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<i64>,
}

fn wait_doc() -> OperationDoc {
    let after = "Only a push with a larger id counts. Use the id of the newest push in \
                 `/_emulator/pushes` before your own.";
    let trigger = "The trigger to wait for; omitted for all triggers that fire.";
    let until =
        "How far to wait: until the cluster took the update, or until its rollout is healthy.";
    let until_schema = json_schema!({
        "type": "string",
        "enum": ["fired", "healthy"],
        "default": "fired",
    });
    OperationDoc::new("Waits for the push of a tag and for its triggers.")
        .remarks(ANSWERS_TO_WAIT)
        .query(repository_params())
        .query([
            tag_param().mandatory(),
            Param::new("trigger", trigger, schema_of::<TriggerName>())
                .refused(Fault::Parameter)
                .missing(Resource::Trigger),
            Param::new("after", after, number_schema()).refused(Fault::Query),
            Param::new("until", until, until_schema).refused(Fault::Query),
            timeout_param(),
        ])
        .answers_either::<EntryView, PushView>(StatusCode::OK)
        .answers::<PushView>(StatusCode::REQUEST_TIMEOUT)
        .answers_either::<DecisionView, PushView>(StatusCode::CONFLICT)
        .refuses([Error::NoPush("the tag".to_owned())])
}

/// Waits for the push of a tag, and until it has settled for a trigger or for all.
async fn wait(State(app): State<AppState>, caller: Caller, query: Query) -> Result<Response> {
    let criteria = query.parameters();
    let deadline = Instant::now() + timeout(&criteria)?;
    let tag = tag(&criteria)?;
    let trigger = criteria.get("trigger");
    let trigger = trigger.map(|name| TriggerName::parse("trigger", name));
    let trigger = trigger.transpose()?;
    let after = after(&criteria)?;
    let until = until(&criteria)?;

    let wait = Wait {
        tag: &tag,
        trigger: trigger.as_ref(),
        until,
        after: after.unwrap_or(0),
        deadline,
    };
    let locate = || repository(&app, &caller, &criteria);
    let waited = app.engine.wait(wait, &app.matcher, locate).await?;
    Ok(match waited {
        Waited::Ended(ended) => {
            let view = EntryView::new(*ended, until);
            JsonResponse(StatusCode::OK, view).into_response()
        }
        Waited::Without(decision) => {
            let view = DecisionView::of(&app, decision);
            JsonResponse(StatusCode::CONFLICT, view).into_response()
        }
        Waited::Lost(push) => {
            let view = PushView::of(&app, push).await?;
            JsonResponse(StatusCode::CONFLICT, view).into_response()
        }
        Waited::Settled(push) => {
            let view = PushView::of(&app, push).await?;
            JsonResponse(StatusCode::OK, view).into_response()
        }
        Waited::Unsettled(push) => {
            let view = PushView::of(&app, push).await?;
            JsonResponse(StatusCode::REQUEST_TIMEOUT, view).into_response()
        }
        Waited::NoPush => {
            let repository = repository(&app, &caller, &criteria).await?;
            return Err(Error::NoPush(push_name(&repository, &tag, after)));
        }
    })
}

/// An entry of a trigger's history, with the rollout if that was waited for.
#[derive(Serialize, JsonSchema)]
struct EntryView {
    #[serde(flatten)]
    entry: HistoryView,
    #[serde(flatten)]
    landed: LandedView,
}

impl EntryView {
    fn new(ended: Ended, until: Until) -> Self {
        Self {
            entry: ended.entry.into(),
            landed: match until {
                Until::Fired => LandedView::default(),
                Until::Healthy => ended.landed.into(),
            },
        }
    }
}

/// The name, in an error, of a push that did not come.
fn push_name(repository: &RepositoryRef, tag: &TagName, after: Option<i64>) -> String {
    let namespace = repository.namespace.name.as_str();
    let name = format!("{namespace}/{}:{}", repository.name.as_str(), tag.as_str());
    match after {
        Some(after) => format!("{name} after the push {after}"),
        None => name,
    }
}

fn timeout_param() -> Param {
    let meaning = "How long to wait: `500ms`, `10s`, `2m`; at most `10m`.";
    let schema = json_schema!({
        "type": "string",
        "pattern": "^(?:[1-9]?[0-9]{1,4}ms|[1-5]?[0-9]{1,2}s|[0-9]m|10m)$",
        "default": "10s",
    });
    Param::new("timeout", meaning, schema).refused(Fault::Query)
}

/// `after`, the id of a push.
fn after(criteria: &QueryParams<'_>) -> Result<Option<i64>> {
    let Some(text) = criteria.get("after") else {
        return Ok(None);
    };
    let id = text.parse().ok().filter(|id| *id >= 0);
    let rule = "must be the id of a push, a whole number of 0 or more";
    id.ok_or_else(|| Error::fault(Fault::Query, "after", rule))
        .map(Some)
}

/// `until`: the outcome of the firing when absent.
fn until(criteria: &QueryParams<'_>) -> Result<Until> {
    match criteria.get("until") {
        None | Some("fired") => Ok(Until::Fired),
        Some("healthy") => Ok(Until::Healthy),
        Some(_) => {
            let rule = "must be fired or healthy";
            Err(Error::fault(Fault::Query, "until", rule))
        }
    }
}

/// `timeout`: ten seconds when absent.
fn timeout(criteria: &QueryParams<'_>) -> Result<Duration> {
    let Some(text) = criteria.get("timeout") else {
        return Ok(DEFAULT_WAIT);
    };
    parse_wait(text).map_err(|rule| Error::fault(Fault::Query, "timeout", rule))
}
