//! What is exported and read again is the same: worlds made at random, and what a file cannot say.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::*;
use crate::clock::Timestamp;
use crate::config::SeedSource;
use crate::db::Write;
use crate::db::testing::{dump, in_memory};
use crate::region::Region;
use crate::seed::{Reset, read};

/// How many worlds are made.
const WORLDS: u64 = 1000;

/// An instance without a listener: its database, and what its seed made of it.
struct Instance {
    db: SqliteConnection,
    directory: Directory,
    seed: Arc<Seed>,
    regions: Regions,
}

impl Instance {
    /// One that starts with a seed, with a database that others have used.
    async fn start(db: SqliteConnection, text: &str) -> Self {
        let read = read(&SeedSource::Text(text.to_owned()), "r1");
        let (directory, seed) = read.unwrap_or_else(|error| panic!("{error}: {text}"));
        let address = "127.0.0.1:7970".parse().expect("an address");
        let mut regions = vec![Region::new("r1", &[], address)];
        for region in &seed.regions {
            let names = region.registry_host.as_slice();
            regions.push(Region::new(&region.name, names, region.listen));
        }
        let mut instance = Self {
            db,
            directory,
            seed: Arc::new(seed),
            regions: Regions::new(regions),
        };
        let seed = Arc::clone(&instance.seed);
        let registry = instance.regions.seed_registry().to_owned();
        let reset = Reset::to(seed, registry, Timestamp::from_microseconds(1));
        reset.run(&mut instance.db).await.expect("written");
        instance
    }

    async fn export(&mut self) -> String {
        let state = ReadState.run(&mut self.db).await.expect("read");
        let exporter = Exporter {
            directory: &self.directory,
            regions: &self.regions,
            first: &self.seed,
            seed: &self.seed,
        };
        exporter.write(&state)
    }

    /// All users with all that they can log in with.
    fn users(&self) -> BTreeSet<String> {
        let mut users = BTreeSet::new();
        for account in self.directory.accounts() {
            for user in self.directory.users_of(&account) {
                let password = match &user.password {
                    Some(Password::Plain(password)) => Some(password.expose().to_owned()),
                    _ => None,
                };
                let secret = |secret: &Option<crate::auth::Secret>| {
                    secret.as_ref().map(|secret| secret.expose().to_owned())
                };
                users.insert(format!(
                    "{:?}",
                    (
                        (&account.id, &account.name, &user.id, &user.name),
                        (user.admin, user.is_enabled, password, &user.access_key),
                        (secret(&user.secret_key), secret(&user.token)),
                    )
                ));
            }
        }
        users
    }
}

#[tokio::test]
async fn what_is_exported_starts_the_same_world_which_is_exported_the_same() {
    let mut db = in_memory().await;
    let mut longest = 0;
    for number in 0..WORLDS {
        let world = World::new(number).seed().to_string();
        let mut first = Instance::start(db, &world).await;
        let exported = first.export().await;
        let users = first.users();
        let rows = dump(&mut first.db).await;
        let mut second = Instance::start(first.db, &exported).await;
        assert_eq!(second.export().await, exported, "world {number}");
        assert_eq!(second.users(), users, "world {number}: {exported}");
        let again = dump(&mut second.db).await;
        assert_eq!(again, rows, "world {number}: {exported}");
        longest = longest.max(exported.len());
        db = second.db;
    }
    assert!(longest > 5000, "the worlds hold something: {longest}");
}

/// Texts that YAML could take for something else.
const WORDS: [&str; 14] = [
    "partner", "yes", "1.0", "null", "a: b", "组织", "x\ny", "# no", "'q'", "\"q\"", "- a", "true",
    "{a}", "~",
];

/// A world that is made at random, the same for the same number.
struct World {
    random: Rng,
    accounts: Vec<(String, Vec<String>)>,
    regions: Vec<&'static str>,
}

impl World {
    fn new(number: u64) -> Self {
        Self {
            random: Rng::with_seed(number),
            accounts: Vec::new(),
            regions: vec!["r1"],
        }
    }

    fn flip(&mut self) -> bool {
        self.random.bool()
    }

    fn below(&mut self, most: usize) -> usize {
        self.random.usize(..=most)
    }

    /// Some of these, each once.
    fn some<T: Clone>(&mut self, from: &[T], most: usize) -> Vec<T> {
        let mut all = from.to_vec();
        self.random.shuffle(&mut all);
        all.truncate(self.random.usize(..=most.min(from.len())));
        all
    }

