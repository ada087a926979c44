//! The seed file: what an instance holds at its start.
//!
//! `file` reads it whole: `format` has its keys, `check` their rules, `words` the errors of what is
//! not YAML of that form, and `lines` the line of a field; `targets` finds triggers that lead nowhere; `store` writes what is missing.

mod check;
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
use crate::kubernetes::{Access, RealClusters};
use crate::namespace::NamespaceName;
use crate::permission::Grant;
use crate::repository::{Category, Description, RepositoryName};
use crate::trigger::NewTrigger;
use crate::workload::{PodTemplate, WorkloadKey};

pub use file::{SeedError, read, read_posted};
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
    /// The organizations.
    pub namespaces: Vec<SeedNamespace>,
    pub clusters: Vec<SeedCluster>,
}

impl Seed {
    /// An instance without a seed file: the built-in account and nothing else.
    pub fn builtin(directory: &Directory) -> Self {
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
    pub workloads: Vec<(WorkloadKey, PodTemplate)>,
}

/// An organization of the seed file.
#[derive(Debug)]
pub struct SeedNamespace {
    /// The region it is in.
    pub region: String,
    pub name: NamespaceName,
    /// Who made it, and with that whose it is.
    pub creator: Arc<User>,
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
    /// Who may do what with it.
    pub permissions: Vec<Grant>,
    pub triggers: Vec<NewTrigger>,
}
