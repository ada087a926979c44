//! The present state of an instance as a seed file: everything in the order of the names, without
//! defaults, so that a file which is made of what another one made is the same to the byte.
//!
//! `store` reads the state, `yaml` writes YAML. What no seed file can say is left out: whatever
//! belongs to accounts or regions that the instance does not have (any more).

mod store;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use self::store::{GrantRow, NamespaceRow, RepositoryRow, TriggerRow, WorkloadRow};
use self::yaml::Fields;
use super::Seed;
use crate::auth::{
    Account, BUILTIN_ACCOUNT, BUILTIN_USER, Directory, Password, Secret, User, account_id, user_id,
};
use crate::cce::Cluster;
use crate::kubernetes::Access;
use crate::permission::Level;
use crate::region::Regions;
use crate::repository::Category;
use crate::retention::{Policy, Template};
use crate::trigger::{AppType, TriggerMode};
use crate::workload::{Container, REGISTRY};

pub use store::{ReadState, State};

/// What the file says at its top.
const TOP: &str = "\
# The state of an swr-emulator as a seed file. Not in it: images with their tags, pushes, histories
# and rollouts, all times, issued tokens and logins, passwords that were set through IAM, the clock
# and faults.
";
/// What it says above a user of IAM.
const NO_PASSWORD: &str = "made through IAM; cannot log in until UpdateUser sets a password";

/// What the state belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Exporter<'a> {
    pub directory: &'a Directory,
    pub regions: &'a Regions,
    /// It says how further regions listen.
    pub first: &'a Seed,
    /// It says how real clusters are reached.
    pub seed: &'a Seed,
}

