//! What a rollout in a real cluster asks of it: the workload with its pods, and to be told when one
//! of them changes. Rights to see pods are optional; who lacks them is told less.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::core::Selector;

use super::rollout::{Workload, obstacle};
use super::{Failure, RealCluster, kind_of};
use crate::trigger::AppType;
use crate::workload::{Health, RolloutState, WorkloadKey};

/// How many pods, and how many `ReplicaSets`, are looked at.
const MOST_LISTED: u32 = 500;

/// A rollout as somebody saw it.
#[derive(Debug)]
pub struct Seen {
    pub health: Health,
    /// How long the rollout may make no progress.
    pub progress_deadline: Duration,
    /// Where to go on from.
    version: String,
    /// The pods of the workload, and where to go on from.
    pods: Option<(String, String)>,
}

/// Pods of a workload at a moment.
struct Listed {
    pods: Vec<Pod>,
    version: String,
    /// The label of those that run the present template.
    present: Option<(String, String)>,
}

impl RealCluster {
    /// Looks at the rollout of a generation; none where the workload is gone.
    pub async fn look(&self, key: &WorkloadKey, generation: i64) -> Result<Option<Seen>, Failure> {
        let Some(workload) = self.find(key).await? else {
            return Ok(None);
        };
        let mut seen = Seen {
            health: workload.health(generation),
            progress_deadline: Duration::from_secs(workload.progress_deadline()),
            version: workload
                .metadata()
                .resource_version
                .clone()
                .unwrap_or_default(),
            pods: None,
        };
        let is_over = matches!(
            seen.health.state,
            RolloutState::Healthy | RolloutState::Unknown
        );
        if is_over {
            return Ok(Some(seen));
        }
        let Ok(selector) = Selector::try_from(workload.selector().clone()) else {
            return Ok(Some(seen));
        };
        match self.list_pods(key, &workload, &selector).await {
            Ok(listed) => {
                if let Some((label, value)) = &listed.present
                    && let Some(health) = obstacle(&listed.pods, (label, value))
                {
                    seen.health = health;
                }
                seen.pods = Some((selector.to_string(), listed.version));
            }
            Err(Failure::Final(reason)) => {
                let message = &mut seen.health.message;
                let _ = write!(message, "; the pods may not be read: {reason}");
            }
            Err(failure @ Failure::Passing(_)) => return Err(failure),
        }
        Ok(Some(seen))
    }

    async fn find(&self, key: &WorkloadKey) -> Result<Option<Workload>, Failure> {
        let (namespace, name) = (&key.namespace, &key.name);
        match key.kind {
            AppType::Deployments => {
                let found = self.send(|client| async move {
                    let all: Api<Deployment> = Api::namespaced(client, namespace);
                    all.get_opt(name).await
                });
                let found = found.await?;
                Ok(found.map(|found| Workload::Deployment(Box::new(found))))
            }
            AppType::StatefulSets => {
                let found = self.send(|client| async move {
                    let all: Api<StatefulSet> = Api::namespaced(client, namespace);
                    all.get_opt(name).await
                });
                let found = found.await?;
                Ok(found.map(|found| Workload::StatefulSet(Box::new(found))))
            }
        }
    }

    async fn list_pods(
        &self,
        key: &WorkloadKey,
        workload: &Workload,
        selector: &Selector,
    ) -> Result<Listed, Failure> {
        let parameters = ListParams::default()
            .labels_from(selector)
            .limit(MOST_LISTED);
        let (namespace, parameters) = (&key.namespace, &parameters);
        let replica_sets = match key.kind {
            AppType::StatefulSets => Vec::new(),
            AppType::Deployments => {
                let found = self.send(|client| async move {
                    let all: Api<ReplicaSet> = Api::namespaced(client, namespace);
                    all.list(parameters).await
                });
                found.await?.items
            }
        };
        let pods = self.send(|client| async move {
            let all: Api<Pod> = Api::namespaced(client, namespace);
            all.list(parameters).await
        });
        let pods = pods.await?;
        let present = workload.present_pods(&replica_sets);
        Ok(Listed {
            version: pods.metadata.resource_version.unwrap_or_default(),
            pods: pods.items,
            present: present.map(|(label, value)| (label.to_owned(), value)),
        })
    }
}

/// Tells when a workload or one of its pods changes.
#[derive(Default)]
pub struct Changes {
    workload: Watch,
    pods: Watch,
}

#[derive(Default)]
enum Watch {
    #[default]
    Closed,
    Open(BoxStream<'static, ()>),
    /// The cluster does not allow it.
    Refused,
}

impl Watch {
    fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// Waits for a change, or for the end of it, which may hide one.
    async fn next(&mut self) {
        match self {
            Self::Open(changes) => {
                if changes.next().await.is_none() {
                    *self = Self::Closed;
                }
            }
            Self::Closed | Self::Refused => std::future::pending().await,
        }
    }
}

impl Changes {
    /// Opens what is not open, from where somebody saw the rollout.
    pub async fn open(&mut self, cluster: &RealCluster, key: &WorkloadKey, seen: &Seen) {
        if matches!(self.workload, Watch::Closed) {
            let parameters = WatchParams::default().fields(&format!("metadata.name={}", key.name));
            let kind = kind_of(key.kind);
            self.workload = cluster.watch(key, &kind, &parameters, &seen.version).await;
        }
        if let (Watch::Closed, Some((selector, version))) = (&self.pods, &seen.pods) {
            let parameters = WatchParams::default().labels(selector);
            let kind = ApiResource::erase::<Pod>(&());
            self.pods = cluster.watch(key, &kind, &parameters, version).await;
        }
    }

    /// Whether all changes are told.
    pub fn are_all_told(&self) -> bool {
        self.workload.is_open() && self.pods.is_open()
    }

    /// Waits until something may have changed.
    pub async fn next(&mut self) {
        tokio::select! {
            () = self.workload.next() => {}
            () = self.pods.next() => {}
        }
    }
}

impl RealCluster {
    async fn watch(
        &self,
        key: &WorkloadKey,
        kind: &ApiResource,
        parameters: &WatchParams,
        version: &str,
    ) -> Watch {
        let namespace = &key.namespace;
        let opened = self.send(|client| async move {
            let all: Api<DynamicObject> = Api::namespaced_with(client, namespace, kind);
            all.watch(parameters, version).await
        });
        match opened.await {
            Ok(events) => {
                let changes = events.take_while(|event| std::future::ready(event.is_ok()));
                let changes = changes.filter_map(async |event| match event {
                    Ok(WatchEvent::Bookmark(_)) | Err(_) => None,
                    Ok(_) => Some(()),
                });
                Watch::Open(changes.boxed())
            }
            Err(Failure::Final(_)) => Watch::Refused,
            Err(Failure::Passing(_)) => Watch::Closed,
        }
    }
}
