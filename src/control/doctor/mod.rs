//! `/_emulator/doctor`: everything that can be wrong with an instance and its clusters (`instance`,
//! `clusters`), or between the triggers of a repository and their workloads (`repository`,
//! `trigger`), each checked, and told with its remedy. A check is a small function.

mod clusters;
mod instance;
mod repository;
mod trigger;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{AppState, Routes};
use crate::auth::Controller;
use crate::error::{Fault, Result};
use crate::http::{JsonResponse, OperationDoc, Param, Query};
use crate::namespace::NamespaceName;
use crate::repository::RepositoryName;
use crate::schema::schema_of;
use crate::trigger::TriggerName;

const DOCTOR: &str = "/_emulator/doctor";

/// The operations of this file.
pub(super) fn routes() -> Routes {
    Routes::of("Emulator").get("EmulatorDoctor", DOCTOR, examine, examine_doc)
}

fn examine_doc() -> OperationDoc {
    let namespace = schema_of::<NamespaceName>();
    let repository = schema_of::<RepositoryName>();
    let trigger = schema_of::<TriggerName>();
    OperationDoc::new("Checks everything that can be wrong, and names the fix.")
        .remarks(
            "Without parameters: the instance and its clusters. With `namespace` and `repository`: \
             the triggers of the repository, or the one that `trigger` names. Real clusters are \
             asked. A warning is about something that may be meant.",
        )
        .query([
            Param::new("namespace", "The name of the organization.", namespace)
                .refused(Fault::NamespaceName),
            Param::new("repository", "The name of the repository.", repository)
                .refused(Fault::RepositoryName),
            Param::new("trigger", "The name of the trigger.", trigger).refused(Fault::Parameter),
        ])
        .answers::<Vec<Finding>>(StatusCode::OK)
        .needs_control()
}

async fn examine(State(app): State<AppState>, _: Controller, query: Query) -> Result<Response> {
    let criteria = query.parameters();
    let named = ["namespace", "repository", "trigger"].map(|key| criteria.get(key));
    let findings = if named == [None; 3] {
        let mut findings = instance::examine(&app).await?;
        findings.extend(clusters::examine(&app).await?);
        findings
    } else {
        let namespace = NamespaceName::parse(criteria.mandatory("namespace")?)?;
        let name = RepositoryName::parse(criteria.mandatory("repository")?)?;
        let trigger = criteria.get("trigger");
        let trigger = trigger.map(|trigger| TriggerName::parse("trigger", trigger));
        repository::examine(&app, &namespace, &name, trigger.transpose()?).await?
    };
    Ok(JsonResponse(StatusCode::OK, findings).into_response())
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "the names say it, and the document of the API repeats texts"
)]
pub struct Finding {
    /// What was checked.
    pub check: String,
    /// Whether nothing is wrong.
    pub ok: bool,
    pub severity: Severity,
    pub finding: String,
    /// What to do about it; empty if nothing is wrong.
    pub fix: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is wrong.
    None,
    /// It may be meant.
    Warning,
    /// It cannot work.
    Error,
}

impl Finding {
    fn new(
        check: impl Into<String>,
        severity: Severity,
        finding: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            check: check.into(),
            ok: severity == Severity::None,
            severity,
            finding: finding.into(),
            fix: fix.into(),
        }
    }

    /// That nothing is wrong.
    pub fn fine(check: impl Into<String>, finding: impl Into<String>) -> Self {
        Self::new(check, Severity::None, finding, "")
    }

    /// That something may not be meant.
    pub fn warning(
        check: impl Into<String>,
        finding: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(check, Severity::Warning, finding, fix)
    }

    /// That something cannot work.
    pub fn error(
        check: impl Into<String>,
        finding: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(check, Severity::Error, finding, fix)
    }
}