impl Exporter<'_> {
    /// The seed file of a state.
    pub fn write(self, state: &State) -> String {
        let people = People::all(self.directory);
        let mut file = builtin(self.directory);
        file.list("regions", self.regions());
        file.list("accounts", accounts(self.directory, &people, state));
        file.list("organizations", self.organizations(&people, state));
        file.list("clusters", self.clusters(state));
        let mut text = TOP.to_owned();
        file.write(&mut text, 0);
        text
    }

    fn home(&self) -> &str {
        self.regions.home_name()
    }

    fn has_region(&self, name: &str) -> bool {
        name == self.home() || self.first.regions.iter().any(|region| region.name == name)
    }

    fn regions(&self) -> Vec<Fields> {
        let regions = self.first.regions.iter().map(|region| {
            let mut entry = Fields::new();
            entry.text("name", &region.name);
            entry.text("listen", region.listen.to_string());
            entry.some_text("registry_host", region.registry_host.as_deref());
            entry
        });
        regions.collect()
    }

    fn organizations(&self, people: &[People], state: &State) -> Vec<Fields> {
        let place = |row: &NamespaceRow| {
            (
                row.name.clone(),
                row.region != self.home(),
                row.region.clone(),
            )
        };
        let mut rows: Vec<_> = state.namespaces.iter().collect();
        rows.sort_by_cached_key(|row| place(row));
        let known = rows.into_iter().filter(|row| self.has_region(&row.region));
        let entries = known.filter_map(|row| {
            let people = people
                .iter()
                .find(|people| people.account.id == row.account_id)?;
            Some(self.organization(people, people.first()?, row, state))
        });
        entries.collect()
    }

    fn organization(
        &self,
        people: &People,
        first: &Arc<User>,
        row: &NamespaceRow,
        state: &State,
    ) -> Fields {
        let creator = people.with_id(&row.creator_id).unwrap_or(first);
        let mut entry = Fields::new();
        entry.text("name", &row.name);
        if row.region != self.home() {
            entry.text("region", &row.region);
        }
        if people.account.name != BUILTIN_ACCOUNT {
            entry.text("account", &people.account.name);
        }
        People::creator(&mut entry, creator, first);
        let grants = of(&state.namespace_grants, row.id);
        let mut permissions = Vec::new();
        for grant in grants.iter().filter(|grant| grant.user_id != creator.id) {
            permissions.extend(self.permission(people, grant));
        }
        let own = grants.iter().find(|grant| grant.user_id == creator.id);
        let own = own.map_or(0, |grant| grant.auth);
        if own != Level::Manage.auth() {
            permissions.push(((creator.name.clone(), String::new()), own));
        }
        entry.list("permissions", permission_list(permissions));
        let mut repositories: Vec<_> = of(&state.repositories, row.id).iter().collect();
        repositories.sort_by(|one, other| one.name.cmp(&other.name));
        let repositories = repositories.into_iter();
        let repositories = repositories
            .map(|repository| self.repository(people, creator, &row.region, repository, state));
        entry.list("repositories", repositories.collect());
        entry
    }

    /// Name and id of a user, the latter only of one whom the accounts do not have, and the right;
    /// none where a seed file cannot say it.
    fn permission(&self, people: &People, grant: &GrantRow) -> Option<((String, String), u8)> {
        let place = match self.directory.user_with_id(&grant.user_id) {
            Some(user) if user.account.id == people.account.id => {
                (user.name.clone(), String::new())
            }
            Some(_) => return None,
            None => (grant.user_name.clone(), grant.user_id.clone()),
        };
        Some((place, grant.auth))
    }

    fn repository(
        &self,
        people: &People,
        creator_of_organization: &Arc<User>,
        region: &str,
        row: &RepositoryRow,
        state: &State,
    ) -> Fields {
        let creator = people
            .with_id(&row.creator_id)
            .unwrap_or(creator_of_organization);
        let mut entry = Fields::new();
        entry.text("name", &row.name);
        entry.yes("is_public", row.is_public);
        if row.category != Category::default() {
            entry.text("category", row.category.as_str());
        }
        entry.filled("description", &row.description);
        People::creator(&mut entry, creator, creator_of_organization);
        let grants = of(&state.repository_grants, row.id).iter();
        let permissions = grants.filter_map(|grant| self.permission(people, grant));
        entry.list("permissions", permission_list(permissions.collect()));
        entry.list(
            "triggers",
            triggers(people, creator, of(&state.triggers, row.id)),
        );
        if let Some(policy) = state.retentions.get(&row.id) {
            entry.map("retention", retention(policy));
        }
        let mut shares = Vec::new();
        for share in of(&state.shares, row.id) {
            let Some(with) = self.directory.account_with_id(&share.account_id) else {
                continue;
            };
            if with.id == people.account.id {
                continue;
            }
            let mut entry = Fields::new();
            entry.text("access_domain", &with.name);
            entry.some_text(
                "deadline",
                share.deadline.map(|deadline| deadline.to_string()),
            );
            entry.filled("description", &share.description);
            let maker = people.with_id(&share.creator_id).unwrap_or(creator);
            People::creator(&mut entry, maker, creator);
            shares.push((with.name.clone(), entry));
        }
        entry.list("shares", in_order(shares));
        let mut tasks = Vec::new();
        for task in of(&state.sync_tasks, row.id) {
            if task.remote_region == region || !self.has_region(&task.remote_region) {
                continue;
            }
            let mut entry = Fields::new();
            entry.text("remoteRegionId", &task.remote_region);
            entry.text("remoteNamespace", &task.remote_namespace);
            entry.yes("syncAuto", task.sync_auto);
            entry.yes("override", task.overrides);
            let maker = people.with_id(&task.operator_id).unwrap_or(creator);
            People::creator(&mut entry, maker, creator);
            let place = (task.remote_region.clone(), task.remote_namespace.clone());
            tasks.push((place, entry));
        }
        entry.list("sync", in_order(tasks));
        entry
    }

    fn clusters(&self, state: &State) -> Vec<Fields> {
        let mut clusters: Vec<&Cluster> = state.clusters.iter().collect();
        clusters.sort_by_key(|cluster| (&cluster.name, &cluster.id));
        let entries = clusters.into_iter().map(|cluster| {
            let mut entry = Fields::new();
            entry.text("name", &cluster.name);
            if cluster.id != cluster.name {
                entry.text("id", &cluster.id);
            }
            match self.seed.access_of(&cluster.id) {
                Some(Access::InCluster) => entry.yes("in_cluster", true),
                Some(access @ Access::Kubeconfig { path, context }) => {
                    let path = access.absolute_path().unwrap_or_else(|| path.clone());
                    entry.text("kubeconfig", path.to_string_lossy());
                    entry.some_text("context", context.as_deref());
                }
                None => {
                    let workloads = state.workloads.get(&cluster.id);
                    let workloads = workloads.map_or(&[][..], Vec::as_slice);
                    entry.list("namespaces", self.workloads(workloads));
                }
            }
            entry
        });
        entries.collect()
    }

    fn workloads(&self, rows: &[WorkloadRow]) -> Vec<Fields> {
        let mut namespaces: BTreeMap<&str, [Vec<(&str, Fields)>; 2]> = BTreeMap::new();
        for row in rows {
            let mut entry = Fields::new();
            entry.text("name", &row.name);
            entry.list("containers", self.containers(&row.containers));
            entry.list("init_containers", self.containers(&row.init_containers));
            if row.fail_times > 0 {
                let mut fail = Fields::new();
                fail.plain("status", row.fail_status);
                fail.plain("times", row.fail_times);
                entry.map("fail", fail);
            }
            if row.delay_ms > 0 {
                entry.plain("delay_ms", row.delay_ms);
            }
            if let Some(plan) = &row.plan {
                let mut rollout = Fields::new();
                rollout.text("outcome", plan.outcome.as_str());
                rollout.some_text("after", plan.after.as_deref());
                rollout.some_text("message", plan.message.as_deref());
                entry.map("rollout", rollout);
            }
            let [deployments, stateful_sets] = namespaces.entry(&row.namespace).or_default();
            let list = match row.kind {
                AppType::Deployments => deployments,
                AppType::StatefulSets => stateful_sets,
            };
            list.push((&row.name, entry));
        }
        let entries = namespaces
            .into_iter()
            .map(|(name, [deployments, stateful_sets])| {
                let mut entry = Fields::new();
                entry.text("name", name);
                entry.list("deployments", in_order(deployments));
                entry.list("statefulsets", in_order(stateful_sets));
                entry
            });
        entries.collect()
    }

    fn containers(&self, containers: &[Container]) -> Vec<Fields> {
        let entries = containers.iter().map(|container| {
            let mut entry = Fields::new();
            entry.text("name", &container.name);
            entry.text("image", self.image(&container.image));
            entry
        });
        entries.collect()
    }

    /// An image, with what stands for the registry in place of any name of the home region's.
    fn image(&self, image: &str) -> String {
        let names = self.regions.registry_names(self.home()).iter();
        let path = names.filter_map(|name| image.strip_prefix(name.as_str())?.strip_prefix('/'));
        match path.max_by_key(|path| path.len()) {
            Some(path) => format!("{REGISTRY}/{path}"),
            None => image.to_owned(),
        }
    }
}

