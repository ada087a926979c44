//! The outcome of pushes, for tests and people: which triggers a tag would fire and why not, and the
//! effects of each push. Waiting for them is in `waiting`.

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::app::{App, AppState, Routes};
use crate::auth::Caller;
use crate::engine::pushes::{self, Decision, FiringState, PushPlace, RecordedPush, list_pushes};
use crate::engine::{ChosenWorkload, Expected, Explained, FiringRollout, Landed, Retry};
use crate::error::{Error, Fault, Resource, Result};
use crate::http::{JsonResponse, NextPage, OperationDoc, Param, Query, QueryParams, cut_to_page};
use crate::namespace::NamespaceName;
use crate::permission::Viewable;
use crate::repository::{RepositoryName, RepositoryRef};
use crate::schema::{number_schema, schema_of};
use crate::tag::TagName;
use crate::workload::RolloutState;

const EXPLAIN: &str = "/_emulator/explain";
const PUSHES: &str = "/_emulator/pushes";

/// How many triggers a push names at the most, and the pushes of a page together, but for the last.
const MOST_DECISIONS: u32 = 1000;
pub(super) const MOST_DECISIONS_OF_PAGE: usize = 10_000;

/// The operations of this file.
pub(super) fn routes() -> Routes {
    Routes::of("Emulator")
        .get("EmulatorExplain", EXPLAIN, explain, explain_doc)
        .list("EmulatorListPushes", PUSHES, pushes, pushes_doc)
}

fn pushes_doc() -> OperationDoc {
    OperationDoc::new("Lists pushes, newest first, with the result of each trigger.")
        .query(repository_params())
        .query([Param::new("tag", "The tag's name.", schema_of::<String>())])
        .answers::<Vec<PushView>>(StatusCode::OK)
        .in_pages(number_schema())
}

/// The pushes of a repository, newest first, each with the fate of every trigger.
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
    Ok(NextPage::of(&uri, next).on(JsonResponse(StatusCode::OK, views)))
}

#[derive(Serialize, JsonSchema)]
pub(super) struct PushView {
    id: i64,
    pub(super) tag: String,
    digest: String,
    pushed_by: String,
    pushed_at: String,
    /// The `X-Request-Id` of the request that pushed the tag; omitted if a sync did.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// The address of the push in the console.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
    /// At most 1,000.
    pub(super) triggers: Vec<DecisionView>,
    /// The total number of triggers.
    trigger_count: i64,
}

/// What a push meant for a trigger.
#[derive(Serialize, JsonSchema)]
pub(super) struct DecisionView {
    pub(super) trigger: String,
    pub(super) fires: bool,
    pub(super) reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
    /// The number of tries; so far, if the last try failed and there will be another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    tries: Option<u32>,
    /// Why the last try failed, if there will be another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_answer: Option<String>,
    /// When the next try begins; omitted while it is running.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_try_at: Option<String>,
    #[serde(flatten)]
    landed: LandedView,
}

/// Where a firing went, and what came of it there.
#[derive(Serialize, JsonSchema, Default)]
pub(super) struct LandedView {
    /// The workload that the firing chose; omitted if it never chose one.
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<ChosenWorkload>,
    /// The rollout of the update; omitted until the firing has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<FiringRolloutView>,
}

#[derive(Serialize, JsonSchema)]
struct FiringRolloutView {
    state: RolloutState,
    reason: String,
    message: String,
    /// When the state was looked at last.
    observed: String,
    /// Since when the rollout is in this state.
    since: String,
}

impl From<Landed> for LandedView {
    fn from(landed: Landed) -> Self {
        let Landed { workload, rollout } = landed;
        Self {
            workload,
            rollout: rollout.map(|rollout| {
                let FiringRollout {
                    health,
                    since,
                    observed,
                } = rollout;
                FiringRolloutView {
                    state: health.state,
                    reason: health.reason,
                    message: health.message,
                    observed: observed.to_string(),
                    since: since.to_string(),
                }
            }),
        }
    }
}

impl DecisionView {
    pub(super) fn of(app: &App, decision: Decision) -> Self {
        let mut view = Self {
            trigger: decision.trigger_name,
            fires: true,
            reason: String::new(),
            result: None,
            detail: None,
            tries: None,
            last_answer: None,
            next_try_at: None,
            landed: LandedView::default(),
        };
        match decision.state {
            FiringState::PassedOver { reason } => {
                view.fires = false;
                view.reason = reason;
            }
            FiringState::Open { firing_id } => match app.engine.retry(firing_id) {
                None => "waiting or running".clone_into(&mut view.reason),
                Some(retry) => view.add_retry(app, retry),
            },
            FiringState::Ended {
                result,
                detail,
                tries,
                landed,
            } => {
                "matched".clone_into(&mut view.reason);
                view.result = Some(result);
                view.detail = Some(detail);
                view.tries = Some(tries);
                view.landed = (*landed).into();
            }
            FiringState::Forgotten => {
                "matched, but the history of the trigger no longer reaches back to this push"
                    .clone_into(&mut view.reason);
            }
        }
        view
    }