    fn one<T: Clone>(&mut self, from: &[T]) -> T {
        let at = self.random.usize(..from.len());
        from[at].clone()
    }

    fn seed(&mut self) -> Value {
        let builtin = self.random.u8(..4) > 0;
        let mut seed = json!({"builtin_account": builtin});
        if self.flip() {
            seed["regions"] = json!([{"name": "r2", "listen": "127.0.0.1:0"},
                {"name": "r3", "listen": "[::1]:7971", "registry_host": "swr.test:80"}]);
            self.regions.extend(["r2", "r3"]);
        }
        let accounts = self.accounts(builtin);
        seed["accounts"] = accounts;
        let organizations = ["g", "a-b", "z.9", "team", "on"];
        let organizations = self.some(&organizations, 4);
        let mut list = Vec::new();
        for name in organizations {
            let regions = self.regions.clone();
            for region in self.some(&regions, 2) {
                list.extend(self.organization(name, region));
            }
        }
        seed["organizations"] = list.into();
        let names = ["test", "cci", "yes", "1.0", "a: b", "名"];
        let clusters: Vec<_> = self.some(&names, 4).into_iter().enumerate().collect();
        let clusters = clusters
            .into_iter()
            .map(|(at, name)| self.cluster(at, name));
        seed["clusters"] = clusters.collect();
        seed
    }

    fn accounts(&mut self, builtin: bool) -> Value {
        let mut names: Vec<&str> = self.some(&WORDS, 4);
        if self.flip() || !builtin {
            names.push(BUILTIN_ACCOUNT);
        }
        if builtin {
            let users = vec![BUILTIN_USER.to_owned()];
            self.accounts.push((BUILTIN_ACCOUNT.to_owned(), users));
        }
        let mut list = Vec::new();
        for (at, name) in names.into_iter().enumerate() {
            let mut entry = json!({"name": name, "agency": self.flip()});
            if self.random.u8(..4) == 0 && name != BUILTIN_ACCOUNT {
                entry["id"] = format!("account-{at}").into();
            }
            let mut users = Vec::new();
            let mut people = Vec::new();
            for (of, user) in self.some(&WORDS, 4).into_iter().enumerate() {
                let key = format!("{at}-{of}");
                let mut entry = json!({"name": user, "admin": self.flip()});
                if self.flip() {
                    entry["password"] = self.one(&WORDS).into();
                }
                if self.flip() {
                    entry["access_key"] = format!("AK{key}").into();
                    entry["secret_key"] = self.one(&WORDS).into();
                }
                if self.flip() {
                    entry["token"] = format!("token: {key}").into();
                }
                if self.random.u8(..4) == 0 {
                    entry["id"] = format!("user-{key}").into();
                }
                people.push(user.to_owned());
                users.push(entry);
            }
            let mut made = Vec::new();
            let names = ["Ann B.", "no", "dev-1", "_x", "zoe", ".5"];
            for (of, user) in self.some(&names, 3).into_iter().enumerate() {
                if people.iter().any(|known| known == user) {
                    continue;
                }
                let mut entry = json!({"name": user, "id": format!("made-{at}-{of}"),
                    "enabled": self.flip(), "pwd_status": self.flip()});
                if self.flip() {
                    entry["email"] = self.one(&WORDS).into();
                    entry["areacode"] = "0086".into();
                    entry["phone"] = "012".into();
                }
                if self.flip() {
                    entry["xuser_id"] = self.one(&WORDS).into();
                    entry["xuser_type"] = "TenantIdp".into();
                    entry["access_mode"] = "console".into();
                    entry["description"] = self.one(&WORDS).into();
                }
                people.push(user.to_owned());
                made.push(entry);
            }
            entry["users"] = users.into();
            entry["iam_users"] = made.into();
            match self.accounts.iter_mut().find(|known| known.0 == name) {
                Some(known) => known.1.extend(people),
                None => self.accounts.push((name.to_owned(), people)),
            }
            list.push(entry);
        }
        list.into()
    }