/// The accounts with those users that no database holds, as a seed file.
pub fn write_accounts(directory: &Directory) -> String {
    let people = People::all(directory);
    let mut file = builtin(directory);
    file.list("accounts", accounts(directory, &people, &State::default()));
    let mut text = String::new();
    file.write(&mut text, 0);
    text
}

/// A file that says whether there is the built-in account.
fn builtin(directory: &Directory) -> Fields {
    let mut file = Fields::new();
    if !directory.has_builtin() {
        file.plain("builtin_account", false);
    }
    file
}

fn accounts(directory: &Directory, people: &[People], state: &State) -> Vec<Fields> {
    let entries = people
        .iter()
        .filter_map(|people| people.entry(directory, state));
    entries.collect()
}

/// An account with its users, as the file will have them.
struct People {
    account: Arc<Account>,
    /// In the order in which a reader of the file finds them; the built-in one is the first.
    users: Vec<Arc<User>>,
}

impl People {
    /// Those of all accounts, in the order of the accounts' names.
    fn all(directory: &Directory) -> Vec<Self> {
        let mut accounts = directory.accounts();
        accounts.sort_by(|one, other| one.name.cmp(&other.name));
        let people = accounts.into_iter();
        people
            .map(|account| Self::new(directory, account))
            .collect()
    }

    fn new(directory: &Directory, account: Arc<Account>) -> Self {
        let mut users: Vec<_> = directory.users_of(&account).collect();
        let is_made = |user: &User| directory.made_user(&user.id).is_some();
        users.sort_by_cached_key(|user| {
            let is_builtin = is_builtin(directory, user);
            (!is_builtin, is_made(user), user.name.clone())
        });
        Self { account, users }
    }

    /// Who has made what names nobody else.
    fn first(&self) -> Option<&Arc<User>> {
        self.users.first()
    }

    fn with_id(&self, id: &str) -> Option<&Arc<User>> {
        self.users.iter().find(|user| user.id == id)
    }

    /// Says who made something, unless it is the one whom the file's reader thinks of.
    fn creator(entry: &mut Fields, creator: &Arc<User>, default: &Arc<User>) {
        if creator.id != default.id {
            entry.text("creator", &creator.name);
        }
    }

