//! The seed file: what an instance holds at its start, or after a reset.
//!
//! `file` reads it whole: `format` has its keys, `check` their rules, `words` the errors of what is
//! not YAML of that form, and `lines` the line of a field; `targets` finds triggers that lead nowhere; `store` writes what is missing. `export` makes a file of what there is.

mod check;
mod export;
mod file;
mod format;
mod lines;
mod store;
mod targets;
#[cfg(test)]
mod tests;
mod words;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::auth::{Account, Directory, User};
use crate::cce::Cluster;
use crate::iam::MadeUser;
use crate::kubernetes::{Access, RealClusters};
use crate::namespace::NamespaceName;
use crate::permission::{Grant, Level};
use crate::repository::{Category, Description, RepositoryName};
use crate::retention::Policy;
use crate::sharing::Deadline;
use crate::sync::SyncTarget;
use crate::trigger::NewTrigger;
use crate::workload::{FailureSettings, PodTemplate, RolloutPlan, WorkloadKey};

pub use export::{Exporter, ReadState, write_accounts};
pub use file::{SeedError, read, read_accounts, read_posted};
pub use store::{ApplySeed, Reset};

/// A commented seed file that has every key.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// A checked seed file, without the accounts, which go into the [`Directory`].
#[derive(Debug, Default)]
pub struct Seed {
    /// The regions besides the home region.
    pub regions: Vec<SeedRegion>,
    /// All accounts that the instance knows.
    pub accounts: Vec<Arc<Account>>,
    /// The accounts that have delegated CCE and CCI to SWR.
    pub agencies: Vec<Arc<Account>>,
    /// The users that IAM could have made.
    pub users: Vec<MadeUser>,
    /// The organizations.
    pub namespaces: Vec<SeedNamespace>,
    pub clusters: Vec<SeedCluster>,
}

impl Seed {
    /// One that names nothing but accounts.
    pub fn of_accounts(directory: &Directory) -> Self {
        Self {
            accounts: directory.accounts(),
            ..Self::default()
        }
    }

    /// How the cluster with this id is reached; none where it is simulated, or is not there.
    fn access_of(&self, id: &str) -> Option<&Access> {
        let mut clusters = self.clusters.iter();
        let found = clusters.find(|cluster| cluster.cluster.id == id)?;
        found.access.as_ref()
    }

    /// The same clusters, as far as they are not simulated, beside these accounts and nothing else.
    pub fn with_accounts(&self, directory: &Directory) -> Self {
        let real = self
            .clusters
            .iter()
            .filter(|cluster| cluster.access.is_some());
        let clusters = real.map(|cluster| SeedCluster {
            cluster: cluster.cluster.clone(),
            access: cluster.access.clone(),
            workloads: Vec::new(),
        });
        Self {
            clusters: clusters.collect(),
            ..Self::of_accounts(directory)
        }
    }

    /// The clusters that are not simulated.
    pub fn real_clusters(&self) -> RealClusters {
        let clusters = self.clusters.iter();
        RealClusters::new(clusters.filter_map(|cluster| {
            let access = cluster.access.clone()?;
            Some((cluster.cluster.id.clone(), access))
        }))
    }
}

/// A region that the seed file adds.
#[derive(Debug, PartialEq, Eq)]
pub struct SeedRegion {
    pub name: String,
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The first name of its registry, else the address.
    pub registry_host: Option<String>,
}

/// A cluster of the seed file.
#[derive(Debug)]
pub struct SeedCluster {
    /// Its id and name.
    pub cluster: Cluster,
    /// How it is reached; none where it is simulated.
    pub access: Option<Access>,
    /// The workloads of a simulated cluster. `{registry}` at the beginning of an image stands for
    /// the first name of the home region's registry.
    pub workloads: Vec<SeedWorkload>,
}

/// A workload of a simulated cluster.
#[derive(Debug)]
pub struct SeedWorkload {
    pub key: WorkloadKey,
    pub template: PodTemplate,
    /// What it does wrong.
    pub misbehaviour: FailureSettings,
    /// What its updates come to.
    pub plan: Option<RolloutPlan>,
}

/// An organization of the seed file.
#[derive(Debug)]
pub struct SeedNamespace {
    /// The region it is in.
    pub region: String,
    pub name: NamespaceName,
    /// Who made it, and with that whose it is.
    pub creator: Arc<User>,
    /// What the creator may do in it as a user; none where that was taken away.
    pub creator_level: Option<Level>,
    /// Who else may do what in it.
    pub permissions: Vec<Grant>,
    /// What it holds.
    pub repositories: Vec<SeedRepository>,
}

/// A repository of the seed file.
#[derive(Debug)]
pub struct SeedRepository {
    pub name: RepositoryName,
    /// Whether anyone may pull from it.
    pub is_public: bool,
    /// See [`Category`].
    pub category: Category,
    /// What its owner says about it.
    pub description: Description,
    /// Who made it.
    pub creator: Arc<User>,
    /// Who may do what with it.
    pub permissions: Vec<Grant>,
    pub triggers: Vec<SeedTrigger>,
    /// Which tags are deleted.
    pub retention: Option<Policy>,
    pub shares: Vec<SeedShare>,
    pub sync_tasks: Vec<SeedSyncTask>,
}

/// A trigger of the seed file.
#[derive(Debug)]
pub struct SeedTrigger {
    pub new: NewTrigger,
    /// Who made it.
    pub creator: Arc<User>,
}

/// An account that may pull from a repository of the seed file.
#[derive(Debug)]
pub struct SeedShare {
    pub account: Arc<Account>,
    /// Until when.
    pub deadline: Deadline,
    /// What its maker says about it.
    pub description: String,
    /// Who made it.
    pub creator: Arc<User>,
}

/// Where images of a repository of the seed file are taken.
#[derive(Debug)]
pub struct SeedSyncTask {
    pub target: SyncTarget,
    /// Whether what is pushed is synced by itself.
    pub sync_auto: bool,
    /// Whether a tag that the target has with another image is replaced.
    pub overwrite: bool,
    /// Who made it.
    pub creator: Arc<User>,
}