    /// None where nobody could have made it.
    fn organization(&mut self, name: &str, region: &str) -> Option<Value> {
        let peopled = self.accounts.iter().filter(|(_, users)| !users.is_empty());
        let peopled: Vec<_> = peopled.cloned().collect();
        if peopled.is_empty() {
            return None;
        }
        let (account, users) = self.one(&peopled);
        let mut entry = json!({"name": name, "account": account, "region": region});
        let creator = self.one(&users);
        if self.flip() {
            entry["creator"] = creator.clone().into();
        }
        let creator = entry.get("creator").map_or(users[0].clone(), |_| creator);
        let mut permissions = self.permissions(&users);
        for permission in &mut permissions {
            if permission["user"] == creator.as_str() && self.flip() {
                permission["auth"] = 0.into();
            }
        }
        entry["permissions"] = permissions.into();
        let names = ["busybox", "team/app", "a.b", "0", "null"];
        let mut repositories = Vec::new();
        for repository in self.some(&names, 4) {
            repositories.push(self.repository(repository, region, &account, &users));
        }
        entry["repositories"] = repositories.into();
        Some(entry)
    }

    fn permissions(&mut self, users: &[String]) -> Vec<Value> {
        let mut list = Vec::new();
        for user in self.some(users, 3) {
            list.push(json!({"user": user, "auth": self.one(&[1, 3, 7])}));
        }
        if self.random.u8(..4) == 0 {
            let stranger = self.one(&WORDS);
            list.push(json!({"user": stranger, "id": "stranger", "auth": self.one(&[1, 3, 7])}));
        }
        list
    }

    fn made_by(&mut self, entry: &mut Value, users: &[String]) {
        if self.flip() {
            entry["creator"] = self.one(users).into();
        }
    }

    fn repository(&mut self, name: &str, region: &str, account: &str, users: &[String]) -> Value {
        let categories = ["app_server", "linux", "other", "arm"];
        let mut entry = json!({"name": name, "is_public": self.flip(),
            "category": self.one(&categories), "description": self.one(&WORDS)});
        self.made_by(&mut entry, users);
        entry["permissions"] = self.permissions(users).into();
        let mut triggers = Vec::new();
        for trigger in self.some(&["on-push", "Off", "no", "y", "z_9"], 4) {
            let mut entry = json!({
                "name": trigger, "action": "update", "application": self.one(&["web", "a.b", "1"]),
                "app_type": self.one(&["deployments", "statefulsets"]), "cluster_ns": "default",
                "enable": self.one(&["true", "false"])});
            let (kind, condition) = self.one(&[
                ("all", ".*"),
                ("tag", "v1;latest"),
                ("tag", "1.0"),
                ("regular", "^v[0-9]+\\.: # \"x\"$"),
            ]);
            entry["trigger_type"] = kind.into();
            entry["condition"] = condition.into();
            if self.flip() {
                entry["trigger_mode"] = "cci".into();
            } else {
                entry["cluster_id"] = self.one(&["", "c1", "a: b"]).into();
                entry["cluster_name"] = self.one(&["", "test", "1e3"]).into();
            }
            if self.flip() {
                entry["container"] = "web".into();
            }
            self.made_by(&mut entry, users);
            triggers.push(entry);
        }
        entry["triggers"] = triggers.into();
        if self.flip() {
            let selectors = self.some(&[("label", "1.0"), ("regexp", "^v2.*: ")], 2);
            let selectors = selectors
                .into_iter()
                .map(|(kind, pattern)| json!({"kind": kind, "pattern": pattern}));
            let selectors: Vec<_> = selectors.collect();
            let date = json!({"template": "date_rule", "params": {"days": "30"},
                "tag_selectors": selectors});
            let tag = json!({"template": "tag_rule", "params": {"num": 7}, "tag_selectors": []});
            let rules = self.one(&[vec![date.clone()], vec![tag.clone()], vec![tag, date]]);
            entry["retention"] = json!({"algorithm": "or", "rules": rules});
        }
        let others: Vec<_> = self.accounts.iter().map(|(name, _)| name.clone()).collect();
        let mut shares = Vec::new();
        for other in self.some(&others, 3) {
            if other == account {
                continue;
            }
            let mut entry = json!({"access_domain": other});
            if self.flip() {
                let deadlines = [
                    "forever",
                    "2018-10-01T16:00:00.000Z",
                    "2030-01-01T00:00:00.000001Z",
                ];
                entry["deadline"] = self.one(&deadlines).into();
                entry["description"] = self.one(&WORDS).into();
            }
            self.made_by(&mut entry, users);
            shares.push(entry);
        }
        entry["shares"] = shares.into();
        let regions = self.regions.clone();
        let mut tasks = Vec::new();
        for other in self.some(&regions, 3) {
            if other == region {
                continue;
            }
            let mut entry = json!({"remoteRegionId": other,
                "remoteNamespace": self.one(&WORDS).replace('\n', " "),
                "syncAuto": self.flip(), "override": self.flip()});
            self.made_by(&mut entry, users);
            tasks.push(entry);
        }
        entry["sync"] = tasks.into();
        entry
    }

