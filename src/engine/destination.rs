//! Where a trigger acts: the cluster that its fields choose, and the workload there, simulated or
//! real.

use super::plan::{MOST_NAMED, there};
use crate::cce::{self, Cluster};
use crate::db::Readers;
use crate::error::{Error, Result};
use crate::kubernetes::{Failure, RealClusters};
use crate::nearest::nearest;
use crate::trigger::{AppType, ClusterRef, NewTrigger, Trigger};
use crate::workload::store::ListedWorkload;
use crate::workload::{self, Neighbours, PodTemplate, WorkloadKey};

/// How many workloads near a missing one are read: one more than are named, so that it is known
/// that there are more.
pub(super) const MOST_NEAR: usize = MOST_NAMED + 1;
/// Among how many the one is looked for that was meant.
const MOST_MEANT: usize = 1000;
const MOST_LISTED: u32 = 1000;

/// The fields of a trigger that say what it updates.
#[derive(Debug, Clone, PartialEq, Eq, Hash, sqlx::FromRow)]
pub(super) struct Destination {
    pub(super) app_type: AppType,
    pub(super) application: String,
    pub(super) cluster_ns: String,
    #[sqlx(flatten)]
    pub(super) cluster: ClusterRef,
}

impl From<&Trigger> for Destination {
    fn from(trigger: &Trigger) -> Self {
        Self {
            app_type: trigger.app_type,
            application: trigger.application.clone(),
            cluster_ns: trigger.cluster_ns.clone(),
            cluster: trigger.cluster.clone(),
        }
    }
}

impl From<&NewTrigger> for Destination {
    fn from(trigger: &NewTrigger) -> Self {
        Self {
            app_type: trigger.app_type,
            application: trigger.application.clone(),
            cluster_ns: trigger.cluster_ns.clone(),
            cluster: trigger.cluster.clone(),
        }
    }
}

/// A workload that a trigger can look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WorkloadSnapshot {
    pub(super) template: PodTemplate,
    /// What a patch has to name; a simulated workload has none.
    pub(super) resource_version: Option<String>,
}

/// A part of a destination that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    /// The trigger's field that names it.
    pub(super) field: &'static str,
    /// What is missing, and what there is instead.
    pub(super) reason: String,
}

impl From<Missing> for Error {
    fn from(missing: Missing) -> Self {
        Self::invalid(missing.field, missing.reason)
    }
}

/// What came of looking at a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// It is there.
    Seen(WorkloadSnapshot),
    /// There is none.
    Missing(Missing),
    /// The cluster does not show it, and why.
    Refused(String),
    /// The cluster does not answer, or not now, and why.
    Silent(String),
}

impl From<Failure> for Look {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Final(reason) => Self::Refused(reason),
            Failure::Passing(reason) => Self::Silent(reason),
        }
    }
}

impl Destination {
    /// See [`choose`].
    pub(super) fn choose(&self, clusters: &[Cluster]) -> std::result::Result<Cluster, Missing> {
        choose(&self.cluster, clusters).cloned()
    }

    /// The name that is most like the one which a field holds in vain; none in a real cluster, which
    /// does not tell its names.
    pub(super) async fn meant(&self, db: &Readers, field: &str) -> Result<Option<String>> {
        let clusters = cce::store::list(db).await?;
        let names = clusters.iter();
        match field {
            "cluster_id" => {
                let id = self.cluster.id();
                let named = names.clone().find(|cluster| cluster.name == id);
                let named = named.map(|cluster| cluster.id.as_str());
                let ids = names.map(|cluster| cluster.id.as_str());
                Ok(named.or_else(|| nearest(id, ids)).map(str::to_owned))
            }
            "cluster_name" => {
                let names = names.map(|cluster| cluster.name.as_str());
                Ok(nearest(self.cluster.name(), names).map(str::to_owned))
            }
            "application" => {
                let Ok(cluster) = self.choose(&clusters) else {
                    return Ok(None);
                };
                let key = self.key(&cluster);
                let near = workload::store::find_neighbours(db, &key, MOST_MEANT).await?;
                let names = near.of_kind.iter().map(String::as_str);
                Ok(nearest(&self.application, names).map(str::to_owned))
            }
            "cluster_ns" => {
                let Ok(cluster) = self.choose(&clusters) else {
                    return Ok(None);
                };
                let first = ListedWorkload {
                    cluster_id: cluster.id.clone(),
                    ..ListedWorkload::default()
                };
                let listed = workload::store::list(db, &first, MOST_LISTED).await?;
                let in_it = listed.iter().filter(|one| one.cluster_id == cluster.id);
                let names = in_it.map(|one| one.namespace.as_str());
                Ok(nearest(&self.cluster_ns, names).map(str::to_owned))
            }
            _ => Ok(None),
        }
    }

