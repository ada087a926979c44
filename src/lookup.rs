//! What the names in a path refer to, remembered in memory: every request of a chapter asks.
//!
//! An entry counts only as long as no commit changed a name (`Db::names_generation`), so a reader
//! never gets an answer that is older than the last such commit that was acknowledged.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::db::Db;
use crate::error::Result;
use crate::namespace::{self, Namespace, NamespaceName};
use crate::repository::{self, RepositoryName, RepositoryRef};

/// Organizations and repositories remembered at the most, each.
const MOST: usize = 10_000;

/// The remembered answers of one region.
#[derive(Debug)]
pub struct Lookup {
    db: Arc<Db>,
    region: String,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    generation: u64,
    namespaces: HashMap<NamespaceName, Arc<Namespace>>,
    repositories: HashMap<(i64, RepositoryName), RepositoryRef>,
}

impl Lookup {
    /// Nothing remembered yet.
    pub fn new(db: Arc<Db>, region: String) -> Self {
        Self {
            db,
            region,
            known: RwLock::default(),
        }
    }

    /// The organization with this name.
    pub async fn namespace(&self, name: &NamespaceName) -> Result<Option<Arc<Namespace>>> {
        // Taken before the read: what a later commit changes must not be remembered as current.
        let generation = self.db.names_generation();
        if let Some(namespace) = self.remembered(generation, |known| known.namespaces.get(name)) {
            return Ok(Some(namespace));
        }
        let found = namespace::store::find(self.db.lookups(), &self.region, name).await?;
        let found = found.map(Arc::new);
        if let Some(namespace) = &found {
            self.remember(generation, |known| {
                if known.namespaces.len() >= MOST {
                    known.namespaces.clear();
                }
                let namespace = Arc::clone(namespace);
                known.namespaces.insert(name.clone(), namespace);
            });
        }
        Ok(found)
    }

    /// The repository with this name in an organization.
    pub async fn repository(
        &self,
        namespace: &Arc<Namespace>,
        name: &RepositoryName,
    ) -> Result<Option<RepositoryRef>> {
        let generation = self.db.names_generation();
        let key = (namespace.id, name.clone());
        if let Some(found) = self.remembered(generation, |known| known.repositories.get(&key)) {
            // The remembered one may hold an older organization: whoever remembered it had looked
            // that up before a commit, and the repository after it.
            let namespace = Arc::clone(namespace);
            return Ok(Some(RepositoryRef { namespace, ..found }));
        }
        let found = repository::store::find_ref(self.db.lookups(), namespace, name).await?;
        if let Some(found) = &found {
            self.remember(generation, |known| {
                if known.repositories.len() >= MOST {
                    known.repositories.clear();
                }
                known.repositories.insert(key, found.clone());
            });
        }
        Ok(found)
    }

    fn remembered<T: Clone>(
        &self,
        generation: u64,
        get: impl FnOnce(&Known) -> Option<&T>,
    ) -> Option<T> {
        let known = self.known.read();
        (known.generation == generation)
            .then(|| get(&known).cloned())
            .flatten()
    }

    fn remember(&self, generation: u64, put: impl FnOnce(&mut Known)) {
        let mut known = self.known.write();
        if known.generation < generation {
            *known = Known {
                generation,
                ..Known::default()
            };
        }
        if known.generation == generation {
            put(&mut known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::testing::TestDb;
    use crate::permission::store::DeleteGrants;
    use crate::permission::{GrantTarget, Level};

    #[tokio::test]
    async fn a_right_that_was_taken_away_during_a_lookup_is_not_remembered() {
        let test = TestDb::seeded(
            "accounts: [{name: a, users: [{name: boss, admin: true}, {name: ann}]}]
organizations:
  - {name: g, account: a, permissions: [{user: ann, auth: 3}], repositories: [{name: r}]}",
        )
        .await;
        let account = test.directory.account_named("a").expect("there");
        let ann = test.directory.users_of(&account).nth(1).expect("there");
        let lookup = Lookup::new(Arc::new(test.db), "r1".to_owned());
        let group = NamespaceName::parse("g").expect("a legal name");
        let name = RepositoryName::parse("r").expect("a legal name");
        let namespace = async || lookup.namespace(&group).await.expect("read").expect("g");
        let level = async |namespace: &Arc<Namespace>| {
            let found = lookup.repository(namespace, &name).await;
            let found = found.expect("read").expect("r");
            Level::of(&ann, &found.namespace, None)
        };

        let before = namespace().await;
        let write = DeleteGrants {
            place: GrantTarget::Namespace(before.id),
            user_ids: vec![ann.id.clone()],
        };
        lookup.db.write(write).await.expect("taken away");

        assert_eq!(level(&before).await, Some(Level::Edit));
        assert_eq!(level(&namespace().await).await, None);
    }
}
