//! Where a trigger acts: the cluster that its fields choose, and the workload there, simulated or
//! real.

use sqlx::{FromRow, SqliteExecutor};

use crate::cce::{self, Cluster};
use crate::db::Readers;
use crate::error::{Error, Result};
use crate::kubernetes::{Failure, RealClusters};
use crate::trigger::{AppType, NewTrigger, Trigger};
use crate::workload::{self, PodTemplate, WorkloadKey};

/// The fields of a trigger that say what it updates.
#[derive(Debug, Clone, PartialEq, Eq, Hash, FromRow)]
pub(super) struct Destination {
    pub(super) app_type: String,
    pub(super) application: String,
    pub(super) cluster_ns: String,
    pub(super) trigger_mode: String,
    pub(super) cluster_id: String,
    pub(super) cluster_name: String,
}

impl From<&Trigger> for Destination {
    fn from(trigger: &Trigger) -> Self {
        Self {
            app_type: trigger.app_type.clone(),
            application: trigger.application.clone(),
            cluster_ns: trigger.cluster_ns.clone(),
            trigger_mode: trigger.trigger_mode.clone(),
            cluster_id: trigger.cluster_id.clone(),
            cluster_name: trigger.cluster_name.clone(),
        }
    }
}

impl From<&NewTrigger> for Destination {
    fn from(trigger: &NewTrigger) -> Self {
        Self {
            app_type: trigger.app_type.as_str().to_owned(),
            application: trigger.application.clone(),
            cluster_ns: trigger.cluster_ns.clone(),
            trigger_mode: trigger.cluster.trigger_mode().to_owned(),
            cluster_id: trigger.cluster.id().to_owned(),
            cluster_name: trigger.cluster.name().to_owned(),
        }
    }
}

/// A workload that a trigger can look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) template: PodTemplate,
    /// What a patch has to name; a simulated workload has none.
    pub(super) resource_version: Option<String>,
}

impl Destination {
    /// The cluster: by its id, else by its name, else the only one of CCE; the inner error is the
    /// reason why there is none.
    pub(super) async fn cluster(
        &self,
        db: impl SqliteExecutor<'_>,
    ) -> Result<std::result::Result<Cluster, String>> {
        Ok(self.choose(&cce::store::list(db).await?))
    }

    /// The cluster among all there are.
    fn choose(&self, clusters: &[Cluster]) -> std::result::Result<Cluster, String> {
        let find = |is_it: &dyn Fn(&Cluster) -> bool| clusters.iter().find(|c| is_it(c)).cloned();
        let is_cci = |cluster: &Cluster| cluster.name == "cci";
        let (found, reason) = if self.trigger_mode == "cci" {
            (find(&is_cci), "there is no cluster named cci".to_owned())
        } else if !self.cluster_id.is_empty() {
            let reason = format!("there is no cluster with the id {}", self.cluster_id);
            (find(&|cluster| cluster.id == self.cluster_id), reason)
        } else if !self.cluster_name.is_empty() {
            let reason = format!("there is no cluster named {}", self.cluster_name);
            (find(&|cluster| cluster.name == self.cluster_name), reason)
        } else {
            let of_cce: Vec<_> = clusters.iter().filter(|cluster| !is_cci(cluster)).collect();
            let only = match of_cce[..] {
                [only] => Some(only.clone()),
                _ => None,
            };
            let reason = format!(
                "the trigger names no cluster, and there are {}",
                of_cce.len()
            );
            (only, reason)
        };
        found.ok_or(reason)
    }

    /// The workload in a cluster.
    pub(super) fn key(&self, cluster: &Cluster) -> Result<WorkloadKey> {
        Ok(WorkloadKey {
            cluster_id: cluster.id.clone(),
            namespace: self.cluster_ns.clone(),
            kind: AppType::parse(&self.app_type).map_err(Error::internal)?,
            name: self.application.clone(),
        })
    }

    /// The reason when the cluster does not have the workload.
    pub(super) fn missing_in(&self, cluster: &Cluster) -> String {
        format!(
            "{} \"{}\" not found in namespace {} of cluster {}",
            self.app_type, self.application, self.cluster_ns, cluster.name
        )
    }

    /// Looks at the workload without touching it.
    pub(super) async fn look(
        &self,
        db: &Readers,
        real: &RealClusters,
    ) -> Result<std::result::Result<Sighting, Failure>> {
        let cluster = match self.cluster(db).await? {
            Ok(cluster) => cluster,
            Err(reason) => return Ok(Err(Failure::Final(reason))),
        };
        let key = self.key(&cluster)?;
        let sighting = if let Some(real) = real.get(&cluster.id) {
            match real.read(&key).await {
                Ok(found) => found.map(|found| Sighting {
                    template: found.template,
                    resource_version: Some(found.resource_version),
                }),
                Err(failure) => return Ok(Err(failure)),
            }
        } else {
            let found = workload::store::find(db, &key).await?;
            found.map(|workload| Sighting {
                template: workload.template,
                resource_version: None,
            })
        };
        Ok(sighting.ok_or_else(|| Failure::Final(self.missing_in(&cluster))))
    }
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
        Err(reason) => return Some(reason),
    };
    let key = WorkloadKey {
        cluster_id: cluster.id.clone(),
        namespace: trigger.cluster_ns.clone(),
        kind: trigger.app_type,
        name: trigger.application.clone(),
    };
    let Some(template) = find(&key) else {
        return Some(destination.missing_in(&cluster));
    };
    let mut containers = template.containers.iter().chain(&template.init_containers);
    let is_there = trigger.container.is_empty()
        || containers.any(|container| container.name == trigger.container);
    (!is_there).then(|| format!("there is no container {}", trigger.container))
}
