//! What became of pushes, for tests and people: waiting until all is fired, what a tag would fire
//! and why not, and what each push did.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, Uri};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::app::{App, AppState};
use crate::auth::{Caller, reach_namespace};
use crate::config::parse_wait;
use crate::engine::store::{
    self, FiringState, RecordedPush, count_waiting, find_newest_push, list_pushes,
};
use crate::engine::{Counts, Explained};
use crate::error::{Error, Fault, Resource, Result};
use crate::http::{
    Answer, Criteria, Description, NextPage, Operation, Param, Query, Routes, Shape, cut_to_page,
};
use crate::namespace::NamespaceName;
use crate::permission::Level;
use crate::repository::{RepositoryName, RepositoryRef};
use crate::sync;
use crate::tag::TagName;
use crate::trigger::TriggerName;

/// How long `idle` and `wait` wait when nothing is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// How many triggers a push names at the most, and the pushes of a page together, but for the last.
const MOST_DECISIONS: u32 = 1000;
const MOST_DECISIONS_OF_PAGE: usize = 10_000;

/// The operations of this file.
pub(super) fn routes() -> Routes {
    Routes::of("Emulator")
        .with(
            Operation::new("EmulatorIdle", Method::GET, "/_emulator/idle")
                .waits()
                .described(|| {
                    Description::new("Waits until no firing is open.")
                        .query([timeout_param()])
                        .answers::<IdleView>(StatusCode::OK)
                        .answers::<IdleView>(StatusCode::REQUEST_TIMEOUT)
                }),
            idle,
        )
        .with(
            Operation::new("EmulatorWait", Method::GET, "/_emulator/wait")
                .waits()
                .described(|| {
                    let name = Param::new("trigger", "The trigger's name.", TriggerName::shape());
                    Description::new(
                        "Waits until a trigger has settled for the newest push of a tag.",
                    )
                    .query(repository_params())
                    .query([
                        tag_param().mandatory(),
                        name.mandatory().refused(Fault::Parameter),
                        timeout_param(),
                    ])
                    .answers::<crate::trigger::HistoryView>(StatusCode::OK)
                    .answers::<PushView>(StatusCode::REQUEST_TIMEOUT)
                    .refuses([Error::NotFound(Resource::Push)])
                }),
            wait,
        )
        .with(
            Operation::new("EmulatorExplain", Method::GET, "/_emulator/explain").described(|| {
                Description::new("Tells what a push of a tag would do, trigger by trigger.")
                    .query(repository_params())
                    .query([tag_param().mandatory()])
                    .answers::<Vec<ExplainedView>>(StatusCode::OK)
                    .in_pages(Shape::integer(0, i64::MAX))
            }),
            explain,
        )
        .with(
            Operation::new("EmulatorListPushes", Method::GET, "/_emulator/pushes")
                .lists()
                .described(|| {
                    Description::new("Lists pushes, newest first, with what became of triggers.")
                        .query(repository_params())
                        .query([Param::new("tag", "The tag's name.", Shape::text())])
                        .answers::<Vec<PushView>>(StatusCode::OK)
                        .in_pages(Shape::integer(0, i64::MAX))
                }),
            pushes,
        )
}

