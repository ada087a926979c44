//! What is around a new trigger, remembered, so that hints cost a request next to nothing: most new
//! triggers are like one before, and clusters change rarely. What is remembered counts only while
//! nothing of it was written since.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use parking_lot::Mutex;

use super::lint::Surroundings;
use super::{NewTrigger, TriggerName, store};
use crate::cce;
use crate::db::{Db, Version};
use crate::error::Result;

/// Of how many workloads the youngest trigger is remembered.
const MOST: usize = 4096;

/// What is remembered by an instance.
#[derive(Debug, Default)]
pub struct Known {
    clusters: Mutex<Option<Clusters>>,
    /// The youngest trigger of a workload, by repository and place.
    youngest: Mutex<HashMap<u64, Youngest>>,
}

#[derive(Debug)]
struct Clusters {
    version: Version,
    ids: HashSet<String>,
    names: HashSet<String>,
}

#[derive(Debug, Clone)]
struct Youngest {
    version: Version,
    name: TriggerName,
    container: String,
}

impl Known {
    /// What is around a new trigger of a repository.
    pub async fn surroundings(
        &self,
        db: &Db,
        repository_id: i64,
        trigger: &NewTrigger,
    ) -> Result<Surroundings> {
        Ok(Surroundings {
            rival: self.rival(db, repository_id, trigger).await?,
            lacks_cluster: self.lacks_cluster(db, trigger).await?,
        })
    }

    /// Notes that a trigger was made, which it was by now.
    pub fn note(&self, db: &Db, repository_id: i64, trigger: &NewTrigger) {
        let youngest = Youngest {
            version: db.versions().now(),
            name: trigger.name.clone(),
            container: trigger.container.clone(),
        };
        let mut known = self.youngest.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(place(repository_id, trigger), youngest);
    }

    async fn rival(
        &self,
        db: &Db,
        repository_id: i64,
        trigger: &NewTrigger,
    ) -> Result<Option<String>> {
        let place = place(repository_id, trigger);
        let known = self.youngest.lock().get(&place).cloned();
        if let Some(known) = known {
            let subject = store::subject(repository_id, &known.name);
            let is_current = db.versions().is_current(Some(subject), known.version);
            let containers = [&known.container, &trigger.container];
            let is_same = known.container == trigger.container
                || containers.iter().any(|container| container.is_empty());
            if is_current && is_same && known.name != trigger.name {
                return Ok(Some(known.name.as_str().to_owned()));
            }
        }
        store::find_rival(db.lookups(), repository_id, trigger).await
    }

    async fn lacks_cluster(&self, db: &Db, trigger: &NewTrigger) -> Result<bool> {
        let (id, name) = (trigger.cluster.id(), trigger.cluster.name());
        if id.is_empty() && name.is_empty() {
            return Ok(false);
        }
        let is_missing = |clusters: &Clusters| {
            if id.is_empty() {
                !clusters.names.contains(name)
            } else {
                !clusters.ids.contains(id)
            }
        };
        if let Some(known) = &*self.clusters.lock()
            && db.versions().is_current(None, known.version)
        {
            return Ok(is_missing(known));
        }
        let version = db.versions().now();
        let found = cce::store::list(db.lookups()).await?;
        let (ids, names) = found
            .into_iter()
            .map(|cluster| (cluster.id, cluster.name))
            .unzip();
        let known = Clusters {
            version,
            ids,
            names,
        };
        let is_missing = is_missing(&known);
        *self.clusters.lock() = Some(known);
        Ok(is_missing)
    }
}

fn place(repository_id: i64, trigger: &NewTrigger) -> u64 {
    let mut hasher = DefaultHasher::new();
    let NewTrigger {
        app_type,
        application,
        cluster_ns,
        cluster,
        ..
    } = trigger;
    (repository_id, app_type, application, cluster_ns, cluster).hash(&mut hasher);
    hasher.finish()
}
