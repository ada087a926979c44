//! No read is stale: whoever asks after a write was acknowledged, to whomever, sees what it wrote
//! or what came later. Writers and readers have connections of their own, and each reader notes
//! what is acknowledged before it asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use crate::support::{Answer, CLUSTER, Client, OCI_MANIFEST, Registry, TestApp, digest, trigger};

const WRITERS: usize = 8;
const READERS: usize = 8;
/// Writes of all writers together, where no time is set.
const WRITES: usize = 2000;
/// How many seconds the writers write instead.
const SECONDS: &str = "SWR_EMULATOR_STALE_SECONDS";
/// Of so many writes of one writer, one is a reset, where there are resets.
const RESET_EVERY: usize = 20;

/// Something that is written again and again. Each writer has one of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A trigger that is created, disabled, enabled and deleted.
    Trigger,
    /// A repository's description, and whether it is public.
    Repository,
    /// What a user may do with a repository.
    Right,
    /// An organization that is created and deleted.
    Organization,
    /// The image under a tag.
    Image,
    /// A tag that is pushed and deleted.
    Tag,
    /// The last push that a trigger's history has.
    History,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Trigger,
        Self::Repository,
        Self::Right,
        Self::Organization,
        Self::Image,
        Self::Tag,
        Self::History,
    ];

    /// What a registry's token is not needed for, since a reset ends the tokens.
    const BESIDE_RESETS: [Self; 4] = [
        Self::Trigger,
        Self::Repository,
        Self::Right,
        Self::Organization,
    ];
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
enum Caller {
    Admin,
    /// Has a right now and then.
    Reader,
    /// Has no right.
    Stranger,
    /// The admin at the registry.
    Registry,
}

/// What is and was in one place, as texts.
#[derive(Debug)]
struct Log {
    /// All states in their order; the last may have been asked for only.
    states: Vec<String>,
    /// The newest that is acknowledged.
    acknowledged: usize,
}

/// A place in the emulator that one writer changes.
struct Thing {
    kind: Kind,
    /// The number of its writer.
    group: usize,
    /// How it is in the seed file.
    seeded: String,
    log: Mutex<Log>,
    views: Vec<View>,
}

type Read = Box<dyn Fn(&Answer) -> Option<String> + Send + Sync>;

/// One way to see a thing.
struct View {
    name: &'static str,
    caller: Caller,
    path: String,
    /// How a state looks from here.
    expect: fn(&str) -> String,
    /// What an answer shows; none if it is not an answer of this kind.
    read: Read,
    /// Answers that could be compared with exactly one state.
    exact: AtomicUsize,
}

/// A request that a write consists of.
struct Step {
    caller: Caller,
    method: Method,
    path: String,
    body: Value,
}

fn step(caller: Caller, method: Method, path: impl Into<String>, body: Value) -> Step {
    let path = path.into();
    Step {
        caller,
        method,
        path,
        body,
    }
}

fn organization(group: usize) -> String {
    format!("/v2/manage/namespaces/g{group}")
}

fn repository(group: usize, name: &str) -> String {
    format!("{}/repos/{name}", organization(group))
}

/// A manifest of its own for each version.
fn manifest(version: &str) -> Value {
    json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                   "digest": digest(b"{}"), "size": 2},
        "layers": [], "annotations": {"version": version},
    })
}

/// What is there from the start.
fn seed() -> Value {
    let groups = (0..WRITERS).map(|group| {
        let trigger = |name: &str, kind: &str, condition: &str| {
            let mut trigger = trigger(name);
            trigger["trigger_type"] = kind.into();
            trigger["condition"] = condition.into();
            trigger
        };
        json!({
            "name": format!("g{group}"),
            "repositories": [
                {"name": "triggers", "triggers": [trigger("other", "tag", "other")]},
                {"name": "described", "description": "0", "is_public": true},
                {"name": "rights", "triggers": [trigger("seen", "tag", "other")]},
                {"name": "image"},
                {"name": "tag"},
                {"name": "history", "triggers": [trigger("fires", "all", ".*")]},
            ],
        })
    });
    let containers = (0..WRITERS).map(
        |group| json!({"name": format!("c{group}"), "image": format!("{{registry}}/g{group}/history:1")}),
    );
    let (groups, containers): (Vec<_>, Vec<_>) = (groups.collect(), containers.collect());
    json!({
        "accounts": [{"name": "swr-emulator", "users": [
            {"name": "reader", "id": "reader-id", "token": "reader"},
            {"name": "stranger", "id": "stranger-id", "token": "stranger"},
        ]}],
        "organizations": groups,
        "clusters": [{"id": CLUSTER, "name": "test", "namespaces": [
            {"name": "default", "deployments": [{"name": "adsfa", "containers": containers}]},
        ]}],
    })
}

