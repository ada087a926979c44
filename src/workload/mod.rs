//! Workloads of simulated clusters: Deployments and StatefulSets as far as a trigger sees them.
//!
//! `health` says what becomes of them after an update; `api` is their HTTP (`/_emulator/clusters`),
//! `store` their SQL.

mod api;
mod health;
mod names;
pub mod store;

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::trigger::AppType;

pub use api::{RolloutView, read_failures, read_plan, read_template, routes};
pub use health::{Health, Pods, Revision, RolloutPlan, RolloutState};
pub use names::{label_schema, parse_label, parse_subdomain, subdomain_schema};

/// What stands for the registry's name at the beginning of an image.
pub const REGISTRY: &str = "{registry}";
/// The longest reference to an image, in characters.
pub const MAX_IMAGE: usize = 4096;
/// A reference to an image, as Docker's grammar has it; its registry may be [`REGISTRY`].
pub const IMAGE_PATTERN: &str = concat!(
    r"^((\{registry\}|",
    r"([0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?(\.[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?)*",
    r"|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?)/)?",
    r"[0-9a-z]+(([._]|__|-+)[0-9a-z]+)*(/[0-9a-z]+(([._]|__|-+)[0-9a-z]+)*)*",
    r"(:[0-9A-Z_a-z][0-9A-Z_a-z.-]{0,127})?",
    r"(@[A-Za-z][0-9A-Za-z]*([+._-][A-Za-z][0-9A-Za-z]*)*:[0-9A-Fa-f]{32,128})?$",
);

/// A container of a pod template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// Its name, unique in the template.
    pub name: String,
    /// The image that it runs.
    pub image: String,
}

/// The part of a pod template that triggers read and change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodTemplate {
    /// What runs.
    pub containers: Vec<Container>,
    /// What runs before.
    pub init_containers: Vec<Container>,
    /// The template's annotations.
    pub annotations: BTreeMap<String, String>,
}

impl PodTemplate {
    /// Checks the containers that somebody gives: names are there and unique, images are
    /// references.
    pub fn new(containers: Vec<Container>, init_containers: Vec<Container>) -> Result<Self> {
        if containers.is_empty() {
            return Err(Error::invalid("containers", "must not be empty"));
        }
        let mut names = HashSet::new();
        for (field, containers) in [
            ("containers", &containers),
            ("init_containers", &init_containers),
        ] {
            for (at, container) in containers.iter().enumerate() {
                let wrong = |key: &str, rule| Error::invalid(format!("{field}[{at}].{key}"), rule);
                if container.name.is_empty() {
                    return Err(wrong("name", "must not be empty".to_owned()));
                }
                if !names.insert(&container.name) {
                    let rule = "must be unique among containers and init_containers";
                    return Err(wrong("name", rule.to_owned()));
                }
                check_image(&container.image).map_err(|rule| wrong("image", rule))?;
            }
        }
        Ok(Self {
            containers,
            init_containers,
            annotations: BTreeMap::new(),
        })
    }

    /// The image of each container.
    pub fn images(&self) -> BTreeMap<String, String> {
        let containers = self.init_containers.iter().chain(&self.containers);
        containers
            .map(|container| (container.name.clone(), container.image.clone()))
            .collect()
    }

    /// The template with this name of a registry in place of [`REGISTRY`].
    #[must_use]
    pub fn with_registry(mut self, name: &str) -> Self {
        let Self {
            containers,
            init_containers,
            ..
        } = &mut self;
        for container in containers.iter_mut().chain(init_containers) {
            if let Some(path) = container.image.strip_prefix(REGISTRY) {
                container.image = format!("{name}{path}");
            }
        }
        self
    }
}

fn check_image(image: &str) -> Result<(), String> {
    static RULE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(IMAGE_PATTERN).expect("a valid expression"));
    if image.chars().count() <= MAX_IMAGE && RULE.is_match(image) {
        return Ok(());
    }
    Err(format!(
        "must be an image like nginx:1 or {REGISTRY}/group/app:v1, with a lower-case path and at \
         most {MAX_IMAGE} characters"
    ))
}

/// Where a workload is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkloadKey {
    pub cluster_id: String,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// Deployment or StatefulSet.
    pub kind: AppType,
    /// The workload's name.
    pub name: String,
}

/// What is near the place of a workload that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Neighbours {
    /// The first names of its kind in its namespace.
    pub of_kind: Vec<String>,
    /// Whether one of the other kind has its name.
    pub is_of_other_kind: bool,
    /// Whether anything is in its namespace.
    pub is_namespace_used: bool,
}

/// What a simulated workload does wrong, so that tests can see retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FailureSettings {
    /// The status that its next updates get.
    pub fail_status: u16,
    /// How many of them.
    pub fail_times: u32,
    /// How long each update takes, in milliseconds.
    pub delay_ms: u32,
}

/// A simulated workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its number, never used twice.
    pub id: i64,
    /// Its pod template.
    pub template: PodTemplate,
    /// See [`FailureSettings`].
    pub misbehaviour: FailureSettings,
    /// What its updates come to; none where they are fine at once.
    pub plan: Option<RolloutPlan>,
    /// How many pod templates it had.
    pub revision: i64,
    /// What became of the last one, and since when.
    pub health: Health,
    pub since: Timestamp,
    /// When the plan says that; none where it has.
    pub due: Option<Timestamp>,
}

impl Workload {
    /// Takes one of the failures that a test asked for; its status.
    pub fn take_failure(&mut self) -> Option<u16> {
        let FailureSettings {
            fail_status,
            fail_times,
            ..
        } = &mut self.misbehaviour;
        *fail_times = fail_times.checked_sub(1)?;
        Some(*fail_status)
    }

    /// The pod template that it has, where it is the first one.
    pub fn first_revision(&self) -> Revision {
        Revision {
            revision: self.revision,
            at: self.since,
            images: self.template.images(),
            state: self.health.state,
        }
    }
}

/// One container's change of image.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Rollout {
    pub at: Timestamp,
    pub trigger_name: String,
    /// The pushed tag.
    pub tag: String,
    /// The digest that it had.
    pub digest: String,
    pub container: String,
    /// Its image before.
    pub before: String,
    /// Its image after.
    pub after: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_a_reference() {
        let check = |image: &str, accepted: bool| {
            assert_eq!(check_image(image).is_ok(), accepted, "{image}");
        };
        let digest = format!("sha256:{}", "a".repeat(64));
        for image in [
            "b",
            "nginx:1",
            "library/nginx",
            "localhost/group/busybox:v1",
            "127.0.0.1:7970/group/team/app:V1.2-x_y",
            "[::1]:7970/group/app",
            "Registry.Test:5000/group/a__b/c--d.e:v1",
            "{registry}/group/busybox:v1",
            &format!("swr.cn-north-4.myhuaweicloud.com/group/app@{digest}"),
            &format!("nginx:1@{digest}"),
        ] {
            check(image, true);
        }
        for image in [
            "",
            "HTTP://x y",
            "http://registry.test/a",
            "{regsitry}/group/busybox:v1",
            "{registry}",
            "{registry}:v1",
            "{registry}group/app",
            "a/{registry}/b",
            "Nginx:1",
            "registry.test/Group/app",
            "nginx:",
            "nginx:a b",
            "nginx:1\n",
            "/nginx",
            "nginx/",
            "a//b",
            "a..b",
            "nginx@sha256:abc",
            &"a".repeat(MAX_IMAGE + 1),
        ] {
            check(image, false);
        }
    }
}
