//! The format of the seed file (YAML, and so JSON too), and its checks. An error tells line,
//! field and rule; nothing is written before the whole file has passed.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;
use std::sync::Arc;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::lines::line_of;
use super::words::{self, MOST_VALUES};
use super::{Seed, SeedCluster, SeedNamespace, SeedRegion, SeedRepository};
use crate::auth::{
    Account, BUILTIN_ACCESS_KEY, BUILTIN_ACCOUNT, BUILTIN_TOKEN, Directory, DirectoryError,
    NewAccount, NewUser, Secret, User,
};
use crate::cce::Cluster;
use crate::config::{parse_listen, parse_region, parse_registry_host};
use crate::error::{Error, Fault, one_line};
use crate::json::JsonObject;
use crate::kubernetes::Access;
use crate::namespace::NamespaceName;
use crate::permission::{Grant, Level};
use crate::repository::{Category, Description, RepositoryName};
use crate::trigger::{self, AppType, parse_label, parse_subdomain};
use crate::workload::{PodTemplate, WorkloadKey, read_template};

/// Why a seed file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The file cannot be read at all.
    #[error("cannot read the seed file {0}: {1}")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The file is not YAML, or has a key or a type that the format does not.
    #[error("{}", syntax_line(.0, .1))]
    Syntax(PathBuf, #[source] Box<serde_saphyr::Error>),
    /// Something in the file breaks a rule.
    #[error("{}:{}: {}", .0.display(), .1, one_line(.2))]
    Rule(PathBuf, u64, String),
    /// Accounts cannot live beside each other.
    #[error("{}: accounts: {}", .0.display(), one_line(&.1.to_string()))]
    Accounts(PathBuf, #[source] DirectoryError),
}

fn syntax_line(path: &Path, error: &serde_saphyr::Error) -> String {
    let line = error.location().map_or(0, |location| location.line());
    let words = words::of(error.without_snippet());
    format!("{}:{line}: {}", path.display(), one_line(&words))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedFile {
    #[serde(default = "yes", deserialize_with = "boolean")]
    builtin_account: bool,
    #[serde(default)]
    regions: Vec<RegionEntry>,
    #[serde(default)]
    accounts: Vec<AccountEntry>,
    #[serde(default)]
    organizations: Vec<NamespaceEntry>,
    #[serde(default)]
    clusters: Vec<ClusterEntry>,
}

fn yes() -> bool {
    true
}

/// A boolean of YAML. The crate would take a text in quotes too.
fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct Boolean;

    impl Visitor<'_> for Boolean {
        type Value = bool;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(words::BOOLEAN)
        }

        fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }
    }

    deserializer.deserialize_any(Boolean)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionEntry {
    name: String,
    listen: String,
    registry_host: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountEntry {
    name: String,
    id: Option<String>,
    #[serde(default, deserialize_with = "boolean")]
    agency: bool,
    #[serde(default)]
    users: Vec<UserEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserEntry {
    name: String,
    id: Option<String>,
    password: Option<String>,
    access_key: Option<String>,
    secret_key: Option<String>,
    token: Option<String>,
    #[serde(default, deserialize_with = "boolean")]
    admin: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamespaceEntry {
    name: String,
    region: Option<String>,
    account: Option<String>,
    creator: Option<String>,
    #[serde(default)]
    permissions: Vec<PermissionEntry>,
    #[serde(default)]
    repositories: Vec<RepositoryEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RepositoryEntry {
    name: String,
    #[serde(default, deserialize_with = "boolean")]
    is_public: bool,
    category: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    permissions: Vec<PermissionEntry>,
    #[serde(default)]
    triggers: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PermissionEntry {
    user: String,
    auth: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClusterEntry {
    id: Option<String>,
    name: String,
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    #[serde(default, deserialize_with = "boolean")]
    in_cluster: bool,
    #[serde(default)]
    namespaces: Vec<KubernetesNamespaceEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KubernetesNamespaceEntry {
    name: String,
    #[serde(default)]
    deployments: Vec<Map<String, Value>>,
    #[serde(default)]
    statefulsets: Vec<Map<String, Value>>,
}

/// Reads and checks a seed file for an instance with this home region.
pub fn read(path: &Path, home: &str) -> Result<(Directory, Seed), SeedError> {
    let bytes =
        std::fs::read(path).map_err(|error| SeedError::Unreadable(path.to_owned(), error))?;
    let text = String::from_utf8(bytes).map_err(|error| not_utf8(path, &error))?;
    let file: Option<SeedFile> = serde_saphyr::from_str_with_options(&text, limits(MOST_VALUES))
        .map_err(|error| SeedError::Syntax(path.to_owned(), Box::new(error)))?;
    let file = file.unwrap_or_else(|| SeedFile {
        builtin_account: true,
        regions: Vec::new(),
        accounts: Vec::new(),
        organizations: Vec::new(),
        clusters: Vec::new(),
    });
    let text = &text;
    Checker { path, text, home }.check(file)
}

fn not_utf8(path: &Path, error: &FromUtf8Error) -> SeedError {
    let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let lines = good.split(|byte| *byte == b'\n').count();
    let line = u64::try_from(lines).unwrap_or(u64::MAX);
    SeedError::Rule(path.to_owned(), line, "the file must be UTF-8".to_owned())
}

/// What keeps a file that means ill from taking all memory. A full trigger is 25 values.
pub(super) fn limits(values: usize) -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: values,
            max_events: 2 * values,
        },
    }
}

struct Checker<'a> {
    path: &'a Path,
    text: &'a str,
    home: &'a str,
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

    fn check(&self, file: SeedFile) -> Result<(Directory, Seed), SeedError> {
        let with_agency: Vec<_> = file
            .accounts
            .iter()
            .filter(|entry| entry.agency)
            .map(|entry| entry.name.clone())
            .collect();
        let accounts = self.accounts(file.builtin_account, file.accounts)?;
        let directory = Directory::new(file.builtin_account, accounts)
            .map_err(|error| SeedError::Accounts(self.path.to_owned(), error))?;
        let regions = self.regions(file.regions)?;
        let seed = Seed {
            accounts: directory.accounts().to_vec(),
            agencies: with_agency
                .iter()
                .filter_map(|name| directory.account_named(name).map(Arc::clone))
                .collect(),
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
            let creator = self.creator_of(directory, &under, account, entry.creator.as_ref())?;
            namespaces.push(SeedNamespace {
                region,
                name,
                creator,
                permissions: self.permissions(directory, &under, account, entry.permissions)?,
                repositories: self.repositories(directory, &under, account, entry.repositories)?,
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

    fn account_of<'d>(
        &self,
        directory: &'d Directory,
        under: &str,
        name: Option<&String>,
    ) -> Result<&'d Arc<Account>, SeedError> {
        let name = name.map_or(BUILTIN_ACCOUNT, |name| name.as_str());
        match directory.account_named(name) {
            Some(account) => Ok(account),
            None => {
                let rule = format!("must be an account of this file; there is no {name}");
                self.wrong(&format!("{under}.account"), rule)
            }
        }
    }

    fn creator_of(
        &self,
        directory: &Directory,
        under: &str,
        account: &Account,
        name: Option<&String>,
    ) -> Result<Arc<User>, SeedError> {
        let mut users = directory.users_of(account);
        let found = match name {
            Some(name) => users.find(|user| user.name == *name),
            None => users.next(),
        };
        match found {
            Some(user) => Ok(user),
            None => {
                let rule = format!("must be a user of the account {}", account.name);
                self.wrong(&format!("{under}.creator"), rule)
            }
        }
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
            let Some(user) = directory.users_of(account).find(|user| user.name == name) else {
                let rule = format!("must be a user of the account {}", account.name);
                return self.wrong(&format!("{under}.user"), rule);
            };
            if grants.iter().any(|grant| grant.user_id == user.id) {
                return self.wrong(&format!("{under}.user"), "must not appear twice");
            }
            let Some(level) = Level::from_auth(entry.auth) else {
                let rule = "must be 7 (manage), 3 (edit) or 1 (read)";
                return self.wrong(&format!("{under}.auth"), rule);
            };
            grants.push(Grant {
                user_id: user.id.clone(),
                user_name: name,
                level,
            });
        }
        Ok(grants)
    }

    fn repositories(
        &self,
        directory: &Directory,
        under: &str,
        account: &Account,
        entries: Vec<RepositoryEntry>,
    ) -> Result<Vec<SeedRepository>, SeedError> {
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
            repositories.push(SeedRepository {
                name,
                is_public: entry.is_public,
                category,
                description,
                permissions: self.permissions(directory, &under, account, entry.permissions)?,
                triggers: self.triggers(&under, entry.triggers)?,
            });
        }
        Ok(repositories)
    }

    fn triggers(
        &self,
        under: &str,
        entries: Vec<Map<String, Value>>,
    ) -> Result<Vec<trigger::NewTrigger>, SeedError> {
        let mut names = HashSet::new();
        let mut triggers = Vec::new();
        for (at, entry) in entries.into_iter().enumerate() {
            let under = format!("{under}.triggers[{at}]");
            let fields = JsonObject::from(entry);
            let known = fields.refuse_unknown("trigger", &trigger::FIELDS);
            let read = known.and_then(|()| trigger::read_body(&fields));
            let new = self.api(&under, read)?;
            if !names.insert(new.name.as_str().to_owned()) {
                let rule = "must be unique in the repository";
                return self.wrong(&format!("{under}.name"), rule);
            }
            triggers.push(new);
        }
        Ok(triggers)
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
            let context = entry.context;
            let access = match (entry.kubeconfig, entry.in_cluster) {
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

    fn workloads(
        &self,
        under: &str,
        cluster_id: &str,
        entries: Vec<KubernetesNamespaceEntry>,
    ) -> Result<Vec<(WorkloadKey, PodTemplate)>, SeedError> {
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
                    let known = fields
                        .refuse_unknown("workload", &["name", "containers", "init_containers"]);
                    let name = known
                        .and_then(|()| fields.string("name"))
                        .and_then(|name| parse_subdomain("name", name));
                    let key = WorkloadKey {
                        cluster_id: cluster_id.to_owned(),
                        namespace: namespace.clone(),
                        kind,
                        name: self.api(&under, name)?,
                    };
                    if workloads.iter().any(|(known, _)| *known == key) {
                        let rule = "must be unique in the namespace";
                        return self.wrong(&format!("{under}.name"), rule);
                    }
                    let template = self.api(&under, read_template(&fields))?;
                    workloads.push((key, template));
                }
            }
        }
        Ok(workloads)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_text(text: &str) -> Result<(Directory, Seed), SeedError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("seed.yaml");
        std::fs::write(&path, text).expect("written");
        read(&path, "r1")
    }

    #[test]
    fn the_documented_format_is_read() {
        let (directory, seed) = read_text(
            r#"
accounts:
  - name: partner
    id: "0000000000000000000000000000000a"
    users:
      - {name: dev, password: p, access_key: AK, secret_key: SK, token: partner-dev, admin: true}
organizations:
  - name: group
    account: swr-emulator
    creator: admin
    repositories:
      - name: team/app
        is_public: true
        category: linux
        description: "text"
        triggers:
          - {name: on-push, action: update, app_type: deployments, application: adsfa, cluster_id: 5b28c12f-dc10-11e9-97b3-0255ac1001b5,
             cluster_name: test, cluster_ns: default, condition: ".*", enable: "true", trigger_mode: cce, trigger_type: all}
  - name: theirs
    account: partner
clusters:
  - id: 5b28c12f-dc10-11e9-97b3-0255ac1001b5
    name: test
    namespaces:
      - name: default
        deployments:
          - name: adsfa
            containers: [{name: busybox, image: "{registry}/group/busybox:1.0"}]
            init_containers: []
        statefulsets: []
  - name: cci
"#,
        )
        .expect("accepted");
        assert_eq!(directory.accounts().len(), 2);
        assert!(directory.by_access_key("AK").is_some_and(|user| user.admin));
        let [group, theirs] = &seed.namespaces[..] else {
            panic!("two organizations")
        };
        assert_eq!(group.repositories[0].name.as_str(), "team/app");
        assert_eq!(group.repositories[0].triggers.len(), 1);
        assert_eq!(theirs.creator.name, "dev");
        assert_eq!(seed.clusters[1].cluster.id, "cci");
        let (key, template) = &seed.clusters[0].workloads[0];
        assert_eq!(
            (key.namespace.as_str(), key.name.as_str()),
            ("default", "adsfa")
        );
        assert_eq!(template.containers[0].image, "{registry}/group/busybox:1.0");
    }

    /// The keys of everything that a path of lists leads to.
    fn keys_at(value: &Value, path: &[&str]) -> HashSet<String> {
        match (value, path) {
            (Value::Array(items), _) => items.iter().flat_map(|item| keys_at(item, path)).collect(),
            (Value::Object(fields), [next, rest @ ..]) => fields
                .get(*next)
                .map(|value| keys_at(value, rest))
                .unwrap_or_default(),
            (Value::Object(fields), []) => fields.keys().cloned().collect(),
            _ => HashSet::new(),
        }
    }

    #[test]
    fn the_example_has_every_key() {
        let example: Value = serde_saphyr::from_str(crate::seed::EXAMPLE).expect("YAML");
        let check = |path: &[&str]| {
            // The error for a key that there is not lists those that there are.
            let wrong = path.iter().rev().fold(json!({"x": 1}), |inner, key| {
                let mut outer = json!({ *key: [inner] });
                if key != &path[0] {
                    outer["name"] = "x".into();
                }
                outer
            });
            let error = read_text(&wrong.to_string())
                .expect_err("refused")
                .to_string();
            let (_, keys) = error.split_once("must be one of ").expect("the keys");
            let keys: HashSet<_> = keys.split(", ").map(str::to_owned).collect();
            assert_eq!(keys_at(&example, path), keys, "{path:?}");
        };
        check(&[]);
        check(&["regions"]);
        check(&["accounts"]);
        check(&["accounts", "users"]);
        check(&["organizations"]);
        check(&["organizations", "permissions"]);
        check(&["organizations", "repositories"]);
        check(&["organizations", "repositories", "permissions"]);
        check(&["organizations", "repositories", "triggers"]);
        check(&["clusters"]);
        check(&["clusters", "namespaces"]);
        check(&["clusters", "namespaces", "deployments"]);
        check(&["clusters", "namespaces", "deployments", "containers"]);
    }

    #[test]
    fn json_and_an_empty_file_are_read_too() {
        assert!(read_text(r#"{"organizations": [{"name": "group"}]}"#).is_ok());
        assert!(read_text("").is_ok());
        assert!(read_text("# nothing yet\n").is_ok());
    }

    #[test]
    fn a_file_that_is_too_large_says_what_to_do() {
        let text = format!("organizations:\n{}", "- [a, b]\n".repeat(1000));
        let limits = limits(300);
        let read = serde_saphyr::from_str_with_options::<serde::de::IgnoredAny>(&text, limits);
        let error = syntax_line(Path::new("seed.yaml"), &read.expect_err("refused"));
        assert!(
            error.ends_with(
                ": must have at most 3000000 values, enough for 100,000 triggers; create the rest \
                 through the API"
            ),
            "{error}"
        );
        assert!(error.starts_with("seed.yaml:101: "), "{error}");
    }

    #[test]
    fn fifteen_thousand_triggers_are_read() {
        let trigger = "{name: T, action: update, app_type: deployments, application: a, \
                       cluster_id: c, cluster_name: c, cluster_ns: d, condition: '.*', \
                       container: '', enable: 'true', trigger_mode: cce, trigger_type: all}";
        let triggers = (0..15_000).map(|at| trigger.replace('T', &format!("t{at}")));
        let triggers: Vec<_> = triggers.collect();
        let text = format!(
            "organizations: [{{name: g, repositories: [{{name: r, triggers: [{}]}}]}}]",
            triggers.join(", ")
        );
        let (_, seed) = read_text(&text).expect("read");
        assert_eq!(seed.namespaces[0].repositories[0].triggers.len(), 15_000);
    }

    #[test]
    fn an_error_tells_line_field_and_rule() {
        let check = |text: &str, line: u64, part: &str| {
            let error = read_text(text).expect_err("refused").to_string();
            assert!(error.contains(&format!("seed.yaml:{line}: ")), "{error}");
            assert!(error.contains(part), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        };
        check(
            "organizations:\n  - name: Group\n",
            2,
            "organizations[0].name: must start",
        );
        check(
            "organizations:\n  - name: g\n    colour: red\n",
            3,
            "colour",
        );
        check(
            "organizations:\n  - name: g\n    account: nobody\n",
            3,
            "organizations[0].account: ",
        );
        check(
            "organizations:\n  - name: g\n    creator: nobody\n",
            3,
            "organizations[0].creator: ",
        );
        check(
            "organizations:\n  - name: g\n  - name: g\n",
            3,
            "organizations[1].name: must be unique",
        );
        check(
            "builtin_account: false\norganizations:\n  - name: g\n",
            3,
            "organizations[0].account",
        );
        check(
            "accounts:\n  - name: a\n    users:\n      - {name: u, access_key: k}\n",
            4,
            "accounts[0].users[0].access_key",
        );
        check(
            "organizations:\n  - name: g\n    repositories:\n      - name: r\n        triggers:\n          - {name: t, action: update}\n",
            6,
            "organizations[0].repositories[0].triggers[0].app_type: is mandatory",
        );
        check(
            "organizations:\n  - name: g\n    repositories:\n      - name: r\n        triggers:\n          - {nmae: t}\n",
            6,
            "organizations[0].repositories[0].triggers[0].nmae: is not a field",
        );
        check("organizations:\n  - name: [\n", 2, "must be a string");
        let workload = |containers: &str| {
            format!(
                "clusters:\n  - name: c\n    namespaces:\n      - name: n\n        deployments: \
                 [{{name: web, containers: {containers}}}]\n"
            )
        };
        let place = "clusters[0].namespaces[0].deployments[0].containers";
        let rule = |rest: &str| format!("{place}{rest}");
        check(
            &workload("[{name: c, imgae: x}]"),
            5,
            &rule("[0].imgae: is not a field"),
        );
        check(
            &workload("[{name: c, image: 'HTTP://x y'}]"),
            5,
            &rule("[0].image: must be an"),
        );
        check(
            &workload("[{name: c, image: '{regsitry}/a'}]"),
            5,
            &rule("[0].image: must be an"),
        );
        check(&workload("[]"), 5, &rule(": must not be empty"));
        check(
            "regions:\n  - {name: R2, listen: \"127.0.0.1:0\"}\n",
            2,
            "regions[0].name: must have 1 to 64",
        );
        check(
            "regions:\n  - {name: r1, listen: \"127.0.0.1:0\"}\n",
            2,
            "regions[0].name: must not be the home region",
        );
        check(
            "regions:\n  - {name: r2, listen: \"127.0.0.1:0\"}\n  - {name: r2, listen: \"127.0.0.1:0\"}\n",
            3,
            "regions[1].name: must be unique",
        );
        check(
            "regions:\n  - name: r2\n    listen: localhost\n",
            3,
            "regions[0].listen: must be an address",
        );
        check(
            "regions:\n  - name: r2\n    listen: 127.0.0.1:0\n    registry_host: http://x\n",
            4,
            "regions[0].registry_host: must be HOST",
        );
        check(
            "organizations:\n  - name: g\n    region: r2\n",
            3,
            "organizations[0].region: must be the home region or a region",
        );
    }

    #[test]
    fn an_organization_is_in_the_home_region_unless_it_names_another() {
        let (_, seed) = read_text(
            r#"
regions: [{name: r2, listen: "127.0.0.1:0", registry_host: swr.test}]
organizations: [{name: g}, {name: g, region: r2}, {name: h, region: r1}]
"#,
        )
        .expect("accepted");
        let regions: Vec<_> = seed.namespaces.iter().map(|n| n.region.as_str()).collect();
        assert_eq!(regions, ["r1", "r2", "r1"]);
        assert_eq!(seed.regions[0].registry_host.as_deref(), Some("swr.test"));
    }

    #[test]
    fn an_error_is_one_line_whatever_the_names_hold() {
        let check = |text: &str, part: &str| {
            let error = read_text(text).expect_err("refused").to_string();
            assert!(error.contains(part), "{error:?}");
            assert!(!error.contains(char::is_control), "{error:?}");
        };
        check(
            r#"organizations: [{name: g, account: "no\nbody"}]"#,
            r"there is no no\nbody",
        );
        check(
            r#"accounts: [{name: "a\nb"}, {name: "a\nb"}]"#,
            r"the account a\nb appears twice",
        );
        check(
            r#"organizations: [{name: g, repositories: [{name: r, triggers: [{"\e[1m": 1}]}]}]"#,
            r"triggers[0].\u{1b}[1m: is not a field",
        );
        check(r#"{"\e[1m": 1}"#, r"\u{1b}[1m");
    }

    #[test]
    fn an_error_never_shows_a_secret() {
        let text = "accounts:\n  - {name: a, users: [{name: u, token: hidden-token}, {name: v, token: hidden-token}]}\n";
        let error = read_text(text).expect_err("refused").to_string();
        assert!(!error.contains("hidden"), "{error}");
        assert!(
            error.contains(
                ":2: accounts[0].users[1].token: is already used by accounts[0].users[0]"
            ),
            "{error}"
        );
        for (key, value) in [
            ("token", BUILTIN_TOKEN),
            ("secret_key: s, access_key", BUILTIN_ACCESS_KEY),
        ] {
            let text = format!("accounts: [{{name: a, users: [{{name: u, {key}: '{value}'}}]}}]");
            let error = read_text(&text).expect_err("refused").to_string();
            assert!(
                error.ends_with(": is already used by the built-in user"),
                "{error}"
            );
            let text = format!("builtin_account: false\n{text}");
            assert!(read_text(&text).is_ok(), "{key}");
        }
    }

    #[test]
    fn an_error_has_the_line_of_the_key() {
        let check = |text: &str, line: u64, part: &str| {
            let error = read_text(text).expect_err("refused").to_string();
            assert!(error.contains(&format!("seed.yaml:{line}: ")), "{error}");
            assert!(error.contains(part), "{error}");
        };
        let text = "\
organizations:
  - name: g
    repositories:
      - name: r
        triggers:
          - &first
            name: t
            action: update
            app_type: deployments
            application: web
            cluster_id: c
            cluster_name: c
            cluster_ns: default
            condition: '.*'
            enable: \"true\"
            trigger_mode: cce
            trigger_type: all
          - name: u
            <<: *first
clusters:
  - name: c
    namespaces:
      - name: default
        deployments:
          - name: web
            containers:
              - name: web
                image: nginx:1
";
        assert!(read_text(text).is_ok());
        let trigger = "organizations[0].repositories[0].triggers[0]";
        let change = |from: &str, to: &str| text.replacen(from, to, 1);
        check(
            &change("enable: \"true\"", "enable: true"),
            15,
            &format!("{trigger}.enable: must be \"true\" or \"false\", in quotes"),
        );
        check(
            &change("'.*'", "'('"),
            14,
            &format!("{trigger}.condition: "),
        );
        check(
            &change("- name: u\n            <<: *first", "- *first"),
            18,
            "organizations[0].repositories[0].triggers[1].name: must be unique",
        );
        check(
            &change(
                "  - name: c\n    namespaces",
                "  - name: c\n    kubeconfig: k\n    namespaces",
            ),
            23,
            "clusters[0].namespaces: must be omitted",
        );
        check(
            &change("nginx:1", "Nginx"),
            28,
            "clusters[0].namespaces[0].deployments[0].containers[0].image: must be an image",
        );
    }

    #[test]
    fn a_boolean_is_not_in_quotes() {
        let text = |value: &str| {
            format!(
                "organizations: [{{name: g, repositories: [{{name: r,\n is_public: {value}}}]}}]"
            )
        };
        assert!(read_text(&text("true")).is_ok());
        for value in ["'yes'", "'true'", "\"false\"", "1", "[]", "{}", "null"] {
            let error = read_text(&text(value)).expect_err("refused").to_string();
            assert!(
                error.contains("must be true or false, without quotes"),
                "{error}"
            );
            assert!(error.contains("seed.yaml:2: "), "{error}");
        }
    }

    #[test]
    fn an_error_of_the_form_is_in_plain_words() {
        let check = |text: &str, expected: &str| {
            let error = read_text(text).expect_err("refused").to_string();
            assert!(
                error.ends_with(&format!("/seed.yaml:{expected}")),
                "{error}"
            );
        };
        check("organizations: 1\n", "1: must be a list");
        check(
            "organizations:\n  - g\n",
            "2: must be a mapping of keys to values, like name: value",
        );
        check("organizations:\n  - name: []\n", "2: must be a string");
        check(
            "organizations:\n  - {name: g, name: h}\n",
            "2: the key name appears twice",
        );
        check(
            "organizations: []\n---\na: 1\n",
            "3: must be one YAML document",
        );
        check(
            "accounts:\n  - colour: red\n",
            "2: colour: is unknown here; must be one of name, id, agency, users",
        );
        check("accounts:\n  - id: x\n", "2: name: is mandatory");
        check("accounts: *a\n", "1: the alias has no preceding anchor");
        check(
            "organizations: [{name: g, permissions: [{user: u, auth: x}]}]",
            "1: must be a whole number",
        );
    }

    #[test]
    fn bytes_that_are_not_utf_8_have_their_line() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("seed.yaml");
        std::fs::write(&path, b"# \xc3\xa4\naccounts:\n  - name: \xff\n").expect("written");
        let error = read(&path, "r1").expect_err("refused").to_string();
        assert!(
            error.ends_with("seed.yaml:3: the file must be UTF-8"),
            "{error}"
        );
    }
}
