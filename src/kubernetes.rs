//! Real Kubernetes clusters: how one is reached, and the two requests that a firing makes there.
//!
//! Only clusters that the seed file names are ever contacted; a default kubeconfig is never
//! looked for. Simulated clusters live in `workload`.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Container as KubernetesContainer, PodTemplateSpec};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::trigger::AppType;
use crate::workload::{Container, PodTemplate, WorkloadKey};

/// Who the cluster notes as the author of a change.
const FIELD_MANAGER: &str = "swr-emulator";
/// How long connecting to a cluster may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a cluster may keep silent.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// How many requests a cluster gets at once.
const MOST_AT_ONCE: usize = 16;
/// The longest reason that is passed on, in characters.
const LONGEST_REASON: usize = 400;

/// How a cluster is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// By a kubeconfig: certificates, tokens and exec plug-ins are followed.
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The context in it; its `current-context` when absent.
        context: Option<String>,
    },
    /// By the service account of the pod that the emulator runs in.
    InCluster,
}

/// The real clusters of an instance, by id.
#[derive(Debug, Default)]
pub struct RealClusters(HashMap<String, RealCluster>);

impl RealClusters {
    /// These clusters: id and access.
    pub fn new(clusters: impl IntoIterator<Item = (String, Access)>) -> Self {
        let clusters = clusters.into_iter().map(|(id, access)| {
            let cluster = RealCluster {
                access,
                client: Mutex::default(),
                turns: Semaphore::new(MOST_AT_ONCE),
            };
            (id, cluster)
        });
        Self(clusters.collect())
    }

    /// Whether all clusters are simulated.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The real cluster with this id; none where the cluster is simulated.
    pub fn get(&self, id: &str) -> Option<&RealCluster> {
        self.0.get(id)
    }
}

/// A cluster that runs somewhere.
pub struct RealCluster {
    access: Access,
    /// Made at first use, and again after it was of no use.
    client: Mutex<Option<Client>>,
    turns: Semaphore,
}

impl fmt::Debug for RealCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealCluster")
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// A workload as its cluster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its pod template.
    pub template: PodTemplate,
    /// What a patch must name, so that it meets the workload that was read.
    pub resource_version: String,
}

/// Why a request at a cluster came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The cluster will not change its mind: no right, not valid, not there.
    Final(String),
    /// Another try may do: no connection, a conflict, too many requests, a failing server.
    Passing(String),
}

impl RealCluster {
    /// Reads a workload, if it exists.
    pub async fn read(&self, key: &WorkloadKey) -> Result<Option<Found>, Failure> {
        let (_turn, workloads) = self.workloads(key).await?;
        let object = workloads.get_opt(&key.name).await;
        let Some(object) = object.map_err(|error| self.failure(&error))? else {
            return Ok(None);
        };
        let template = object.data.pointer("/spec/template").cloned();
        let template: PodTemplateSpec = serde_json::from_value(template.unwrap_or_default())
            .map_err(|error| Failure::Final(format!("the pod template cannot be read: {error}")))?;
        Ok(Some(Found {
            template: PodTemplate::from(template),
            resource_version: object.metadata.resource_version.unwrap_or_default(),
        }))
    }

    /// Applies a strategic merge patch to a workload.
    pub async fn patch(&self, key: &WorkloadKey, patch: &Value) -> Result<(), Failure> {
        let (_turn, workloads) = self.workloads(key).await?;
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Strategic(patch);
        let patched = workloads.patch(&key.name, &parameters, &patch).await;
        patched.map(drop).map_err(|error| self.failure(&error))
    }

    /// The workloads beside this one, and leave to send a request for as long as it is held.
    async fn workloads(
        &self,
        key: &WorkloadKey,
    ) -> Result<(tokio::sync::SemaphorePermit<'_>, Api<DynamicObject>), Failure> {
        let turn = self.turns.acquire().await;
        let turn = turn.map_err(|error| Failure::Passing(error.to_string()))?;
        let client = self.client().await?;
        let kind = match key.kind {
            AppType::Deployments => ApiResource::erase::<Deployment>(&()),
            AppType::StatefulSets => ApiResource::erase::<StatefulSet>(&()),
        };
        let workloads = Api::namespaced_with(client, &key.namespace, &kind);
        Ok((turn, workloads))
    }