const GONE: &str = "gone";
const THERE: &str = "there";
const DENIED: &str = "denied";

fn presence(is_there: bool) -> String {
    if is_there { THERE } else { GONE }.to_owned()
}

/// A text in an answer's body.
fn text(body: &Value, key: &str) -> Option<String> {
    Some(body[key].as_str()?.to_owned())
}

/// Whether an answer shows something or hides it.
fn status(answer: &Answer) -> Option<String> {
    let state = match answer.status.as_u16() {
        200 => THERE,
        403 => DENIED,
        _ => return None,
    };
    Some(state.to_owned())
}

/// The elements of a list that was answered, or of the list under a key of the answer.
fn list(answer: &Answer, key: &str) -> Option<Vec<Value>> {
    if answer.status != 200 {
        return None;
    }
    let body = answer.json();
    let list = if key.is_empty() { &body } else { &body[key] };
    list.as_array().cloned()
}

/// What one element of a list shows, or that it is not there.
fn element(
    list: &[Value],
    is_it: impl Fn(&Value) -> bool,
    show: impl Fn(&Value) -> Option<String>,
) -> Option<String> {
    match list.iter().find(|element| is_it(element)) {
        Some(element) => show(element),
        None => Some(GONE.to_owned()),
    }
}

fn shown_trigger(trigger: &Value) -> Option<String> {
    let (condition, enable) = (text(trigger, "condition")?, text(trigger, "enable")?);
    Some(format!("{condition} {enable}"))
}

fn shown_repository(repository: &Value) -> Option<String> {
    let description = text(repository, "description")?;
    Some(format!(
        "{description} {}",
        repository["is_public"].as_bool()?
    ))
}

fn itself(state: &str) -> String {
    state.to_owned()
}

fn digest_of(state: &str) -> String {
    digest(manifest(state).to_string().as_bytes())
}

/// Collects the views of one thing.
#[derive(Default)]
struct Views(Vec<View>);

impl Views {
    fn add(
        &mut self,
        name: &'static str,
        caller: Caller,
        path: impl Into<String>,
        expect: fn(&str) -> String,
        read: impl Fn(&Answer) -> Option<String> + Send + Sync + 'static,
    ) {
        self.0.push(View {
            name,
            caller,
            path: path.into(),
            expect,
            read: Box::new(read),
            exact: AtomicUsize::new(0),
        });
    }
}

impl Thing {
    fn new(kind: Kind, group: usize) -> Self {
        let seeded = match kind {
            Kind::Trigger | Kind::Organization | Kind::Tag => GONE,
            Kind::Repository => "0 true",
            Kind::Right => DENIED,
            Kind::Image | Kind::History => "v0",
        };
        let mut views = Views::default();
        match kind {
            Kind::Trigger => Self::see_trigger(group, &mut views),
            Kind::Repository => Self::see_repository(group, &mut views),
            Kind::Right => Self::see_right(group, &mut views),
            Kind::Organization => Self::see_organization(group, &mut views),
            Kind::Image => Self::see_image(group, &mut views),
            Kind::Tag => Self::see_tag(group, &mut views),
            Kind::History => Self::see_history(group, &mut views),
        }
        Self {
            kind,
            group,
            seeded: seeded.to_owned(),
            log: Mutex::new(Log {
                states: vec![seeded.to_owned()],
                acknowledged: 0,
            }),
            views: views.0,
        }
    }

    fn see_trigger(group: usize, views: &mut Views) {
        let path = format!("{}/triggers", repository(group, "triggers"));
        let one = format!("{path}/t");
        views.add("ShowTrigger", Caller::Admin, one, itself, |answer| {
            shown_trigger(&answer.json())
        });
        let name = "ListTriggersDetails";
        views.add(name, Caller::Admin, path, itself, |answer| {
            element(&list(answer, "")?, |t| t["name"] == "t", shown_trigger)
        });
    }

