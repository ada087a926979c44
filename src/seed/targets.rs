//! What of a seed file is legal and of no use: triggers for workloads that it lacks.

use std::collections::HashMap;

use super::Seed;
use crate::cce::Cluster;
use crate::engine::missing_target;

/// How many warnings are given in full.
const MOST_WARNINGS: usize = 20;

impl Seed {
    /// Warnings about triggers whose cluster, workload or container the file lacks.
    pub fn warnings(&self) -> Vec<String> {
        let clusters: Vec<Cluster> = self.clusters.iter().map(|c| c.cluster.clone()).collect();
        let workloads = self.clusters.iter().flat_map(|cluster| &cluster.workloads);
        let workloads: HashMap<_, _> = workloads.map(|one| (&one.key, &one.template)).collect();
        let real = self.real_clusters();
        let mut warnings = Vec::new();
        let mut more = 0;
        for namespace in &self.namespaces {
            for repository in &namespace.repositories {
                for trigger in &repository.triggers {
                    let trigger = &trigger.new;
                    let missing = missing_target(
                        trigger,
                        &clusters,
                        |cluster| real.get(&cluster.id).is_some(),
                        |key| workloads.get(key).copied(),
                    );
                    let Some(reason) = missing else { continue };
                    if warnings.len() == MOST_WARNINGS {
                        more += 1;
                        continue;
                    }
                    warnings.push(format!(
                        "Seed file: the trigger {} of {}/{} has nothing to update in the file: \
                         {reason}",
                        trigger.name.as_str(),
                        namespace.name.as_str(),
                        repository.name.as_str(),
                    ));
                }
            }
        }
        if more > 0 {
            warnings.push(format!(
                "Seed file: {more} more triggers have nothing to update in the file"
            ));
        }
        warnings
    }
}
