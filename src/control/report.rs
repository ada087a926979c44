//! All that an instance remembers of its run: `/_emulator/report`, a file beside the results of tests,
//! and a few lines after tests that failed (`swr-emulator exec`).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::firing::{DecisionView, MOST_DECISIONS_OF_PAGE, PushView};
use super::requests::RequestView;
use crate::app::{App, AppState, Routes};
use crate::auth::Controller;
use crate::edge::RecordedRequest;
use crate::engine::pushes::{LocatedPush, list_newest};
use crate::error::{Result, one_line};
use crate::http::{JsonResponse, Operation, OperationDoc};
use crate::workload::RolloutView;
use crate::workload::store::{LocatedRollout, list_newest_rollouts};

/// How many pushes and how many rollouts are told.
const MOST: u32 = 1000;

/// The share of room in a file that pushes may take, and rollouts, in hundredths; requests may take
/// the rest.
const PUSHES_SHARE: usize = 54;
const ROLLOUTS_SHARE: usize = 24;

const REPORT: &str = "/_emulator/report";

/// The operations of this file.
pub(super) fn routes() -> Routes {
    let report = Operation::new("EmulatorReport", Method::GET, REPORT).unrecorded();
    Routes::of("Emulator").route(report, show, show_doc)
}

fn show_doc() -> OperationDoc {
    OperationDoc::new("Shows all that is remembered: pushes, rollouts and requests, newest first.")
        .remarks("At most 1,000 of each.")
        .answers::<Report>(StatusCode::OK)
        .needs_control()
}

async fn show(State(app): State<AppState>, _: Controller) -> Result<Response> {
    let report = Report::of(&app).await?;
    Ok(JsonResponse(StatusCode::OK, report).into_response())
}

/// What an instance remembers of its run, newest first.
#[derive(Serialize, JsonSchema)]
pub struct Report {
    pushes: Vec<PushOfReport>,
    rollouts: Vec<RolloutOfReport>,
    #[serde(serialize_with = "as_views")]
    #[schemars(with = "Vec<RequestView>")]
    requests: Vec<Arc<RecordedRequest>>,
}

#[derive(Serialize, JsonSchema)]
struct PushOfReport {
    region: String,
    namespace: String,
    repository: String,
    #[serde(flatten)]
    push: PushView,
}

#[derive(Serialize, JsonSchema)]
struct RolloutOfReport {
    cluster_id: String,
    cluster_name: String,
    namespace: String,
    kind: String,
    name: String,
    #[serde(flatten)]
    rollout: RolloutView,
}

impl From<LocatedRollout> for RolloutOfReport {
    fn from(located: LocatedRollout) -> Self {
        Self {
            cluster_id: located.cluster_id,
            cluster_name: located.cluster_name,
            namespace: located.namespace,
            kind: located.kind,
            name: located.name,
            rollout: located.rollout.into(),
        }
    }
}

fn as_views<S: Serializer>(
    requests: &[Arc<RecordedRequest>],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(requests.iter().map(|request| RequestView::from(&**request)))
}

impl Report {
    /// Asks the instance.
    pub async fn of(app: &App) -> Result<Self> {
        let db = app.db.readers();
        let mut pushes = Vec::new();
        let mut decisions = 0;
        for located in list_newest(db, MOST).await? {
            if decisions > MOST_DECISIONS_OF_PAGE {
                break;
            }
            let LocatedPush {
                push,
                region,
                namespace,
                repository,
            } = located;
            let push = PushView::of(app, push).await?;
            decisions += push.triggers.len();
            pushes.push(PushOfReport {
                region,
                namespace,
                repository,
                push,
            });
        }
        let rollouts = list_newest_rollouts(db, MOST).await?;
        Ok(Self {
            pushes,
            rollouts: rollouts.into_iter().map(RolloutOfReport::from).collect(),
            requests: app.requests.newest_first(),
        })
    }

    /// As much of it as has room, the newest first. `size` says how much room a text takes.
    pub(crate) fn within(
        &self,
        most: usize,
        size: impl Fn(&str) -> usize,
    ) -> serde_json::Result<Excerpt> {
        let pushes = cut(&self.pushes, most * PUSHES_SHARE / 100, &size)?;
        let rollouts = cut(&self.rollouts, most * ROLLOUTS_SHARE / 100, &size)?;
        let requests = self.requests.iter();
        let requests: Vec<_> = requests
            .map(|request| RequestView::from(&**request))
            .collect();
        let rest = most - pushes.size - rollouts.size;
        let requests = cut(&requests, rest, &size)?;
        Ok(Excerpt {
            left_out: LeftOut {
                pushes: pushes.left_out,
                rollouts: rollouts.left_out,
                requests: requests.left_out,
            },
            pushes: pushes.kept,
            rollouts: rollouts.kept,
            requests: requests.kept,
        })
    }