    fn see_repository(group: usize, views: &mut Views) {
        let path = repository(group, "described");
        let whole = |answer: &Answer| shown_repository(&answer.json());
        views.add("ShowRepository", Caller::Admin, &path, itself, whole);
        let name = "ShowRepository as somebody without rights";
        let is_open = |state: &str| {
            let seen = match state {
                GONE => GONE,
                state if state.ends_with("true") => THERE,
                _ => DENIED,
            };
            seen.to_owned()
        };
        views.add(name, Caller::Stranger, path, is_open, status);
        let namespace = format!("g{group}");
        let is_it = move |r: &Value| r["namespace"] == namespace && r["name"] == "described";
        let path = "/v2/manage/repos";
        views.add(
            "ListReposDetails",
            Caller::Admin,
            path,
            itself,
            move |answer| element(&list(answer, "")?, &is_it, shown_repository),
        );
    }

    fn see_right(group: usize, views: &mut Views) {
        let path = repository(group, "rights");
        let name = "ShowRepository of a user";
        views.add(name, Caller::Reader, &path, itself, status);
        let triggers = format!("{path}/triggers");
        let name = "ListTriggersDetails of a user";
        views.add(name, Caller::Reader, &triggers, itself, status);
        let name = "ShowTrigger of a user";
        let trigger = format!("{triggers}/seen");
        views.add(name, Caller::Reader, trigger, itself, status);
        let namespace = format!("g{group}");
        let is_it = move |r: &Value| r["namespace"] == namespace && r["name"] == "rights";
        let listed = |state: &str| presence(state == THERE);
        let (name, path) = ("ListReposDetails of a user", "/v2/manage/repos");
        views.add(name, Caller::Reader, path, listed, move |answer| {
            element(&list(answer, "")?, &is_it, |_| Some(THERE.to_owned()))
        });
        let access = access(group);
        views.add("ShowAuth", Caller::Admin, access, listed, |answer| {
            Some(presence(!list(answer, "others_auths")?.is_empty()))
        });
    }

    fn see_organization(group: usize, views: &mut Views) {
        let path = format!("/v2/manage/namespaces/o{group}");
        views.add("ShowNamespace", Caller::Admin, path, itself, status);
        let name = format!("o{group}");
        let path = "/v2/manage/namespaces";
        views.add(
            "ListNamespaces",
            Caller::Admin,
            path,
            itself,
            move |answer| {
                let list = list(answer, "namespaces")?;
                Some(presence(list.iter().any(|found| found["name"] == name)))
            },
        );
    }

    fn see_image(group: usize, views: &mut Views) {
        let path = format!("/v2/g{group}/image/manifests/latest");
        views.add("GetManifest", Caller::Registry, path, itself, |answer| {
            text(&answer.json()["annotations"], "version")
        });
        let path = format!("{}/tags", repository(group, "image"));
        let shown = |answer: &Answer| text(&answer.json(), "digest");
        let one = format!("{path}/latest");
        views.add("ShowRepoTag", Caller::Admin, one, digest_of, shown);
        let name = "ListRepositoryTags";
        views.add(name, Caller::Admin, path, digest_of, |answer| {
            element(
                &list(answer, "")?,
                |tag| tag["Tag"] == "latest",
                |tag| text(tag, "digest"),
            )
        });
    }

    fn see_tag(group: usize, views: &mut Views) {
        let path = format!("/v2/g{group}/tag/manifests/extra");
        let name = "GetManifest of a tag that comes and goes";
        views.add(name, Caller::Registry, path, itself, status);
        let path = format!("/v2/g{group}/tag/tags/list");
        views.add("ListTags", Caller::Registry, path, itself, |answer| {
            let tags = list(answer, "tags")?;
            Some(presence(tags.contains(&json!("extra"))))
        });
        let path = format!("{}/tags/extra", repository(group, "tag"));
        let name = "ShowRepoTag of a tag that comes and goes";
        views.add(name, Caller::Admin, path, itself, status);
        // Beside the tag that stays.
        let images = |state: &str| if state == THERE { "2" } else { "1" }.to_owned();
        let shown = |repository: &Value| Some(repository["num_images"].as_i64()?.to_string());
        let path = repository(group, "tag");
        let name = "ShowRepository of a tag that comes and goes";
        views.add(name, Caller::Admin, path, images, move |answer| {
            shown(&answer.json())
        });
        let namespace = format!("g{group}");
        let is_it = move |r: &Value| r["namespace"] == namespace && r["name"] == "tag";
        let (name, path) = ("ListReposDetails of a tag", "/v2/manage/repos");
        views.add(name, Caller::Admin, path, images, move |answer| {
            element(&list(answer, "")?, &is_it, shown)
        });
    }

