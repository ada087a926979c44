//! Workloads of simulated clusters: Deployments and StatefulSets as far as a trigger sees them.
//!
//! `api` is their HTTP (`/_emulator/clusters`), `store` their SQL.

mod api;
pub mod store;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::trigger::AppType;

pub use api::routes;

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
    /// Checks the containers that somebody gives: names are there and unique, images are there.
    pub fn new(containers: Vec<Container>, init_containers: Vec<Container>) -> Result<Self> {
        if containers.is_empty() {
            return Err(Error::invalid("containers", "must not be empty"));
        }
        let mut names = std::collections::HashSet::new();
        for container in containers.iter().chain(&init_containers) {
            if container.name.is_empty() || container.image.is_empty() {
                return Err(Error::invalid(
                    "containers",
                    "must have a name and an image each",
                ));
            }
            if !names.insert(&container.name) {
                return Err(Error::invalid("containers", "must have names that differ"));
            }
        }
        Ok(Self {
            containers,
            init_containers,
            annotations: BTreeMap::new(),
        })
    }
}

/// Where a workload is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkloadKey {
    /// The cluster's id.
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
pub struct Misbehaviour {
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
    /// See [`Misbehaviour`].
    pub misbehaviour: Misbehaviour,
}

/// One container's change of image.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Rollout {
    /// When.
    pub at: Moment,
    /// The trigger's name.
    pub trigger_name: String,
    /// The pushed tag.
    pub tag: String,
    /// The digest that it had.
    pub digest: String,
    /// The container.
    pub container: String,
    /// Its image before.
    pub before: String,
    /// Its image after.
    pub after: String,
}
