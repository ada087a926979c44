//! All that an instance remembers of its run: a file beside the results of tests, and a few lines
//! after tests that failed (`swr-emulator exec`).

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::{Serialize, Serializer};

use super::firing::{DecisionView, MOST_DECISIONS_OF_PAGE, PushView};
use super::requests::RequestView;
use crate::app::App;
use crate::edge::RecordedRequest;
use crate::engine::pushes::{LocatedPush, list_newest};
use crate::error::{Result, one_line};
use crate::workload::RolloutView;
use crate::workload::store::{LocatedRollout, list_newest_rollouts};

/// How many pushes and how many rollouts are told.
const MOST: u32 = 1000;

/// What an instance remembers of its run, newest first.
#[derive(Serialize)]
pub struct Report {
    pushes: Vec<PushOfReport>,
    rollouts: Vec<RolloutOfReport>,
    #[serde(serialize_with = "as_views")]
    requests: Vec<Arc<RecordedRequest>>,
}

#[derive(Serialize)]
struct PushOfReport {
    region: String,
    namespace: String,
    repository: String,
    #[serde(flatten)]
    push: PushView,
}

#[derive(Serialize)]
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