    fn see_history(group: usize, views: &mut Views) {
        let path = format!("{}/triggers/fires", repository(group, "history"));
        let name = "ShowTrigger of one that fires";
        views.add(name, Caller::Admin, path, itself, |answer| {
            text(&list(answer, "trigger_history")?[0], "tag")
        });
    }

    /// The requests of the next write, and the state that it leads to.
    fn next(&self) -> (Vec<Step>, String) {
        let group = self.group;
        let (number, state) = {
            let log = self.log.lock();
            (log.states.len(), log.states[log.acknowledged].clone())
        };
        let version = format!("v{number}");
        let push = |name: &str, tag: &str| {
            let path = format!("/v2/g{group}/{name}/manifests/{tag}");
            step(Caller::Registry, Method::PUT, path, manifest(&version))
        };
        let admin = |method, path: &str, body| step(Caller::Admin, method, path, body);
        let (write, state) = match self.kind {
            Kind::Trigger => {
                let all = format!("{}/triggers", repository(group, "triggers"));
                let one = format!("{all}/t");
                match state.split_once(' ') {
                    None => {
                        let mut body = trigger("t");
                        body["trigger_type"] = "tag".into();
                        body["condition"] = version.clone().into();
                        (admin(Method::POST, &all, body), format!("{version} true"))
                    }
                    // It is disabled and enabled a few times.
                    Some(_) if number.is_multiple_of(5) => {
                        (admin(Method::DELETE, &one, Value::Null), GONE.to_owned())
                    }
                    Some((condition, enable)) => {
                        let enable = if enable == "true" { "false" } else { "true" };
                        let body = json!({"enable": enable});
                        let state = format!("{condition} {enable}");
                        (admin(Method::PATCH, &one, body), state)
                    }
                }
            }
            Kind::Repository => {
                let is_public = !state.ends_with("true");
                let body = json!({"description": version, "is_public": is_public});
                let path = repository(group, "described");
                let state = format!("{version} {is_public}");
                (admin(Method::PATCH, &path, body), state)
            }
            Kind::Right if state == DENIED => {
                let body = json!([{"user_id": "reader-id", "user_name": "reader", "auth": 1}]);
                let write = admin(Method::POST, &access(group), body);
                (write, THERE.to_owned())
            }
            Kind::Right => {
                let write = admin(Method::DELETE, &access(group), json!(["reader-id"]));
                (write, DENIED.to_owned())
            }
            Kind::Organization if state == GONE => {
                let body = json!({"namespace": format!("o{group}")});
                let write = admin(Method::POST, "/v2/manage/namespaces", body);
                (write, THERE.to_owned())
            }
            Kind::Organization => {
                let path = format!("/v2/manage/namespaces/o{group}");
                let write = admin(Method::DELETE, &path, Value::Null);
                (write, GONE.to_owned())
            }
            Kind::Image => (push("image", "latest"), version),
            Kind::Tag if state == GONE => (push("tag", "extra"), THERE.to_owned()),
            Kind::Tag => {
                let path = format!("{}/tags/extra", repository(group, "tag"));
                let write = admin(Method::DELETE, &path, Value::Null);
                (write, GONE.to_owned())
            }
            Kind::History => {
                let wait = format!(
                    "/_emulator/wait?namespace=g{group}&repository=history&tag={version}&trigger=fires"
                );
                let wait = admin(Method::GET, &wait, Value::Null);
                return (vec![push("history", &version), wait], version);
            }
        };
        (vec![write], state)
    }
}

/// Where rights are granted: in some organizations, for a repository in others.
fn access(group: usize) -> String {
    if group.is_multiple_of(2) {
        format!("{}/access", organization(group))
    } else {
        format!("{}/access", repository(group, "rights"))
    }
}

/// A connection over which everybody asks.
struct Connection {
    admin: Client,
    reader: Client,
    stranger: Client,
    nobody: Client,
    bearer: Option<String>,
    connection: SendRequest<Full<Bytes>>,
}

