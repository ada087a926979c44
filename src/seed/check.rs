//! The rules of the seed file: each name and each thing that it describes, as the chapters check
//! them, with the place of what is wrong.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::file::SeedError;
use super::format::{
    AccountEntry, ClusterEntry, KubernetesNamespaceEntry, NamespaceEntry, PermissionEntry,
    RegionEntry, RepositoryEntry, SeedFile,
};
use super::lines::line_of;
use super::{
    Seed, SeedCluster, SeedNamespace, SeedRegion, SeedRepository, SeedShare, SeedSyncTask,
    SeedTrigger, SeedWorkload,
};
use crate::auth::{
    Account, BUILTIN_ACCESS_KEY, BUILTIN_ACCOUNT, BUILTIN_TOKEN, Directory, NewAccount, NewUser,
    Secret, User,
};
use crate::cce::Cluster;
use crate::config::{parse_listen, parse_region, parse_registry_host};
use crate::error::{Error, Fault};
use crate::iam::{self, MadeUser};
use crate::json::JsonObject;
use crate::kubernetes::Access;
use crate::namespace::NamespaceName;
use crate::permission::{Grant, Level};
use crate::repository::{Category, Description, RepositoryName};
use crate::retention::{self, Policy};
use crate::sharing;
use crate::sync::SyncTarget;
use crate::trigger::{self, AppType};
use crate::workload::{
    WorkloadKey, parse_label, parse_subdomain, read_failures, read_plan, read_template,
};

/// Where something of an organization stands.
#[derive(Clone, Copy)]
struct Scope<'a> {
    directory: &'a Directory,
    regions: &'a [SeedRegion],
    /// The account of the organization.
    account: &'a Account,
    /// The region that it is in.
    region: &'a str,
}

pub(super) struct Checker<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) home: &'a str,
    /// The seed that the instance started with, for one that is posted to it.
    pub(super) first: Option<&'a Seed>,
}

