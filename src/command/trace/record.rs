//! What an emulator answers about pushes and workloads, as far as a trace tells it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::tree::Tree;
use crate::command::ask::escaped;

/// A push, as `/_emulator/pushes` shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Push {
    pub(super) id: i64,
    pub(super) tag: String,
    pub(super) digest: String,
    pub(super) pushed_by: String,
    pub(super) pushed_at: String,
    pub(super) request_id: Option<String>,
    pub(super) triggers: Vec<Decision>,
    pub(super) trigger_count: usize,
}

/// What a push meant for a trigger.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Decision {
    pub(super) trigger: String,
    pub(super) fires: bool,
    pub(super) reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_try_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) workload: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rollout: Option<Rollout>,
}

impl Decision {
    /// Whether nothing is left that its workload should have and has not, as far as that is known.
    pub(super) fn is_healthy(&self) -> bool {
        let is_deployed = !self.fires || self.result.as_deref() == Some("success");
        is_deployed && self.rollout.as_ref().is_none_or(Rollout::is_healthy)
    }

    /// One line on it.
    pub(super) fn told(&self) -> String {
        let Self {
            trigger,
            fires,
            reason,
            result,
            detail,
            tries,
            ..
        } = self;
        if !fires {
            return format!("{trigger} did not fire: {reason}");
        }
        let Some(result) = result else {
            return format!("{trigger} fired: {reason}");
        };
        let mut told = format!("{trigger} fired: {result}");
        if let Some(tries) = tries.filter(|tries| *tries > 1) {
            let _ = write!(told, " after {tries} tries");
        }
        match detail.as_deref() {
            None | Some("") => told,
            Some(detail) => format!("{told}: {detail}"),
        }
    }
}

/// Where a workload is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Place {
    /// The cluster's id.
    pub(super) cluster: String,
    pub(super) namespace: String,
    /// `deployments` or `statefulsets`.
    pub(super) kind: String,
    pub(super) name: String,
}

impl Place {
    /// Where the emulator shows it.
    pub(super) fn path(&self) -> String {
        format!(
            "/_emulator/clusters/{}/namespaces/{}/{}/{}",
            escaped(&self.cluster),
            escaped(&self.namespace),
            self.kind,
            escaped(&self.name)
        )
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            cluster,
            namespace,
            kind,
            name,
        } = self;
        write!(
            f,
            "{kind}/{name} in namespace {namespace} of cluster {cluster}"
        )
    }
}

/// How the pods of a workload follow a change.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Rollout {
    /// `progressing`, `healthy`, `degraded` or `unknown`.
    pub(super) state: String,
    #[serde(default)]
    pub(super) reason: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    observed: String,
    #[serde(default)]
    pub(super) since: String,
}

impl Rollout {
    pub(super) fn is_healthy(&self) -> bool {
        self.state == "healthy"
    }

    /// What to do where it did not end well; none where that cannot be told.
    fn fix(&self) -> Option<&'static str> {
        let Self {
            state,
            reason,
            message,
            ..
        } = self;
        if state != "degraded" {
            return None;
        }
        match reason.as_str() {
            "ErrImagePull" | "ImagePullBackOff" if message.contains("not found") => {
                Some("the registry does not have this tag (any more): push it again")
            }
            "ErrImagePull" | "ImagePullBackOff" => Some(
                "let the nodes reach the registry under the name in the image (--registry-host), \
                 without TLS, and with a pull secret if it is not public",
            ),
            "CrashLoopBackOff" => Some(
                "read the last lines of the container (kubectl logs --previous), and push an image \
                 that starts",
            ),
            "ProgressDeadlineExceeded" => Some(
                "look at the events of the pods (kubectl describe), and raise \
                 progressDeadlineSeconds if they only need more time",
            ),
            _ => None,
        }
    }

    /// It with the remedy below.
    pub(super) fn tree(&self) -> Tree {
        Tree::new(self.told()).with_all(self.fix().map(|fix| format!("fix: {fix}")))
    }

    /// One line on it.
    fn told(&self) -> String {
        let mut told = format!("rollout {}", self.state);
        if !self.since.is_empty() {
            let _ = write!(told, " since {}", self.since);
        }
        for (mark, text) in [(": ", &self.reason), (", ", &self.message)] {
            if !text.is_empty() {
                told.push_str(mark);
                told.push_str(text);
            }
        }
        told
    }
}

/// A workload, as its cluster's view shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Workload {
    pub(super) containers: Vec<Container>,
    pub(super) init_containers: Vec<Container>,
    pub(super) rollouts: Vec<Change>,
    pub(super) status: Option<Rollout>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
}

/// A container's change of image.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Change {
    pub(super) at: String,
    pub(super) trigger: String,
    pub(super) tag: String,
    pub(super) digest: String,
    pub(super) container: String,
    pub(super) before: String,
    pub(super) after: String,
}

impl Change {
    /// One line on it.
    pub(super) fn told(&self) -> String {
        let Self {
            container,
            before,
            after,
            ..
        } = self;
        if before == after {
            format!("container {container}: {after}, with new content")
        } else {
            format!("container {container}: {before} -> {after}")
        }
    }
}

/// A request that the emulator remembers.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct Request {
    pub(super) operation: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) caller: String,
    pub(super) status: u16,
    pub(super) time: String,
    pub(super) request_id: String,
}

impl Request {
    /// One line on it.
    pub(super) fn told(&self) -> String {
        let Self {
            operation,
            method,
            path,
            caller,
            status,
            time,
            request_id,
        } = self;
        format!(
            "request {method} {path} ({operation}, {status}) by {caller} at {time}, {request_id}"
        )
    }
}