    /// The entry of the account; none where there is nothing to say of it.
    fn entry(&self, directory: &Directory, state: &State) -> Option<Fields> {
        let account = &self.account;
        let is_builtin_account = directory.has_builtin() && account.name == BUILTIN_ACCOUNT;
        let mut entry = Fields::new();
        entry.text("name", &account.name);
        if account.id != account_id(&account.name) {
            entry.text("id", &account.id);
        }
        entry.yes("agency", state.agencies.contains(&account.id));
        let mut users = Vec::new();
        let mut made = Vec::new();
        for user in &self.users {
            if is_builtin(directory, user) {
                continue;
            }
            if directory.made_user(&user.id).is_some() {
                made.extend(made_user(user, state));
            } else {
                users.push(seeded_user(user));
            }
        }
        entry.list("users", users);
        entry.list("iam_users", made);
        (!is_builtin_account || entry.len() > 1).then_some(entry)
    }
}

fn is_builtin(directory: &Directory, user: &User) -> bool {
    directory.has_builtin() && user.id == user_id(BUILTIN_ACCOUNT, BUILTIN_USER)
}

fn named_user(user: &User) -> Fields {
    let mut entry = Fields::new();
    entry.text("name", &user.name);
    if user.id != user_id(&user.account.name, &user.name) {
        entry.text("id", &user.id);
    }
    entry
}

fn seeded_user(user: &User) -> Fields {
    let mut entry = named_user(user);
    entry.yes("admin", user.admin);
    if let Some(Password::Plain(password)) = &user.password {
        entry.text("password", password.expose());
    }
    entry.some_text("access_key", user.access_key.as_deref());
    entry.some_text("secret_key", user.secret_key.as_ref().map(Secret::expose));
    entry.some_text("token", user.token.as_ref().map(Secret::expose));
    entry
}

/// None where it is gone since.
fn made_user(user: &User, state: &State) -> Option<Fields> {
    let made = state.users.iter().find(|made| made.id() == user.id)?;
    let mut entry = named_user(user).with_comment(NO_PASSWORD);
    for (key, value) in made.seeded_fields() {
        entry.value(key, &value);
    }
    Some(entry)
}

fn permission_list(mut permissions: Vec<((String, String), u8)>) -> Vec<Fields> {
    permissions.sort();
    let entries = permissions.into_iter().map(|((name, id), auth)| {
        let mut entry = Fields::new();
        entry.text("user", name);
        entry.filled("id", &id);
        entry.plain("auth", auth);
        entry
    });
    entries.collect()
}

fn triggers(people: &People, creator: &Arc<User>, rows: &[TriggerRow]) -> Vec<Fields> {
    let entries = rows.iter().map(|row| {
        let mut entry = Fields::new();
        entry.text("name", &row.name);
        entry.text("action", "update");
        entry.text("app_type", row.app_type.as_str());
        entry.text("application", &row.application);
        entry.filled("cluster_id", row.cluster.id());
        entry.filled("cluster_name", row.cluster.name());
        entry.text("cluster_ns", &row.cluster_ns);
        entry.filled("container", &row.container);
        entry.text("trigger_type", row.condition.trigger_type().as_str());
        entry.text("condition", row.condition.text());
        if row.cluster.trigger_mode() != TriggerMode::Cce {
            entry.text("trigger_mode", row.cluster.trigger_mode().as_str());
        }
        entry.text("enable", row.enabled.to_string());
        let maker = people
            .users
            .iter()
            .find(|user| user.name == row.creator_name);
        People::creator(&mut entry, maker.unwrap_or(creator), creator);
        (&row.name, entry)
    });
    in_order(entries.collect())
}

fn retention(policy: &Policy) -> Fields {
    let rules = policy.rules().iter().map(|rule| {
        let mut params = Fields::new();
        match rule.template() {
            Template::Date { days } => params.text("days", days.to_string()),
            Template::Tag { num } => params.text("num", num.to_string()),
        }
        let selectors = rule.selectors().iter().map(|selector| {
            let mut entry = Fields::new();
            entry.text("kind", selector.kind());
            entry.text("pattern", selector.pattern());
            entry
        });
        let mut entry = Fields::new();
        entry.text("template", rule.template().name());
        entry.map("params", params);
        entry.any_list("tag_selectors", selectors.collect());
        entry
    });
    let mut entry = Fields::new();
    entry.text("algorithm", "or");
    entry.list("rules", rules.collect());
    entry
}

fn of<T>(groups: &HashMap<i64, Vec<T>>, id: i64) -> &[T] {
    groups.get(&id).map_or(&[], Vec::as_slice)
}

fn in_order<K: Ord>(mut entries: Vec<(K, Fields)>) -> Vec<Fields> {
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    entries.into_iter().map(|(_, entry)| entry).collect()
}