    fn cluster(&mut self, at: usize, name: &str) -> Value {
        let mut entry = json!({"name": name});
        if self.flip() {
            entry["id"] = format!("id: {at}").into();
        }
        match self.random.u8(..5) {
            0 => entry["in_cluster"] = true.into(),
            1 => {
                entry["kubeconfig"] = self.one(&["/etc/kube config", "relative"]).into();
                if self.flip() {
                    entry["context"] = self.one(&WORDS).into();
                }
            }
            _ => {
                let mut namespaces = Vec::new();
                for namespace in self.some(&["default", "no", "1"], 2) {
                    let workloads = |world: &mut Self| -> Vec<Value> {
                        let names = world.some(&["web", "on", "2.0"], 3);
                        names.into_iter().map(|name| world.workload(name)).collect()
                    };
                    let mut entry = json!({"name": namespace, "deployments": workloads(self)});
                    entry["statefulsets"] = workloads(self).into();
                    namespaces.push(entry);
                }
                entry["namespaces"] = namespaces.into();
            }
        }
        entry
    }

    fn workload(&mut self, name: &str) -> Value {
        let images = [
            "{registry}/group/busybox:1.0",
            "nginx",
            "swr.other:5000/a/b:v1",
        ];
        let container = |world: &mut Self, name: &str| {
            let image = world.one(&images);
            json!({"name": name, "image": image})
        };
        let mut entry = json!({"name": name, "containers": [container(self, "yes")]});
        if self.flip() {
            entry["init_containers"] = json!([container(self, "1"), container(self, "a: b")]);
        }
        if self.flip() {
            entry["fail"] = json!({"status": 503, "times": self.below(2) + 1});
            entry["delay_ms"] = self.below(3).into();
        }
        if self.flip() {
            let outcome = self.one(&["healthy", "ImagePullBackOff", "CrashLoopBackOff", "stalled"]);
            entry["rollout"] = json!({"outcome": outcome, "after": "2s", "message": "no: #1"});
        }
        entry
    }
}

#[tokio::test]
async fn defaults_are_left_out_and_everything_is_in_the_order_of_names() {
    let seed = r#"
builtin_account: true
accounts:
  - {name: swr-emulator}
  - {name: z, users: [{name: "1.0", token: t, admin: false}, {name: b}]}
  - name: a
    iam_users: [{name: ann, enabled: true, description: ""}]
organizations:
  - {name: y, account: z, creator: b}
  - name: x
    creator: admin
    permissions: [{user: admin, auth: 7}]
    repositories:
      - {name: s, description: "", category: other, is_public: false}
      - name: r
        triggers:
          - {name: t, action: update, app_type: deployments, application: web, cluster_ns: default,
             cluster_id: "", trigger_mode: cce, trigger_type: all, condition: ".*", enable: "true"}
        shares: [{access_domain: z, permit: read, deadline: forever}]
clusters:
  - {name: test, id: test, namespaces: [{name: default, deployments: [
      {name: web, containers: [{name: c, image: "localhost:7970/x/r:v1"}], delay_ms: 0}]}]}
"#;
    let mut instance = Instance::start(in_memory().await, seed).await;
    let expected = r#"accounts:
  - name: a
    iam_users:
      # made through IAM; cannot log in until UpdateUser sets a password
      - name: ann
  - name: z
    users:
      - name: "1.0"
        token: t
      - name: b
organizations:
  - name: x
    repositories:
      - name: r
        triggers:
          - name: t
            action: update
            app_type: deployments
            application: web
            cluster_ns: default
            trigger_type: all
            condition: ".*"
            enable: "true"
        shares:
          - access_domain: z
      - name: s
  - name: "y"
    account: z
    creator: b
clusters:
  - name: test
    namespaces:
      - name: default
        deployments:
          - name: web
            containers:
              - name: c
                image: "{registry}/x/r:v1"
"#;
    assert_eq!(instance.export().await, format!("{TOP}{expected}"));
    let mut nothing = Instance::start(instance.db, "").await;
    assert_eq!(nothing.export().await, TOP);
}