/// Waits until no firing and no sync job is open.
async fn idle(State(app): State<AppState>, query: Query) -> Result<Response> {
    let deadline = Instant::now() + timeout(&query.parameters())?;
    let mut counts = app.engine.counts();
    loop {
        // In this order: what is not in the table any more is counted, or about to be.
        counts.mark_unchanged();
        // Jobs first: the end of one can open firings, in one transaction.
        let waiting = sync::store::count_open(app.db.lookups()).await?
            + count_waiting(app.db.lookups()).await?;
        let Counts {
            recording,
            fired,
            failed,
        } = *counts.borrow();
        if waiting == 0 && recording == 0 {
            let view = IdleView {
                fired,
                failed,
                open: None,
            };
            return Ok(Answer(StatusCode::OK, view).into_response());
        }
        if tokio::time::timeout_at(deadline, counts.changed())
            .await
            .is_err()
        {
            let view = IdleView {
                fired,
                failed,
                open: Some(waiting),
            };
            return Ok(Answer(StatusCode::REQUEST_TIMEOUT, view).into_response());
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct IdleView {
    fired: u64,
    failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<i64>,
}

/// Waits until one trigger has settled for the newest push of a tag.
async fn wait(State(app): State<AppState>, caller: Caller, query: Query) -> Result<Response> {
    let criteria = query.parameters();
    let deadline = Instant::now() + timeout(&criteria)?;
    let repository = repository(&app, &caller, &criteria).await?;
    let tag = tag(&criteria)?;
    let trigger = TriggerName::parse("trigger", criteria.mandatory("trigger")?)?;
    let mut counts = app.engine.counts();
    let push = find_newest_push(app.db.lookups(), repository.id, &tag).await?;
    let push = push.ok_or(Error::NotFound(Resource::Push))?;
    loop {
        counts.borrow_and_update();
        let settled =
            store::find_history(app.db.lookups(), push.id, repository.id, trigger.as_str()).await?;
        if let Some(entry) = settled {
            let view = crate::trigger::HistoryView::from(entry);
            return Ok(Answer(StatusCode::OK, view).into_response());
        }
        if tokio::time::timeout_at(deadline, counts.changed())
            .await
            .is_err()
        {
            let view = PushView::of(&app, push).await?;
            return Ok(Answer(StatusCode::REQUEST_TIMEOUT, view).into_response());
        }
    }
}

/// The pushes of a repository, newest first, each with what became of every trigger.
async fn pushes(
    State(app): State<AppState>,
    caller: Caller,
    uri: Uri,
    query: Query,
) -> Result<Response> {
    let criteria = query.parameters();
    let (limit, before) = (criteria.limit()?, criteria.number("marker")?);
    let repository = repository(&app, &caller, &criteria).await?;
    let tag = criteria.get("tag");
    let db = app.db.readers();
    let mut found = list_pushes(db, repository.id, tag, before, limit + 1).await?;
    let mut next = cut_to_page(&mut found, limit, |last| last.id);
    let mut views = Vec::new();
    let mut decisions = 0;
    for push in found {
        if decisions > MOST_DECISIONS_OF_PAGE {
            next = Some(push.id + 1);
            break;
        }
        let view = PushView::of(&app, push).await?;
        decisions += view.triggers.len();
        views.push(view);
    }
    Ok(NextPage::of(&uri, next).on(Answer(StatusCode::OK, views)))
}

#[derive(Serialize, JsonSchema)]
struct PushView {
    id: i64,
    tag: String,
    digest: String,
    pushed_by: String,
    pushed_at: String,
    /// A thousand at the most.
    triggers: Vec<DecisionView>,
    /// How many there are in all.
    trigger_count: i64,
}

#[derive(Serialize, JsonSchema)]
struct DecisionView {
    trigger: String,
    fires: bool,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl PushView {
    async fn of(app: &App, push: RecordedPush) -> Result<Self> {
        let db = app.db.readers();
        let decisions = store::list_decisions(db, push.id, MOST_DECISIONS).await?;
        let trigger_count = store::count_decisions(db, push.id).await?;
        let triggers = decisions
            .into_iter()
            .map(|decision| match decision.state {
                FiringState::PassedOver { reason } => DecisionView {
                    trigger: decision.trigger_name,
                    fires: false,
                    reason,
                    result: None,
                    detail: None,
                },
                FiringState::Open => DecisionView {
                    trigger: decision.trigger_name,
                    fires: true,
                    reason: "waiting or running".to_owned(),
                    result: None,
                    detail: None,
                },
                FiringState::Ended { result, detail } => DecisionView {
                    trigger: decision.trigger_name,
                    fires: true,
                    reason: "matched".to_owned(),
                    result: Some(result),
                    detail: Some(detail),
                },
            })
            .collect::<Vec<_>>();
        Ok(Self {
            id: push.id,
            tag: push.tag,
            digest: push.digest,
            pushed_by: push.pushed_by,
            pushed_at: push.pushed_at.to_string(),
            triggers,
            trigger_count,
        })
    }
}

/// What a push of a tag would do now, trigger by trigger, without doing it.
async fn explain(
    State(app): State<AppState>,
    caller: Caller,
    uri: Uri,
    query: Query,
) -> Result<Response> {
    let criteria = query.parameters();
    let limit = criteria.limit()?;
    let after = criteria.number("marker")?.unwrap_or(0);
    let repository = repository(&app, &caller, &criteria).await?;
    let tag = tag(&criteria)?;
    let (explained, next) = app
        .engine
        .explain(&repository, &tag, &app.matcher, after, limit)
        .await?;
    let views: Vec<_> = explained.into_iter().map(ExplainedView::from).collect();
    Ok(NextPage::of(&uri, next).on(Answer(StatusCode::OK, views)))
}

#[derive(Serialize, JsonSchema)]
struct ExplainedView {
    trigger: String,
    fires: bool,
    reason: String,
    patch: Option<Value>,
}

impl From<Explained> for ExplainedView {
    fn from(explained: Explained) -> Self {
        Self {
            trigger: explained.trigger_name,
            fires: explained.fires,
            reason: explained.reason,
            patch: explained.patch,
        }
    }
}

/// The repository that `namespace` and `repository` name.
async fn repository(app: &App, caller: &Caller, criteria: &Criteria<'_>) -> Result<RepositoryRef> {
    let namespace = NamespaceName::parse(criteria.mandatory("namespace")?)?;
    let name = RepositoryName::parse(criteria.mandatory("repository")?)?;
    let namespace = reach_namespace(&namespace, app, caller).await?;
    let found = app.lookup.repository(&namespace, &name).await?;
    let found = found.ok_or(Error::NotFound(Resource::Repository))?;
    if Level::of(caller.user(), &namespace, Some(&found)).is_none() {
        return Err(Error::Forbidden);
    }
    Ok(found)
}

fn repository_params() -> [Param; 2] {
    let namespace = NamespaceName::shape();
    let repository = RepositoryName::shape();
    [
        Param::new("namespace", "The name of the organization.", namespace)
            .mandatory()
            .refused(Fault::NamespaceName)
            .missing(Resource::Namespace),
        Param::new("repository", "The name of the repository.", repository)
            .mandatory()
            .refused(Fault::RepositoryName)
            .missing(Resource::Repository),
    ]
}

fn tag_param() -> Param {
    Param::new("tag", "The tag's name.", TagName::shape())
}

fn timeout_param() -> Param {
    let shape = Shape::text()
        .pattern("^(?:[1-9]?[0-9]{1,4}ms|[1-5]?[0-9]{1,2}s|[0-9]m|10m)$")
        .default("10s");
    Param::new(
        "timeout",
        "How long to wait: `500ms`, `10s`, `2m`; at most `10m`.",
        shape,
    )
    .refused(Fault::Query)
}

fn tag(criteria: &Criteria<'_>) -> Result<TagName> {
    TagName::parse(criteria.mandatory("tag")?)
        .ok_or_else(|| Error::fault(Fault::Query, "tag", "must be the name of a tag"))
}

/// `timeout`: ten seconds when absent.
fn timeout(criteria: &Criteria<'_>) -> Result<Duration> {
    let Some(text) = criteria.get("timeout") else {
        return Ok(DEFAULT_TIMEOUT);
    };
    parse_wait(text).map_err(|rule| Error::fault(Fault::Query, "timeout", rule))
}
