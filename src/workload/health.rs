//! How a workload is after an update, and what a test planned for it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::clock::{Timestamp, parse_duration};
use crate::trigger::AppType;

/// The longest message of a plan, in characters.
pub const MAX_MESSAGE: usize = 1000;
/// The longest time that a planned rollout takes, in days.
pub const MOST_DAYS: i64 = 365;

/// How far a rollout has come.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::Type, IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum RolloutState {
    /// It has not ended.
    Progressing,
    /// All pods run the update.
    Healthy,
    /// The update does not get through.
    Degraded,
    /// The end was never seen: the workload went away, or the next update came first.
    Unknown,
}

impl RolloutState {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How a workload is.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Health {
    pub state: RolloutState,
    /// Why, in a word of Kubernetes'; empty where there is nothing to say.
    pub reason: String,
    /// Why, in words.
    pub message: String,
}

impl Health {
    /// A state with its reason.
    pub fn new(state: RolloutState, reason: &str, message: impl Into<String>) -> Self {
        Self {
            state,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    /// Nothing is wrong.
    pub fn healthy() -> Self {
        Self::new(RolloutState::Healthy, "", "")
    }

    /// Not known, since the workload was updated once more.
    pub fn superseded() -> Self {
        let message = "a later update came before this rollout ended";
        Self::new(RolloutState::Unknown, "Superseded", message)
    }

    /// Not known, since the workload went away.
    pub fn gone() -> Self {
        let message = "the workload was deleted or replaced before this rollout ended";
        Self::new(RolloutState::Unknown, "Deleted", message)
    }
}

/// How a rollout ends, as a test plans it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumString,
    IntoStaticStr,
    VariantNames,
)]
pub enum PlannedOutcome {
    #[serde(rename = "healthy")]
    #[strum(serialize = "healthy")]
    Healthy,
    ImagePullBackOff,
    CrashLoopBackOff,
    #[serde(rename = "stalled")]
    #[strum(serialize = "stalled")]
    Stalled,
}

impl PlannedOutcome {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What happens at each update of a simulated workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RolloutPlan {
    /// How the rollout ends.
    pub outcome: PlannedOutcome,
    /// When it ends, as a duration like `2s`; at once where omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The message of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The microseconds of `after`, unless it breaks the rule.
pub fn parse_after(text: &str) -> Option<i64> {
    let after = parse_duration(text)?;
    let is_fine = !after.is_negative() && after.as_hours() < MOST_DAYS * 24;
    is_fine.then(|| i64::try_from(after.as_micros()).ok())?
}

impl RolloutPlan {
    /// When a rollout ends that begins now; none where it ends at once.
    pub fn end(&self, now: Timestamp) -> Option<Timestamp> {
        let after = parse_after(self.after.as_deref()?)?;
        (after > 0).then(|| now.plus_microseconds(after))
    }
}

/// What the pods of a rollout find.
#[derive(Debug, Clone, Copy)]
pub struct Pods<'a> {
    pub kind: AppType,
    /// The workload's name.
    pub workload: &'a str,
    /// The container that was updated, and its image.
    pub container: &'a str,
    pub image: &'a str,
    /// Whether the registry has the image.
    pub is_image_there: bool,
}

impl Health {
    /// How a rollout ends.
    pub fn outcome(plan: Option<&RolloutPlan>, pods: Pods<'_>) -> Self {
        let Pods {
            kind,
            workload,
            container,
            image,
            is_image_there,
        } = pods;
        if !is_image_there {
            let message =
                format!("Back-off pulling image \"{image}\": ErrImagePull: {image}: not found");
            return Self::new(RolloutState::Degraded, "ImagePullBackOff", message);
        }
        let Some(plan) = plan else {
            return Self::healthy();
        };
        let (state, reason, message) = match plan.outcome {
            PlannedOutcome::Healthy => (RolloutState::Healthy, "", String::new()),
            PlannedOutcome::ImagePullBackOff => (
                RolloutState::Degraded,
                "ImagePullBackOff",
                format!("Back-off pulling image \"{image}\""),
            ),
            PlannedOutcome::CrashLoopBackOff => (
                RolloutState::Degraded,
                "CrashLoopBackOff",
                format!("back-off 10s restarting failed container={container}"),
            ),
            PlannedOutcome::Stalled => (
                RolloutState::Degraded,
                "ProgressDeadlineExceeded",
                format!(
                    "{} \"{workload}\" exceeded its progress deadline",
                    kind.resource()
                ),
            ),
        };
        Self::new(state, reason, plan.message.clone().unwrap_or(message))
    }
}

/// A pod template that a simulated workload had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its number in the workload, from 1.
    pub revision: i64,
    /// When it came.
    pub at: Timestamp,
    /// The image of each container.
    pub images: BTreeMap<String, String>,
    /// What became of it.
    pub state: RolloutState,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(is_image_there: bool) -> Pods<'static> {
        Pods {
            kind: AppType::StatefulSets,
            workload: "db",
            container: "main",
            image: "r.test/g/a:v2",
            is_image_there,
        }
    }

    #[test]
    fn a_rollout_ends_as_planned_unless_the_image_is_gone() {
        let check = |outcome, is_there, reason: &str, message: &str| {
            let plan = RolloutPlan {
                outcome,
                after: None,
                message: None,
            };
            let health = Health::outcome(Some(&plan), pods(is_there));
            assert_eq!((&*health.reason, &*health.message), (reason, message));
            let own = RolloutPlan {
                message: Some("mine".to_owned()),
                ..plan
            };
            let health = Health::outcome(Some(&own), pods(true));
            assert_eq!(health.message, "mine");
        };
        check(PlannedOutcome::Healthy, true, "", "");
        let pull = r#"Back-off pulling image "r.test/g/a:v2""#;
        check(
            PlannedOutcome::ImagePullBackOff,
            true,
            "ImagePullBackOff",
            pull,
        );
        let crash = "back-off 10s restarting failed container=main";
        check(
            PlannedOutcome::CrashLoopBackOff,
            true,
            "CrashLoopBackOff",
            crash,
        );
        let stall = r#"statefulset "db" exceeded its progress deadline"#;
        check(
            PlannedOutcome::Stalled,
            true,
            "ProgressDeadlineExceeded",
            stall,
        );
        let gone = format!("{pull}: ErrImagePull: r.test/g/a:v2: not found");
        check(PlannedOutcome::Healthy, false, "ImagePullBackOff", &gone);
        check(
            PlannedOutcome::CrashLoopBackOff,
            false,
            "ImagePullBackOff",
            &gone,
        );
        let none = Health::outcome(None, pods(false));
        assert_eq!(none.message, gone);
        assert_eq!(Health::outcome(None, pods(true)), Health::healthy());
    }

    #[test]
    fn a_rollout_takes_a_year_at_the_most() {
        let check = |text, expected| assert_eq!(parse_after(text), expected, "{text}");
        check("2s", Some(2_000_000));
        check("0s", Some(0));
        check("364d", Some(364 * 86_400_000_000));
        check("365d", None);
        check("-1s", None);
        check("soon", None);
        check("99999999999w", None);
    }
}