impl Connection {
    async fn open(app: &TestApp, bearer: Option<String>) -> Self {
        Self {
            admin: app.client.clone(),
            reader: app.as_user("reader"),
            stranger: app.as_user("stranger"),
            nobody: app.as_nobody(),
            bearer,
            connection: app.client.connect().await,
        }
    }

    async fn send(&mut self, caller: Caller, method: &Method, path: &str, body: &Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        let client = match caller {
            Caller::Admin => &self.admin,
            Caller::Reader => &self.reader,
            Caller::Stranger => &self.stranger,
            Caller::Registry => {
                let bearer = self.bearer.as_deref().expect("a token of the registry");
                request = request.header("Authorization", format!("Bearer {bearer}"));
                &self.nobody
            }
        };
        let body = if body.is_null() {
            Bytes::new()
        } else {
            let kind = match caller {
                Caller::Registry => OCI_MANIFEST,
                _ => "application/json",
            };
            request = request.header("Content-Type", kind);
            body.to_string().into()
        };
        let request = request.body(body).expect("a legal request");
        client
            .request_on(&mut self.connection, request)
            .await
            .expect("an answer")
    }

    /// Looks at a thing, which must not be as it was before what is acknowledged.
    async fn look(&mut self, thing: &Thing, view: &View) {
        let acknowledged = thing.log.lock().acknowledged;
        let answer = self
            .send(view.caller, &Method::GET, &view.path, &Value::Null)
            .await;
        let states = thing.log.lock().states[acknowledged..].to_vec();
        let (name, path) = (view.name, &view.path);
        let seen = match answer.status.as_u16() {
            404 => Some(GONE.to_owned()),
            _ => (view.read)(&answer),
        };
        let Some(seen) = seen else {
            panic!("{name} {path}: {}: {}", answer.status, answer.text());
        };
        let expected: Vec<_> = states.iter().map(|state| (view.expect)(state)).collect();
        assert!(
            expected.contains(&seen),
            "{name} {path} shows {seen}, but since before it was asked for: {expected:?}"
        );
        view.exact
            .fetch_add(usize::from(states.len() == 1), Ordering::Relaxed);
    }

    /// Changes a thing, and looks at it before and afterwards.
    async fn write(&mut self, thing: &Thing) {
        let view = &thing.views[fastrand::usize(..thing.views.len())];
        self.look(thing, view).await;
        let (steps, state) = thing.next();
        thing.log.lock().states.push(state);
        for step in steps {
            let answer = self
                .send(step.caller, &step.method, &step.path, &step.body)
                .await;
            let Step { method, path, .. } = step;
            assert!(
                answer.status.is_success(),
                "{method} {path}: {}: {}",
                answer.status,
                answer.text()
            );
        }
        thing.acknowledge();
        self.look(thing, view).await;
    }

    /// Takes all things back to the seed file, while nobody writes.
    async fn reset(&mut self, things: &[Thing]) {
        for thing in things {
            // A request that is under way may have found what is deleted, and made anew under
            // another id, by then.
            let during = [GONE.to_owned(), thing.seeded.clone()];
            thing.log.lock().states.extend(during);
        }
        let path = "/_emulator/reset";
        let answer = self
            .send(Caller::Admin, &Method::POST, path, &Value::Null)
            .await;
        assert!(answer.status.is_success(), "{}", answer.text());
        for thing in things {
            thing.acknowledge();
        }
        for thing in things {
            let view = &thing.views[fastrand::usize(..thing.views.len())];
            self.look(thing, view).await;
        }
    }
}

impl Thing {
    fn acknowledge(&self) {
        let mut log = self.log.lock();
        log.acknowledged = log.states.len() - 1;
    }
}

/// What all writers and readers share.
struct World {
    things: Vec<Thing>,
    /// Where something was acknowledged last.
    latest: AtomicUsize,
    /// Whether nobody writes any more.
    is_over: AtomicBool,
    /// Writers read it; who resets writes it.
    turn: RwLock<()>,
    /// When writers stop.
    end: Option<Instant>,
    /// How much each writes, where no time is set.
    writes: usize,
}