impl Checker<'_> {
    fn wrong<T>(&self, field: &str, rule: impl std::fmt::Display) -> Result<T, SeedError> {
        let line = line_of(self.text, field);
        let message = format!("{field}: {rule}");
        Err(SeedError::Rule(self.path.to_owned(), line, message))
    }

    /// A rule of the API, reported under the key that the seed file has for the field.
    fn api<T>(&self, under: &str, result: Result<T, Error>) -> Result<T, SeedError> {
        result.or_else(|error| match error {
            Error::Invalid { field, rule, .. } if field != "namespace" && field != "repository" => {
                self.wrong(&format!("{under}.{field}"), rule)
            }
            Error::Invalid { rule, .. } => self.wrong(&format!("{under}.name"), rule),
            error => self.wrong(under, error),
        })
    }

    pub(super) fn check(&self, file: SeedFile) -> Result<(Directory, Seed), SeedError> {
        let with_agency: Vec<_> = file
            .accounts
            .iter()
            .filter(|entry| entry.agency)
            .map(|entry| entry.name.clone())
            .collect();
        let mut accounts = file.accounts;
        let made: Vec<_> = accounts
            .iter_mut()
            .map(|entry| (entry.name.clone(), std::mem::take(&mut entry.iam_users)))
            .collect();
        let accounts = self.accounts(file.builtin_account, accounts)?;
        let mut directory = Directory::new(file.builtin_account, accounts)
            .map_err(|error| SeedError::Accounts(self.path.to_owned(), error))?;
        let users = self.made_users(&mut directory, made)?;
        let regions = self.regions(file.regions)?;
        if self.first.is_some_and(|first| first.regions != regions) {
            let rule = "must be those of the seed that the instance started with: their addresses \
                        are fixed until it ends";
            return self.wrong("regions", rule);
        }
        let seed = Seed {
            accounts: directory.accounts(),
            agencies: with_agency
                .iter()
                .filter_map(|name| directory.account_named(name))
                .collect(),
            users,
            namespaces: self.namespaces(&directory, &regions, file.organizations)?,
            regions,
            clusters: self.clusters(file.clusters)?,
        };
        Ok((directory, seed))
    }

    fn regions(&self, entries: Vec<RegionEntry>) -> Result<Vec<SeedRegion>, SeedError> {
        let mut regions: Vec<SeedRegion> = Vec::new();
        for (at, entry) in entries.into_iter().enumerate() {
            let under = format!("regions[{at}]");
            let name = match parse_region(&entry.name) {
                Ok(name) => name,
                Err(rule) => return self.wrong(&format!("{under}.name"), rule),
            };
            if name == self.home {
                let rule = "must not be the home region, which is set by --region and --listen";
                return self.wrong(&format!("{under}.name"), rule);
            }
            if regions.iter().any(|known| known.name == name) {
                return self.wrong(&format!("{under}.name"), "must be unique");
            }
            let listen = match parse_listen(&entry.listen) {
                Ok(listen) => listen,
                Err(rule) => {
                    return self.wrong(&format!("{under}.listen"), rule);
                }
            };
            let registry_host = match entry.registry_host {
                None => None,
                Some(host) => match parse_registry_host(&host) {
                    Ok(name) => Some(name),
                    Err(rule) => {
                        return self.wrong(&format!("{under}.registry_host"), rule);
                    }
                },
            };
            regions.push(SeedRegion {
                name,
                listen,
                registry_host,
            });
        }
        Ok(regions)
    }

    fn accounts(
        &self,
        builtin: bool,
        entries: Vec<AccountEntry>,
    ) -> Result<Vec<NewAccount>, SeedError> {
        // Where each credential is that names its user by itself.
        let mut places = HashMap::new();
        if builtin {
            let place = "the built-in user";
            places.insert(
                ("access_key", BUILTIN_ACCESS_KEY.to_owned()),
                place.to_owned(),
            );
            places.insert(("token", BUILTIN_TOKEN.to_owned()), place.to_owned());
        }
        let mut accounts = Vec::new();
        for (at, entry) in entries.into_iter().enumerate() {
            let under = format!("accounts[{at}]");
            let name = self.filled(&format!("{under}.name"), entry.name)?;
            let mut users = Vec::new();
            for (at, entry) in entry.users.into_iter().enumerate() {
                let under = format!("{under}.users[{at}]");
                let name = self.filled(&format!("{under}.name"), entry.name)?;
                let texts = [
                    ("id", &entry.id),
                    ("password", &entry.password),
                    ("access_key", &entry.access_key),
                    ("secret_key", &entry.secret_key),
                    ("token", &entry.token),
                ];
                for (field, text) in texts {
                    if text.as_deref().is_some_and(str::is_empty) {
                        return self.wrong(&format!("{under}.{field}"), "must not be empty");
                    }
                }
                for (field, text) in [("access_key", &entry.access_key), ("token", &entry.token)] {
                    let Some(text) = text else { continue };
                    let place = format!("{under}.{field}");
                    if let Some(other) = places.get(&(field, text.clone())) {
                        return self.wrong(&place, format!("is already used by {other}"));
                    }
                    places.insert((field, text.clone()), under.clone());
                }
                if entry.access_key.is_some() != entry.secret_key.is_some() {
                    let rule = "must be given together with secret_key";
                    return self.wrong(&format!("{under}.access_key"), rule);
                }
                users.push(NewUser {
                    name,
                    id: entry.id,
                    admin: entry.admin,
                    password: entry.password.map(Secret::new),
                    access_key: entry.access_key,
                    secret_key: entry.secret_key.map(Secret::new),
                    token: entry.token.map(Secret::new),
                });
            }
            accounts.push(NewAccount {
                name,
                id: entry.id,
                users,
            });
        }
        Ok(accounts)
    }

    /// The users that IAM could have made, by the place of their account.
    fn made_users(
        &self,
        directory: &mut Directory,
        entries: Vec<(String, Vec<Map<String, Value>>)>,
    ) -> Result<Vec<MadeUser>, SeedError> {
        let mut users = Vec::new();
        for (at, (account, entries)) in entries.into_iter().enumerate() {
            let Some(account) = directory.account_named(&account) else {
                continue;
            };
            let place = format!("accounts[{at}].iam_users");
            if entries.len() > iam::MOST_USERS {
                let rule = format!("must have at most {} users", iam::MOST_USERS);
                return self.wrong(&place, rule);
            }
            let known = directory.users_of(&account).map(|user| user.name.clone());
            let mut names: HashSet<_> = known.collect();
            for (at, entry) in entries.into_iter().enumerate() {
                let under = format!("{place}[{at}]");
                let user = iam::read_seeded(&JsonObject::from(entry), &account);
                let user = self.api(&under, user)?;
                if directory.user_with_id(user.id()).is_some() {
                    return self.wrong(&format!("{under}.id"), "must be unique");
                }
                if !names.insert(user.name().to_owned()) {
                    let rule = "must be unique in the account";
                    return self.wrong(&format!("{under}.name"), rule);
                }
                directory.add_made(user.to_user(&account));
                users.push(user);
            }
        }
        Ok(users)
    }

    fn filled(&self, field: &str, text: String) -> Result<String, SeedError> {
        if text.trim().is_empty() {
            return self.wrong(field, "must not be empty");
        }
        Ok(text)
    }

    fn namespaces(
        &self,
        directory: &Directory,
        regions: &[SeedRegion],
        entries: Vec<NamespaceEntry>,
    ) -> Result<Vec<SeedNamespace>, SeedError> {
        let mut names = HashSet::new();
        let mut namespaces = Vec::new();
        for (at, entry) in entries.into_iter().enumerate() {
            let under = format!("organizations[{at}]");
            let name = self.api(&under, NamespaceName::parse(&entry.name))?;
            let region = self.region_of(regions, &under, entry.region.as_ref())?;
            if !names.insert((region.clone(), name.clone())) {
                return self.wrong(&format!("{under}.name"), "must be unique in the region");
            }
            let account = self.account_of(directory, &under, entry.account.as_ref())?;
            let first = directory.users_of(&account).next();
            let creator = entry.creator.as_ref();
            let creator = self.creator_of(directory, &under, &account, creator, first.as_ref())?;
            let mut entries = entry.permissions;
            // Only the right that comes of itself can be taken away.
            let gives = |entry: &PermissionEntry| entry.user != creator.name || entry.auth != 0;
            let count = entries.len();
            entries.retain(gives);
            let permissions = self.permissions(directory, &under, &account, entries)?;
            let own = permissions.iter().find(|grant| grant.user_id == creator.id);
            let creator_level = match own {
                Some(grant) => Some(grant.level),
                None if permissions.len() < count => None,
                None => Some(Level::Manage),
            };
            let scope = Scope {
                directory,
                regions,
                account: &account,
                region: &region,
            };
            let repositories = self.repositories(scope, &under, &creator, entry.repositories)?;
            namespaces.push(SeedNamespace {
                region,
                name,
                creator,
                creator_level,
                permissions,
                repositories,
            });
        }
        Ok(namespaces)
    }

    fn region_of(
        &self,
        regions: &[SeedRegion],
        under: &str,
        name: Option<&String>,
    ) -> Result<String, SeedError> {
        let Some(name) = name else {
            return Ok(self.home.to_owned());
        };
        let is_known = |known: &str| known == name;
        if is_known(self.home) || regions.iter().any(|region| is_known(&region.name)) {
            return Ok(name.clone());
        }
        let rule = format!("must be the home region or a region of this file; there is no {name}");
        self.wrong(&format!("{under}.region"), rule)
    }

    fn account_of(
        &self,
        directory: &Directory,
        under: &str,
        name: Option<&String>,
    ) -> Result<Arc<Account>, SeedError> {
        let name = name.map_or(BUILTIN_ACCOUNT, |name| name.as_str());
        match directory.account_named(name) {
            Some(account) => Ok(account),
            None => {
                let rule = format!("must be an account of this file; there is no {name}");
                self.wrong(&format!("{under}.account"), rule)
            }
        }
    }

    /// Who made something: the user of this name, or whoever is meant where there is none.
    fn creator_of(
        &self,
        directory: &Directory,
        under: &str,
        account: &Account,
        name: Option<&String>,
        default: Option<&Arc<User>>,
    ) -> Result<Arc<User>, SeedError> {
        let found = match name {
            Some(name) => directory.users_of(account).find(|user| user.name == *name),
            None => default.cloned(),
        };
        match found {
            Some(user) => Ok(user),
            None => {
                let rule = format!("must be a user of the account {}", account.name);
                self.wrong(&format!("{under}.creator"), rule)
            }
        }
    }

    /// The same where the name is one of the fields of something, out of which it is taken.
    fn creator_in(
        &self,
        scope: Scope<'_>,
        under: &str,
        fields: &mut Map<String, Value>,
        default: &Arc<User>,
    ) -> Result<Arc<User>, SeedError> {
        let name = match fields.remove("creator") {
            None => None,
            Some(Value::String(name)) => Some(name),
            Some(_) => return self.wrong(&format!("{under}.creator"), "must be a string"),
        };
        let Scope {
            directory, account, ..
        } = scope;
        self.creator_of(directory, under, account, name.as_ref(), Some(default))
    }

    fn permissions(
        &self,
        directory: &Directory,
        under: &str,
        account: &Account,
        entries: Vec<PermissionEntry>,
    ) -> Result<Vec<Grant>, SeedError> {
        let mut grants: Vec<Grant> = Vec::new();
        for (at, entry) in entries.into_iter().enumerate() {
            let under = format!("{under}.permissions[{at}]");
            let name = entry.user;
            let user_id = match entry.id {
                None => match directory.users_of(account).find(|user| user.name == name) {
                    Some(user) => user.id.clone(),
                    None => {
                        let rule = format!(
                            "must be a user of the account {}, or be given with an id",
                            account.name
                        );
                        return self.wrong(&format!("{under}.user"), rule);
                    }
                },
                Some(id) => {
                    let id = self.filled(&format!("{under}.id"), id)?;
                    let known = directory.user_with_id(&id);
                    let is_other =
                        |user: &Arc<User>| user.account.id != account.id || user.name != name;
                    if name.trim().is_empty() || known.as_ref().is_some_and(is_other) {
                        let rule = "must be the name of the user with this id, of the account";
                        return self.wrong(&format!("{under}.user"), rule);
                    }
                    id
                }
            };
            if grants.iter().any(|grant| grant.user_id == user_id) {
                return self.wrong(&format!("{under}.user"), "must not appear twice");
            }
            let Some(level) = Level::from_auth(entry.auth) else {
                let rule = "must be 7 (manage), 3 (edit) or 1 (read)";
                return self.wrong(&format!("{under}.auth"), rule);
            };
            grants.push(Grant {
                user_id,
                user_name: name,
                level,
            });
        }
        Ok(grants)
    }

    fn repositories(
        &self,
        scope: Scope<'_>,
        under: &str,
        maker: &Arc<User>,
        entries: Vec<RepositoryEntry>,
    ) -> Result<Vec<SeedRepository>, SeedError> {
        let Scope {
            directory, account, ..
        } = scope;
        let mut names = HashSet::new();
        let mut repositories = Vec::new();
        for (at, entry) in entries.into_iter().enumerate() {
            let under = format!("{under}.repositories[{at}]");
            let name = self.api(&under, RepositoryName::parse(&entry.name))?;
            if !names.insert(name.clone()) {
                let rule = "must be unique in the organization";
                return self.wrong(&format!("{under}.name"), rule);
            }
            let category = match &entry.category {
                Some(text) => self.api(&under, Category::parse(text, Fault::Parameter))?,
                None => Category::default(),
            };
            let description = self.api(&under, Description::parse(&entry.description))?;
            let creator = entry.creator.as_ref();
            let creator = self.creator_of(directory, &under, account, creator, Some(maker))?;
            let retention = match entry.retention {
                Some(fields) => Some(self.retention(&format!("{under}.retention"), fields)?),
                None => None,
            };
            repositories.push(SeedRepository {
                name,
                is_public: entry.is_public,
                category,
                description,
                permissions: self.permissions(directory, &under, account, entry.permissions)?,
                triggers: self.triggers(scope, &under, &creator, entry.triggers)?,
                retention,
                shares: self.shares(scope, &under, &creator, entry.shares)?,
                sync_tasks: self.sync_tasks(scope, &under, &creator, entry.sync)?,
                creator,
            });
        }
        Ok(repositories)
    }

    fn triggers(
        &self,
        scope: Scope<'_>,
        under: &str,
        maker: &Arc<User>,
        entries: Vec<Map<String, Value>>,
    ) -> Result<Vec<SeedTrigger>, SeedError> {
        let known_keys: Vec<_> = trigger::FIELDS.into_iter().chain(["creator"]).collect();
        let mut names = HashSet::new();
        let mut triggers = Vec::new();
        for (at, mut entry) in entries.into_iter().enumerate() {
            let under = format!("{under}.triggers[{at}]");
            let creator = self.creator_in(scope, &under, &mut entry, maker)?;
            let fields = JsonObject::from(entry);
            let known = fields.refuse_unknown("trigger", &known_keys);
            let read = known.and_then(|()| trigger::read_body(&fields));
            let new = self.api(&under, read)?;
            if !names.insert(new.name.as_str().to_owned()) {
                let rule = "must be unique in the repository";
                return self.wrong(&format!("{under}.name"), rule);
            }
            triggers.push(SeedTrigger { new, creator });
        }
        Ok(triggers)
    }

    fn retention(&self, under: &str, fields: Map<String, Value>) -> Result<Policy, SeedError> {
        let fields = JsonObject::from(fields);
        let known = fields.refuse_unknown("retention rule", &["algorithm", "rules"]);
        self.api(under, known)?;
        for (at, rule) in fields.objects("rules").into_iter().flatten().enumerate() {
            let under = format!("{under}.rules[{at}]");
            let known = rule.refuse_unknown("rule", &["template", "params", "tag_selectors"]);
            self.api(&under, known)?;
            let param = match rule.value("template").and_then(Value::as_str) {
                Some("tag_rule") => "num",
                _ => "days",
            };
            if let Ok(params) = rule.object("params") {
                let known = params.refuse_unknown("rule's params", &[param]);
                self.api(&format!("{under}.params"), known)?;
            }
            let selectors = rule.objects("tag_selectors").into_iter().flatten();
            for (at, selector) in selectors.enumerate() {
                let known = selector.refuse_unknown("selector", &["kind", "pattern"]);
                self.api(&format!("{under}.tag_selectors[{at}]"), known)?;
            }
        }
        self.api(under, retention::read_policy(&fields))
    }

    fn shares(
        &self,
        scope: Scope<'_>,
        under: &str,
        maker: &Arc<User>,
        entries: Vec<Map<String, Value>>,
    ) -> Result<Vec<SeedShare>, SeedError> {
        if entries.len() > sharing::MOST_ACCOUNTS {
            let rule = format!("must have at most {} accounts", sharing::MOST_ACCOUNTS);
            return self.wrong(&format!("{under}.shares"), rule);
        }
        let mut shares: Vec<SeedShare> = Vec::new();
        for (at, mut entry) in entries.into_iter().enumerate() {
            let under = format!("{under}.shares[{at}]");
            let creator = self.creator_in(scope, &under, &mut entry, maker)?;
            // As good as every share is one for reading, and without an end.
            entry.entry("permit").or_insert_with(|| "read".into());
            entry.entry("deadline").or_insert_with(|| "forever".into());
            let fields = JsonObject::from(entry);
            let keys = [
                "access_domain",
                "permit",
                "deadline",
                "description",
                "creator",
            ];
            self.api(&under, fields.refuse_unknown("share", &keys))?;
            let name = self.api(&under, fields.string("access_domain"))?;
            let place = format!("{under}.access_domain");
            let account = match scope.directory.account_named(name) {
                Some(account) if account.id == scope.account.id => {
                    return self.wrong(&place, "must be another account");
                }
                Some(account) => account,
                None => {
                    let rule = format!("must be an account of this file; there is no {name}");
                    return self.wrong(&place, rule);
                }
            };
            if shares.iter().any(|share| share.account.id == account.id) {
                return self.wrong(&place, "must not appear twice");
            }
            let (deadline, description) = self.api(&under, sharing::read_terms(&fields))?;
            shares.push(SeedShare {
                account,
                deadline,
                description,
                creator,
            });
        }
        Ok(shares)
    }

    fn sync_tasks(
        &self,
        scope: Scope<'_>,
        under: &str,
        maker: &Arc<User>,
        entries: Vec<Map<String, Value>>,
    ) -> Result<Vec<SeedSyncTask>, SeedError> {
        let is_region =
            |name: &str| name == self.home || scope.regions.iter().any(|known| known.name == name);
        let mut tasks: Vec<SeedSyncTask> = Vec::new();
        for (at, mut entry) in entries.into_iter().enumerate() {
            let under = format!("{under}.sync[{at}]");
            let creator = self.creator_in(scope, &under, &mut entry, maker)?;
            let fields = JsonObject::from(entry);
            let keys = [
                "remoteRegionId",
                "remoteNamespace",
                "syncAuto",
                "override",
                "creator",
            ];
            self.api(&under, fields.refuse_unknown("sync task", &keys))?;
            let region = self.api(&under, fields.string("remoteRegionId"))?;
            let namespace = self.api(&under, fields.string("remoteNamespace"))?;
            if !is_region(region) {
                let rule = format!(
                    "must be the home region or a region of this file; there is no {region}"
                );
                return self.wrong(&format!("{under}.remoteRegionId"), rule);
            }
            let target = SyncTarget::parse(is_region, scope.region, region, namespace);
            let target = self.api(&under, target)?;
            if tasks.iter().any(|task| task.target == target) {
                let rule = "must not appear twice with the same remoteRegionId";
                return self.wrong(&format!("{under}.remoteNamespace"), rule);
            }
            let flag = |name: &'static str| {
                let flag = self.api(&under, fields.optional_boolean(name))?;
                Ok(flag.unwrap_or(false))
            };
            tasks.push(SeedSyncTask {
                sync_auto: flag("syncAuto")?,
                overwrite: flag("override")?,
                target,
                creator,
            });
        }
        Ok(tasks)
    }

    fn clusters(&self, entries: Vec<ClusterEntry>) -> Result<Vec<SeedCluster>, SeedError> {
        let mut clusters: Vec<SeedCluster> = Vec::new();
        for (at, entry) in entries.into_iter().enumerate() {
            let under = format!("clusters[{at}]");
            let name = self.filled(&format!("{under}.name"), entry.name)?;
            let id = entry.id.unwrap_or_else(|| name.clone());
            if clusters.iter().any(|known| known.cluster.id == id) {
                return self.wrong(&format!("{under}.id"), "must be unique");
            }
            let access = self.access(&under, entry.kubeconfig, entry.context, entry.in_cluster)?;
            let access = match self.first {
                Some(first) => self.posted_access(&under, first.access_of(&id), access)?,
                None => access,
            };
            if access.is_some() && !entry.namespaces.is_empty() {
                let rule = "must be omitted: a real cluster has its own namespaces";
                return self.wrong(&format!("{under}.namespaces"), rule);
            }
            let workloads = self.workloads(&under, &id, entry.namespaces)?;
            clusters.push(SeedCluster {
                cluster: Cluster { id, name },
                access,
                workloads,
            });
        }
        Ok(clusters)
    }

    fn access(
        &self,
        under: &str,
        kubeconfig: Option<PathBuf>,
        context: Option<String>,
        in_cluster: bool,
    ) -> Result<Option<Access>, SeedError> {
        Ok(match (kubeconfig, in_cluster) {
            (Some(path), false) => {
                // Beside the seed file, so that both can be moved together.
                let folder = self.path.parent().unwrap_or(Path::new(""));
                Some(Access::Kubeconfig {
                    path: folder.join(path),
                    context,
                })
            }
            (None, _) if context.is_some() => {
                let rule = "must be given together with kubeconfig";
                return self.wrong(&format!("{under}.context"), rule);
            }
            (None, true) => Some(Access::InCluster),
            (None, false) => None,
            (Some(_), true) => {
                let rule = "cannot be used with kubeconfig";
                return self.wrong(&format!("{under}.in_cluster"), rule);
            }
        })
    }

    /// How a cluster of a posted seed is reached: as the seed of the start says, whether the posted
    /// one repeats that or not. A kubeconfig can name programs that are run, and a cluster is
    /// outside of the instance: whoever may reset has a say in neither.
    fn posted_access(
        &self,
        under: &str,
        first: Option<&Access>,
        posted: Option<Access>,
    ) -> Result<Option<Access>, SeedError> {
        match posted {
            Some(posted) if first.is_none_or(|first| !first.is_same(&posted)) => {
                let field = match posted {
                    Access::Kubeconfig { .. } => "kubeconfig",
                    Access::InCluster => "in_cluster",
                };
                let rule = "must be omitted, or be what the seed of the start says of the cluster \
                            with this id; a posted seed cannot make a cluster a real one";
                self.wrong(&format!("{under}.{field}"), rule)
            }
            _ => Ok(first.cloned()),
        }
    }

    fn workloads(
        &self,
        under: &str,
        cluster_id: &str,
        entries: Vec<KubernetesNamespaceEntry>,
    ) -> Result<Vec<SeedWorkload>, SeedError> {
        let mut places = HashSet::new();
        let mut workloads = Vec::new();
        for (at, entry) in entries.into_iter().enumerate() {
            let under = format!("{under}.namespaces[{at}]");
            let namespace = parse_label("name", &entry.name);
            let namespace = self.api(&under, namespace)?;
            for (kind, entries) in [
                (AppType::Deployments, entry.deployments),
                (AppType::StatefulSets, entry.statefulsets),
            ] {
                for (at, entry) in entries.into_iter().enumerate() {
                    let under = format!("{under}.{}[{at}]", kind.as_str());
                    let fields = JsonObject::from(entry);
                    let keys = [
                        "name",
                        "containers",
                        "init_containers",
                        "fail",
                        "delay_ms",
                        "rollout",
                    ];
                    let known = fields.refuse_unknown("workload", &keys);
                    let name = known
                        .and_then(|()| fields.string("name"))
                        .and_then(|name| parse_subdomain("name", name));
                    let key = WorkloadKey {
                        cluster_id: cluster_id.to_owned(),
                        namespace: namespace.clone(),
                        kind,
                        name: self.api(&under, name)?,
                    };
                    if !places.insert(key.clone()) {
                        let rule = "must be unique in the namespace";
                        return self.wrong(&format!("{under}.name"), rule);
                    }
                    let template = self.api(&under, read_template(&fields))?;
                    let misbehaviour = self.api(&under, read_failures(&fields))?;
                    let plan = self.api(&under, read_plan(&fields))?;
                    workloads.push(SeedWorkload {
                        key,
                        template,
                        misbehaviour,
                        plan,
                    });
                }
            }
        }
        Ok(workloads)
    }
}
