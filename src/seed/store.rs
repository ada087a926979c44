//! Writes a seed: what is missing is made, what exists is left alone, nothing is deleted, but by
//! a reset.

use std::sync::Arc;

use sqlx::SqliteConnection;

use super::{Seed, SeedCluster, SeedNamespace, SeedRepository, SeedTrigger, SeedWorkload};
use crate::account;
use crate::auth::Account;
use crate::cce;
use crate::clock::Timestamp;
use crate::db::{BatchWrite, Write};
use crate::error::{Error, Resource, Result};
use crate::iam;
use crate::namespace::{self, NewNamespace};
use crate::permission::{self, Grant, GrantTarget};
use crate::repository::{self, NewRepository};
use crate::retention;
use crate::sharing::{self, store::NewShare};
use crate::sync::{self, store::PutTask};
use crate::trigger::store::CreateTrigger;
use crate::workload;

/// How many triggers one statement makes.
const TRIGGERS_AT_ONCE: usize = 1000;

/// Makes what of a seed is missing.
#[derive(Debug)]
pub struct ApplySeed {
    pub seed: Arc<Seed>,
    /// What `{registry}` in an image stands for.
    pub registry: String,
    /// When they are made.
    pub now: Timestamp,
}

impl Write for ApplySeed {
    type Output = ();
    const INVALIDATES_NAMES: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        for account in &self.seed.accounts {
            put_account(&mut *transaction, account).await?;
        }
        for account in &self.seed.agencies {
            account::store::insert_agency(&mut *transaction, &account.id, self.now).await?;
        }
        for user in &self.seed.users {
            iam::insert_missing(&mut *transaction, user, self.now).await?;
        }
        for SeedCluster {
            cluster, workloads, ..
        } in &self.seed.clusters
        {
            cce::store::put(&mut *transaction, cluster).await?;
            for SeedWorkload {
                key,
                template,
                misbehaviour,
                plan,
            } in workloads
            {
                let template = template.clone().with_registry(&self.registry);
                let (db, plan) = (&mut *transaction, plan.as_ref());
                workload::store::insert(db, key, &template, *misbehaviour, plan, self.now).await?;
            }
        }
        for namespace in &self.seed.namespaces {
            self.namespace(transaction, namespace).await?;
        }
        Ok(())
    }
}

impl ApplySeed {
    async fn namespace(
        &self,
        transaction: &mut SqliteConnection,
        namespace: &SeedNamespace,
    ) -> Result<()> {
        let creator = &namespace.creator;
        let new = NewNamespace {
            region: namespace.region.clone(),
            name: namespace.name.clone(),
            account_id: creator.account.id.clone(),
            creator_id: creator.id.clone(),
            creator_name: creator.name.clone(),
            created_at: self.now,
        };
        namespace::store::insert(&mut *transaction, &new, namespace.creator_level).await?;
        let found = namespace::store::find(&mut *transaction, &namespace.region, &namespace.name);
        let found = found.await?.ok_or(Error::NotFound(Resource::Namespace))?;
        let found = Arc::new(found);
        grant(
            transaction,
            GrantTarget::Namespace(found.id),
            &namespace.permissions,
        )
        .await?;
        for repository in &namespace.repositories {
            self.repository(transaction, &found, repository).await?;
        }
        Ok(())
    }

    async fn repository(
        &self,
        transaction: &mut SqliteConnection,
        namespace: &Arc<namespace::Namespace>,
        repository: &SeedRepository,
    ) -> Result<()> {
        let creator = &repository.creator;
        let new = NewRepository {
            namespace_id: namespace.id,
            name: repository.name.clone(),
            is_public: repository.is_public,
            category: repository.category,
            description: repository.description.clone(),
            creator_id: creator.id.clone(),
            creator_name: creator.name.clone(),
            created_at: self.now,
        };
        repository::store::insert(&mut *transaction, &new).await?;
        let found = repository::store::find_ref(&mut *transaction, namespace, &repository.name);
        let found = found.await?.ok_or(Error::NotFound(Resource::Repository))?;
        grant(
            transaction,
            GrantTarget::Repository(found.id),
            &repository.permissions,
        )
        .await?;
        for some in repository.triggers.chunks(TRIGGERS_AT_ONCE) {
            let triggers = some
                .iter()
                .map(|SeedTrigger { new, creator }| {
                    CreateTrigger::new(found.id, new, &creator.name, self.now)
                })
                .collect::<Result<_>>()?;
            for outcome in CreateTrigger::run(triggers, &mut *transaction).await? {
                match outcome {
                    Ok(()) | Err(Error::AlreadyExists(Resource::Trigger)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if let Some(policy) = &repository.retention {
            // It runs in its turn: a start deletes nothing.
            retention::store::insert(&mut *transaction, found.id, policy).await?;
        }
        for share in &repository.shares {
            let share = NewShare {
                repository_id: found.id,
                account_id: share.account.id.clone(),
                deadline: share.deadline,
                description: share.description.clone(),
                creator_id: share.creator.id.clone(),
                creator_name: share.creator.name.clone(),
                now: self.now,
            };
            sharing::store::insert(&mut *transaction, &share).await?;
        }
        for task in &repository.sync_tasks {
            let task = PutTask {
                repository_id: found.id,
                target: task.target.clone(),
                sync_auto: task.sync_auto,
                overwrite: task.overwrite,
                operator_id: task.creator.id.clone(),
                operator_name: task.creator.name.clone(),
                now: self.now,
            };
            sync::store::insert_task(&mut *transaction, &task).await?;
        }
        Ok(())
    }
}

/// Grants what is missing.
async fn grant(
    transaction: &mut SqliteConnection,
    place: GrantTarget,
    grants: &[Grant],
) -> Result<()> {
    for grant in grants {
        permission::store::insert(&mut *transaction, place, grant).await?;
    }
    Ok(())
}

async fn put_account(transaction: &mut SqliteConnection, account: &Account) -> Result<()> {
    sqlx::query(
        "INSERT INTO accounts (id, name) VALUES (?, ?)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name",
    )
    .bind(&account.id)
    .bind(&account.name)
    .execute(transaction)
    .await?;
    Ok(())
}

/// Removes everything but the key that signs tokens, then applies the seed; readers see either the
/// state before or after.
#[derive(Debug)]
pub struct Reset(ApplySeed);

impl Reset {
    /// Back to what the instance started with.
    pub fn to(seed: Arc<Seed>, registry: String, now: Timestamp) -> Self {
        Self(ApplySeed {
            seed,
            registry,
            now,
        })
    }
}

impl Write for Reset {
    /// The files of blobs that no row names any more.
    type Output = Vec<String>;
    const INVALIDATES_NAMES: bool = true;
    const RELOADS_FIRINGS: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Vec<String>> {
        // The counters of AUTOINCREMENT stay: a write under way must not meet a new row with an
        // old id.
        sqlx::raw_sql(
            "DELETE FROM repositories; DELETE FROM namespaces; DELETE FROM clusters;
             DELETE FROM tokens; DELETE FROM temporary_logins; DELETE FROM accounts;",
        )
        .execute(&mut *transaction)
        .await?;
        let files = sqlx::query_scalar("DELETE FROM blobs RETURNING file")
            .fetch_all(&mut *transaction)
            .await?;
        self.0.run(transaction).await?;
        Ok(files)
    }
}