impl World {
    fn of(kinds: &[Kind], writes: usize) -> Self {
        let seconds = std::env::var(SECONDS).ok();
        let seconds = seconds.map(|text| text.parse().expect("a number of seconds"));
        let things = kinds
            .iter()
            .flat_map(|kind| (0..WRITERS).map(|group| Thing::new(*kind, group)));
        Self {
            things: things.collect(),
            latest: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            turn: RwLock::new(()),
            end: seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
            writes: writes / WRITERS,
        }
    }

    /// Changes the things of one group in turns.
    async fn write(&self, group: usize, mut connection: Connection, resets: bool) -> usize {
        let own = |(_, thing): &(usize, &Thing)| thing.group == group;
        let own: Vec<_> = self.things.iter().enumerate().filter(own).collect();
        for at in 0.. {
            let is_over = match self.end {
                Some(end) => Instant::now() >= end,
                None => at >= self.writes,
            };
            if is_over {
                return at;
            }
            if resets && group == 0 && at % RESET_EVERY == RESET_EVERY - 1 {
                let _alone = self.turn.write().await;
                connection.reset(&self.things).await;
                continue;
            }
            let _among_others = self.turn.read().await;
            let (index, thing) = own[at % own.len()];
            connection.write(thing).await;
            self.latest.store(index, Ordering::Relaxed);
        }
        unreachable!("writers end");
    }

    /// Looks at what was written last, and at anything, in turns.
    async fn read(&self, mut connection: Connection) {
        while !self.is_over.load(Ordering::Relaxed) {
            let anything = fastrand::usize(..self.things.len());
            for index in [self.latest.load(Ordering::Relaxed), anything] {
                let thing = &self.things[index];
                let view = &thing.views[fastrand::usize(..thing.views.len())];
                connection.look(thing, view).await;
            }
        }
    }
}

/// Lets writers and readers at an instance.
async fn read_beside_writes(app: &TestApp, kinds: &[Kind], bearer: Option<String>, writes: usize) {
    // Without tokens of the registry there can be resets.
    let resets = bearer.is_none();
    let world = Arc::new(World::of(kinds, writes));
    let mut writers = tokio::task::JoinSet::new();
    for group in 0..WRITERS {
        let connection = Connection::open(app, bearer.clone()).await;
        let world = Arc::clone(&world);
        writers.spawn(async move { world.write(group, connection, resets).await });
    }
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..READERS {
        let connection = Connection::open(app, bearer.clone()).await;
        let world = Arc::clone(&world);
        readers.spawn(async move { world.read(connection).await });
    }
    let writes: usize = writers.join_all().await.into_iter().sum();
    world.is_over.store(true, Ordering::Relaxed);
    readers.join_all().await;

    assert!(writes > 0);
    let views = world.things.iter().flat_map(|thing| &thing.views);
    for view in views {
        let exact = view.exact.load(Ordering::Relaxed);
        assert!(exact > 0, "{} was never compared", view.name);
    }
}

/// An instance with the first state of everything, and a token of its registry.
async fn app() -> (TestApp, String) {
    let app = TestApp::seeded(&seed().to_string()).await;
    let of_group = |group| ["image", "tag", "history"].map(|name| format!("g{group}/{name}"));
    let repositories: Vec<_> = (0..WRITERS).flat_map(of_group).collect();
    let names: Vec<_> = repositories.iter().map(String::as_str).collect();
    let registry = Registry::admin(&app.client, &names).await;
    for name in &repositories {
        registry.push_blob(name, b"{}").await;
        for (repository, tag) in [("image", "latest"), ("tag", "keep"), ("history", "v0")] {
            if !name.ends_with(repository) {
                continue;
            }
            let path = format!("/v2/{name}/manifests/{tag}");
            let headers = [("Content-Type", OCI_MANIFEST)];
            let body = manifest("v0").to_string();
            let answer = registry.send("PUT", &path, &headers, body).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
    }
    let idle = app.get("/_emulator/idle").await;
    assert_eq!(idle.status, 200, "{}", idle.text());
    let bearer = registry.bearer.expect("a token");
    (app, bearer)
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_readers_see_what_eight_writers_were_told_is_written() {
    let (app, bearer) = app().await;
    read_beside_writes(&app, &Kind::ALL, Some(bearer), WRITES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_a_reset_as_soon_as_it_is_acknowledged() {
    let app = TestApp::seeded(&seed().to_string()).await;
    read_beside_writes(&app, &Kind::BESIDE_RESETS, None, WRITES / 4).await;
}