    fn add_retry(&mut self, app: &App, retry: Retry) {
        self.reason = retry.told();
        self.next_try_at = retry.pause().map(|pause| {
            let microseconds = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
            app.clock.now().plus_microseconds(microseconds).to_string()
        });
        self.tries = Some(retry.tries);
        self.last_answer = Some(retry.last_answer);
    }
}

impl PushView {
    pub(super) async fn of(app: &App, push: RecordedPush) -> Result<Self> {
        let db = app.db.readers();
        let decisions = pushes::list_decisions(db, push.id, MOST_DECISIONS).await?;
        let trigger_count = pushes::count_decisions(db, push.id).await?;
        let place = pushes::find_place(db, push.id).await?;
        let page = place.and_then(|place| page_of(app, &place, push.id));
        let triggers = decisions
            .into_iter()
            .map(|decision| DecisionView::of(app, decision))
            .collect();
        Ok(Self {
            id: push.id,
            tag: push.tag,
            digest: push.digest,
            pushed_by: push.pushed_by,
            pushed_at: push.pushed_at.to_string(),
            request_id: push.request_id,
            page,
            triggers,
            trigger_count,
        })
    }
}

/// The address of a push in the console.
fn page_of(app: &App, place: &PushPlace, push_id: i64) -> Option<String> {
    let region = app.regions.get(&place.region)?;
    Some(region.page_of_push(&place.namespace, &place.repository, push_id))
}

fn explain_doc() -> OperationDoc {
    OperationDoc::new("Predicts the effect of a push of a tag, trigger by trigger.")
        .remarks(
            "`outcome` is the effect on the workload: `updates`, `unchanged`, `fails` (the trigger \
             fires but cannot update it) or `skipped` (the trigger does not fire). `reason` \
             explains it, and `patch` is the patch that the cluster would receive.",
        )
        .query(repository_params())
        .query([tag_param().mandatory()])
        .answers::<Vec<ExplainedView>>(StatusCode::OK)
        .in_pages(number_schema())
}

/// Tells the effects that a push of a tag would have now, trigger by trigger, without a push.
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
    Ok(NextPage::of(&uri, next).on(JsonResponse(StatusCode::OK, views)))
}

#[derive(Serialize, JsonSchema)]
struct ExplainedView {
    trigger: String,
    fires: bool,
    outcome: OutcomeView,
    reason: String,
    #[schemars(with = "Option<Map<String, Value>>")]
    patch: Option<Value>,
}

/// The effect on the workload.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ExplainedOutcome")]
enum OutcomeView {
    Updates,
    Unchanged,
    Fails,
    Skipped,
}

impl From<Expected> for OutcomeView {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::Updates => Self::Updates,
            Expected::Unchanged => Self::Unchanged,
            Expected::Fails => Self::Fails,
            Expected::Skipped => Self::Skipped,
        }
    }
}

impl From<Explained> for ExplainedView {
    fn from(explained: Explained) -> Self {
        Self {
            trigger: explained.trigger_name,
            fires: explained.expected != Expected::Skipped,
            outcome: explained.expected.into(),
            reason: explained.reason,
            patch: explained.patch,
        }
    }
}

/// The repository that `namespace` and `repository` name.
pub(super) async fn repository(
    app: &App,
    caller: &Caller,
    criteria: &QueryParams<'_>,
) -> Result<RepositoryRef> {
    let namespace = NamespaceName::parse(criteria.mandatory("namespace")?)?;
    let name = RepositoryName::parse(criteria.mandatory("repository")?)?;
    let Viewable(found) = Viewable::named(app, caller, &namespace, &name).await?;
    Ok(found)
}

pub(super) fn repository_params() -> [Param; 2] {
    let namespace = schema_of::<NamespaceName>();
    let repository = schema_of::<RepositoryName>();
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

pub(super) fn tag_param() -> Param {
    Param::new("tag", "The tag's name.", schema_of::<TagName>())
}

pub(super) fn tag(criteria: &QueryParams<'_>) -> Result<TagName> {
    TagName::parse(criteria.mandatory("tag")?)
        .ok_or_else(|| Error::fault(Fault::Query, "tag", "must be the name of a tag"))
}
