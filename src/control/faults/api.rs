//! The HTTP of faults.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use schemars::JsonSchema;
use serde::Serialize;

use super::body::parse;
use super::schema::schema;
use crate::app::{AppState, Routes};
use crate::auth::Controller;
use crate::error::{Error, Fault, Result};
use crate::faults::{FaultAction, PlannedFault};
use crate::http::{JsonResponse, NextPage, OperationDoc, Query, cut_to_page};
use crate::json::JsonObject;
use crate::schema::number_schema;

const FAULTS: &str = "/_emulator/faults";

/// The operations of this file.
pub(in crate::control) fn routes() -> Routes {
    Routes::of("Emulator")
        .post("EmulatorCreateFault", FAULTS, create, create_doc)
        .with_recorded_body()
        .list("EmulatorListFaults", FAULTS, list, list_doc)
        .delete("EmulatorDeleteFaults", FAULTS, delete, delete_doc)
}

fn create_doc() -> OperationDoc {
    OperationDoc::new("Makes an operation fail on purpose.")
        .remarks(
            "The operation fails after its credentials were checked and before anything is \
             written. There can be at most 1,000 faults; the oldest one that matches applies.",
        )
        .takes_for_table(schema)
        .answers::<FaultView>(StatusCode::CREATED)
        .needs_control()
        .refuses([
            Error::fault(Fault::NamespaceName, "namespace", ""),
            Error::fault(Fault::RepositoryName, "repository", ""),
        ])
}

async fn create(State(app): State<AppState>, _: Controller, body: JsonObject) -> Result<Response> {
    let fault = parse(&body, &app.operations)?;
    let view = FaultView::from(&fault);
    app.faults.add(fault)?;
    Ok(JsonResponse(StatusCode::CREATED, view).into_response())
}

fn list_doc() -> OperationDoc {
    OperationDoc::new("Lists all faults, the oldest first.")
        .answers::<Vec<FaultView>>(StatusCode::OK)
        .in_pages(number_schema())
}

/// All faults, the oldest first, with how many times each struck.
async fn list(State(app): State<AppState>, uri: Uri, query: Query) -> Result<Response> {
    let criteria = query.parameters();
    let limit = criteria.limit()?;
    // Faults go all at once, so that the number of those before stays right.
    let before = criteria.number("marker")?.unwrap_or(0);
    let mut page = app.faults.list_after(before);
    let next = cut_to_page(&mut page, limit, |_| before + i64::from(limit));
    let page: Vec<_> = page.iter().map(FaultView::from).collect();
    Ok(NextPage::of(&uri, next).on(JsonResponse(StatusCode::OK, page)))
}

fn delete_doc() -> OperationDoc {
    OperationDoc::new("Removes all faults.")
        .answers_nothing()
        .needs_control()
}

async fn delete(State(app): State<AppState>, _: Controller) -> StatusCode {
    app.faults.clear();
    StatusCode::NO_CONTENT
}

#[derive(Serialize, JsonSchema)]
pub(in crate::control) struct FaultView {
    operation: &'static str,
    namespace: Option<String>,
    repository: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
    caller: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    retry_after_s: Option<u32>,
    cut: bool,
    cut_after_bytes: Option<u64>,
    delay_ms: u128,
    times: Option<u64>,
    probability: Option<f64>,
    seed: Option<u64>,
    struck: u64,
}

impl From<&PlannedFault> for FaultView {
    fn from(fault: &PlannedFault) -> Self {
        let (status, code, retry_after_s) = match &fault.effect.action {
            FaultAction::Respond {
                status,
                code,
                retry_after_s,
            } => (
                Some(status.as_u16()),
                Some(code.to_string()),
                *retry_after_s,
            ),
            FaultAction::Disconnect | FaultAction::DisconnectAfter(_) | FaultAction::Continue => {
                (None, None, None)
            }
        };
        let cut_after_bytes = match fault.effect.action {
            FaultAction::DisconnectAfter(bytes) => Some(bytes),
            FaultAction::Respond { .. } | FaultAction::Disconnect | FaultAction::Continue => None,
        };
        let (only, chance) = (&fault.only, fault.chance.as_ref());
        Self {
            operation: fault.operation,
            namespace: only.namespace.clone(),
            repository: only.repository.clone(),
            tag: only.tag.clone(),
            digest: only.digest.clone(),
            caller: only.caller.clone(),
            status,
            code,
            retry_after_s,
            cut_after_bytes,
            cut: fault.effect.action == FaultAction::Disconnect,
            delay_ms: fault.effect.delay.as_millis(),
            times: fault.times,
            probability: chance.map(|chance| chance.probability),
            seed: chance.map(|chance| chance.seed),
            struck: fault.applied,
        }
    }
}