    async fn client(&self) -> Result<Client, Failure> {
        if let Some(client) = &*self.remembered() {
            return Ok(client.clone());
        }
        let config = self.config().await;
        let config = config.map_err(|reason| Failure::Final(short(&reason)))?;
        // Named, because a process in which two providers are compiled in has no default one. That
        // it is installed already is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // An exec plug-in runs here, and blocks.
        let client = tokio::task::spawn_blocking(move || Client::try_from(config)).await;
        let client = match client {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(Failure::Passing(short(&chain(&error)))),
            Err(error) => return Err(Failure::Passing(error.to_string())),
        };
        *self.remembered() = Some(client.clone());
        Ok(client)
    }

    async fn config(&self) -> Result<Config, String> {
        let mut config = match &self.access {
            Access::InCluster => Config::incluster().map_err(|error| chain(&error))?,
            Access::Kubeconfig { path, context } => {
                let file = Kubeconfig::read_from(path).map_err(|error| chain(&error))?;
                let names_proxy = names_proxy(&file, context.as_deref());
                let options = KubeConfigOptions {
                    context: context.clone(),
                    ..KubeConfigOptions::default()
                };
                let mut config = Config::from_custom_kubeconfig(file, &options)
                    .await
                    .map_err(|error| chain(&error))?;
                if !names_proxy {
                    // Else it is one of the environment, which is not meant for clusters like
                    // these, and whose exceptions (NO_PROXY) would not be heeded.
                    config.proxy_url = None;
                }
                config
            }
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        // The engine does that itself, and tells.
        config.default_retry = false;
        Ok(config)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an error means for a firing. A client that reached nothing, or whom nobody knows any
    /// more, is forgotten: the cluster may have been made anew under another address.
    fn failure(&self, error: &kube::Error) -> Failure {
        let kube::Error::Api(status) = error else {
            *self.remembered() = None;
            let reason = format!("the cluster cannot be reached: {}", chain(error));
            return Failure::Passing(short(&reason));
        };
        let reason = short(&format!(
            "the cluster answered {}: {}",
            status.code, status.message
        ));
        match status.code {
            409 | 429 | 500.. => Failure::Passing(reason),
            code => {
                if code == 401 {
                    *self.remembered() = None;
                }
                Failure::Final(reason)
            }
        }
    }
}

impl From<PodTemplateSpec> for PodTemplate {
    fn from(template: PodTemplateSpec) -> Self {
        let spec = template.spec.unwrap_or_default();
        let annotations = template.metadata.and_then(|metadata| metadata.annotations);
        Self {
            containers: spec.containers.into_iter().map(Container::from).collect(),
            init_containers: spec
                .init_containers
                .into_iter()
                .flatten()
                .map(Container::from)
                .collect(),
            annotations: annotations.unwrap_or_default(),
        }
    }
}

impl From<KubernetesContainer> for Container {
    fn from(container: KubernetesContainer) -> Self {
        Self {
            name: container.name,
            image: container.image.unwrap_or_default(),
        }
    }
}

/// Whether a kubeconfig itself wants a cluster to be reached through a proxy.
fn names_proxy(file: &Kubeconfig, context: Option<&str>) -> bool {
    let context = context.or(file.current_context.as_deref());
    let context = file
        .contexts
        .iter()
        .find(|known| Some(&*known.name) == context);
    let Some(context) = context.and_then(|known| known.context.as_ref()) else {
        return false;
    };
    let cluster = file
        .clusters
        .iter()
        .find(|known| known.name == context.cluster);
    cluster
        .and_then(|known| known.cluster.as_ref())
        .is_some_and(|cluster| cluster.proxy_url.is_some())
}

/// An error and what caused it. Causes that their own error tells already are left out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let cause = source.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = source.source();
    }
    text
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST_REASON).collect()
}