    /// What may be why a test failed: firings that failed or have no outcome, then refused requests,
    /// the newest of both and each in a line, the newest last; `most` lines at the most.
    pub fn troubles(&self, most: usize) -> Vec<String> {
        let firings: Vec<_> = self
            .pushes
            .iter()
            .flat_map(PushOfReport::troubles)
            .collect();
        let requests = self.requests.iter().filter(|request| is_refused(request));
        let requests: Vec<_> = requests.map(|request| line_of(request)).collect();
        let all = firings.len() + requests.len();
        // Where there are more, a line says so.
        let room = if all > most {
            most.saturating_sub(1)
        } else {
            most
        };
        let of_firings = firings.len().min(room - requests.len().min(room / 2));
        let of_requests = requests.len().min(room - of_firings);
        let left_out = all - of_firings - of_requests;
        let firings = firings.into_iter().take(of_firings).rev();
        let requests = requests.into_iter().take(of_requests).rev();
        let more = (left_out > 0).then(|| format!("{left_out} more; --report FILE writes all"));
        firings.chain(requests).chain(more).collect()
    }
}

/// The newest parts of a report.
#[derive(Serialize)]
pub(crate) struct Excerpt {
    pushes: Vec<Box<RawValue>>,
    rollouts: Vec<Box<RawValue>>,
    requests: Vec<Box<RawValue>>,
    left_out: LeftOut,
}

/// How many there was no room for.
#[derive(Serialize)]
struct LeftOut {
    pushes: usize,
    rollouts: usize,
    requests: usize,
}

/// What there is room for of a list.
struct Cut {
    kept: Vec<Box<RawValue>>,
    size: usize,
    left_out: usize,
}

fn cut<T: Serialize>(
    all: &[T],
    most: usize,
    size: impl Fn(&str) -> usize,
) -> serde_json::Result<Cut> {
    let mut cut = Cut {
        kept: Vec::new(),
        size: 0,
        left_out: all.len(),
    };
    for one in all {
        let text = serde_json::value::to_raw_value(one)?;
        // With the comma.
        let with_it = cut.size + size(text.get()) + 1;
        if with_it > most {
            break;
        }
        cut.size = with_it;
        cut.left_out -= 1;
        cut.kept.push(text);
    }
    Ok(cut)
}

impl PushOfReport {
    /// A line for each trigger that fired and did not succeed, or not yet; the newest first.
    fn troubles(&self) -> impl Iterator<Item = String> {
        let Self {
            namespace,
            repository,
            push,
            ..
        } = self;
        push.triggers.iter().rev().filter_map(move |decision| {
            let trouble = trouble(decision)?;
            let (trigger, tag) = (&decision.trigger, &push.tag);
            let line = format!("firing {trigger} for {namespace}/{repository}:{tag}: {trouble}");
            Some(one_line(&line))
        })
    }
}

fn trouble(decision: &DecisionView) -> Option<String> {
    let DecisionView {
        fires,
        reason,
        result,
        detail,
        ..
    } = decision;
    match result.as_deref() {
        None if *fires => Some(format!("still open: {reason}")),
        Some("failed") => Some(format!("failed: {}", detail.as_deref().unwrap_or_default())),
        _ => None,
    }
}

/// Whether a request was refused that its client hoped to be served: clients of registries begin
/// without credentials, and ask whether an image is there before they push it.
fn is_refused(request: &RecordedRequest) -> bool {
    let RecordedRequest {
        operation,
        method,
        status,
        ..
    } = request;
    let is_challenge = *operation == "Base" && *status == StatusCode::UNAUTHORIZED;
    let is_question = method == Method::HEAD && *status == StatusCode::NOT_FOUND;
    (*status == 0 || *status >= 400) && !is_challenge && !is_question
}

fn line_of(request: &RecordedRequest) -> String {
    let RecordedRequest {
        method,
        path,
        status,
        code,
        message,
        ..
    } = request;
    let code = code.as_deref().unwrap_or_default();
    let message = message.as_deref().unwrap_or_default();
    one_line(&format!(
        "request {method} {path}: {status} {code} {message}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_list_without_room_for_all_the_oldest_are_left_out_and_counted() {
        let check = |most, kept: usize| {
            let cut = cut(&["new", "old", "oldest"], most, str::len).expect("JSON");
            assert_eq!((cut.kept.len(), cut.left_out), (kept, 3 - kept), "{most}");
            assert!(cut.size <= most);
        };
        // Each with its quotes and a comma.
        check(5, 0);
        check(6, 1);
        check(12, 2);
        check(20, 2);
        check(21, 3);
    }
}