    /// What it has in common with the destinations of other firings at the same workload; those
    /// that mean none of the clusters fail, and hold up only each other.
    pub(super) fn lane(&self, clusters: &[Cluster]) -> String {
        let cluster = self.choose(clusters);
        let cluster = cluster.map_or_else(|_| "none".to_owned(), |cluster| cluster.id);
        format!("{cluster} {}", self.workload())
    }

    /// The workload within its cluster, `namespace/kind/name`.
    pub(super) fn workload(&self) -> String {
        let kind = self.app_type.as_str();
        format!("{}/{kind}/{}", self.cluster_ns, self.application)
    }

    /// Checks that the cluster which the id chooses has the name, where both are given. A firing
    /// looks at the id only.
    pub(super) fn check_name(&self, clusters: &[Cluster]) -> std::result::Result<(), Missing> {
        let (id, name) = (self.cluster.id(), self.cluster.name());
        if id.is_empty() || name.is_empty() {
            return Ok(());
        }
        let cluster = self.choose(clusters)?;
        if cluster.name == name {
            return Ok(());
        }
        Err(Missing {
            field: "cluster_name",
            reason: format!(
                "the cluster with the id {} is named {}, not {name}",
                cluster.id, cluster.name
            ),
        })
    }

    /// The workload in a cluster.
    pub(super) fn key(&self, cluster: &Cluster) -> WorkloadKey {
        WorkloadKey {
            cluster_id: cluster.id.clone(),
            namespace: self.cluster_ns.clone(),
            kind: self.app_type,
            name: self.application.clone(),
        }
    }

    /// What is missing when a real cluster does not have the workload. It does not tell more.
    pub(super) fn missing_in(&self, cluster: &Cluster) -> Missing {
        Missing {
            field: "application",
            reason: format!(
                "{} \"{}\" not found in namespace {} of cluster {}",
                self.app_type.as_str(),
                self.application,
                self.cluster_ns,
                cluster.name
            ),
        }
    }

    /// What is missing when a simulated cluster does not have the workload, and what is near it.
    /// A namespace without workloads does not exist there.
    pub(super) fn missing_near(&self, cluster: &Cluster, near: &Neighbours) -> Missing {
        let mut missing = self.missing_in(cluster);
        if near.is_of_other_kind {
            let other = match self.app_type {
                AppType::Deployments => "StatefulSet",
                AppType::StatefulSets => "Deployment",
            };
            let hint = format!("; a {other} has this name");
            missing.reason.push_str(&hint);
        }
        let names = near.of_kind.iter().map(String::as_str);
        missing.reason.push_str(&there(names));
        if !near.is_namespace_used {
            missing.field = "cluster_ns";
            missing.reason.push_str("; the namespace has no workloads");
        }
        missing
    }

    /// Looks at the workload without touching it.
    pub(super) async fn look(&self, db: &Readers, real: &RealClusters) -> Result<Look> {
        let cluster = match self.choose(&cce::store::list(db).await?) {
            Ok(cluster) => cluster,
            Err(missing) => return Ok(Look::Missing(missing)),
        };
        let key = self.key(&cluster);
        if let Some(real) = real.get(&cluster.id) {
            return Ok(match real.read(&key).await {
                Ok(Some(found)) => Look::Seen(WorkloadSnapshot {
                    template: found.template,
                    resource_version: Some(found.resource_version),
                }),
                Ok(None) => Look::Missing(self.missing_in(&cluster)),
                Err(failure) => failure.into(),
            });
        }
        let Some(workload) = workload::store::find(db, &key).await? else {
            let near = workload::store::find_neighbours(db, &key, MOST_NEAR).await?;
            return Ok(Look::Missing(self.missing_near(&cluster, &near)));
        };
        Ok(Look::Seen(WorkloadSnapshot {
            template: workload.template,
            resource_version: None,
        }))
    }
}

/// The cluster among all there are: by its id, else by its name, else the only one of CCE.
pub(super) fn choose<'a>(
    cluster: &ClusterRef,
    clusters: &'a [Cluster],
) -> std::result::Result<&'a Cluster, Missing> {
    let found = match cluster {
        ClusterRef::Cci => clusters.iter().find(|cluster| is_cci(cluster)),
        ClusterRef::Cce { id, .. } if !id.is_empty() => {
            clusters.iter().find(|cluster| cluster.id == *id)
        }
        ClusterRef::Cce { name, .. } if !name.is_empty() => {
            clusters.iter().find(|cluster| cluster.name == *name)
        }
        ClusterRef::Cce { .. } => {
            let mut of_cce = clusters.iter().filter(|cluster| !is_cci(cluster));
            let first = of_cce.next();
            first.filter(|_| of_cce.next().is_none())
        }
    };
    found.ok_or_else(|| missing_cluster(cluster, clusters))
}

/// What is missing when a trigger means none of the clusters.
fn missing_cluster(cluster: &ClusterRef, clusters: &[Cluster]) -> Missing {
    let (field, reason) = match cluster {
        ClusterRef::Cci => ("trigger_mode", "there is no cluster named cci".to_owned()),
        ClusterRef::Cce { id, .. } if !id.is_empty() => ("cluster_id", no_such_id(id, clusters)),
        ClusterRef::Cce { name, .. } if !name.is_empty() => {
            let there = there(clusters.iter().map(|cluster| cluster.name.as_str()));
            let reason = format!("there is no cluster named {name}{there}");
            ("cluster_name", reason)
        }
        ClusterRef::Cce { .. } => {
            let of_cce = clusters.iter().filter(|cluster| !is_cci(cluster));
            let there = there(of_cce.map(|cluster| cluster.id.as_str()));
            let reason = format!(
                "the trigger names no cluster, and there is not exactly one to default to{there}"
            );
            ("cluster_id", reason)
        }
    };
    Missing { field, reason }
}

fn is_cci(cluster: &Cluster) -> bool {
    cluster.name == "cci"
}

/// The reason when no cluster has the id. Names are taken for ids at times.
fn no_such_id(id: &str, clusters: &[Cluster]) -> String {
    let instead = match clusters.iter().find(|cluster| cluster.name == id) {
        Some(Cluster { id, name }) => format!("; the cluster named {name} has the id {id}"),
        None => there(clusters.iter().map(|cluster| cluster.id.as_str())),
    };
    format!("there is no cluster with the id {id}{instead}")
}

/// The reason why a trigger would find nothing to update, were these all clusters and simulated
/// workloads; none for a real cluster, whose workloads are not known.
pub fn missing_target<'a>(
    trigger: &NewTrigger,
    clusters: &[Cluster],
    is_real: impl Fn(&Cluster) -> bool,
    find: impl Fn(&WorkloadKey) -> Option<&'a PodTemplate>,
) -> Option<String> {
    let destination = Destination::from(trigger);
    let cluster = match destination.choose(clusters) {
        Ok(cluster) if is_real(&cluster) => return None,
        Ok(cluster) => cluster,
        Err(missing) => return Some(missing.reason),
    };
    let Some(template) = find(&destination.key(&cluster)) else {
        return Some(destination.missing_in(&cluster).reason);
    };
    let mut containers = template.containers.iter().chain(&template.init_containers);
    let is_there = trigger.container.is_empty()
        || containers.any(|container| container.name == trigger.container);
    (!is_there).then(|| format!("there is no container {}", trigger.container))
}
