//! A Kubernetes API server as far as triggers meet one: Deployments and StatefulSets over TLS,
//! with client certificates and bearer tokens, strategic merge by container name, and the answers
//! that a real kube-apiserver 1.36.2 gave to the same requests. A rollout is over with the patch,
//! unless a test plays the controller; `ReplicaSets` and pods are what it puts.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path as Segments, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

/// The token of a service account that may get and patch, and the one that it gets when it is made
/// anew.
const GOOD_TOKEN: &str = "token-of-the-deployer";
const RENEWED_TOKEN: &str = "token-of-the-deployer-made-anew";
/// The token of one that may not.
const POWERLESS_TOKEN: &str = "token-of-a-reader";

/// A running server. It ends with the test's runtime.
pub(crate) struct FakeKubernetes {
    shared: Arc<Shared>,
    url: String,
    ca: String,
    client: (String, String),
    folder: tempfile::TempDir,
}

#[derive(Default)]
struct Shared {
    objects: Mutex<BTreeMap<String, Value>>,
    /// Answers that the next patches get instead of the real one.
    mishaps: Mutex<VecDeque<Mishap>>,
    patches: Mutex<Vec<Value>>,
    /// The verbs that nobody has a right to.
    denied: Mutex<Vec<&'static str>>,
    /// Whether the service account was made anew.
    is_renewed: AtomicBool,
    /// How many requests were answered 401.
    unknown_callers: AtomicUsize,
    /// Told of each patch that arrives.
    patched: Notify,
    /// Whether the test plays the controller.
    is_by_hand: AtomicBool,
    /// Whether callers may not see pods, `ReplicaSets` and changes.
    hides_pods: AtomicBool,
    /// Counts changes.
    changes: watch::Sender<u64>,
}

/// What goes wrong with a patch.
#[derive(Clone, Copy)]
pub(crate) enum Mishap {
    /// It is answered with this status.
    Status(u16),
    /// Somebody else changes the workload just before.
    Overtaken,
    /// It is refused for good, with this message.
    Refusal(&'static str),
    /// It is answered with 64 MiB of nothing.
    Flood,
    /// It is never answered.
    Silence,
}

/// How a kubeconfig proves who is calling.
#[derive(Clone, Copy)]
pub(crate) enum Proof {
    Certificate,
    Token,
    PowerlessToken,
    WrongToken,
    ExecPlugin,
    /// One that gives a certificate instead of a token.
    ExecCertificate,
    /// A certificate of X.509 version 1, which nobody here has signed.
    CertificateOfVersion1,
    Nothing,
}

impl FakeKubernetes {
    pub(crate) async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ca_key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = parameters.self_signed(&ca_key).expect("signed");
        let issuer = Issuer::new(parameters, ca_key);
        let signed = |names: &[&str]| {
            let key = KeyPair::generate().expect("a key");
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let parameters = CertificateParams::new(names).expect("legal names");
            let certificate = parameters.signed_by(&key, &issuer).expect("signed");
            (certificate, key)
        };
        let (server, server_key) = signed(&["127.0.0.1", "localhost"]);
        let (client, client_key) = signed(&["deployer"]);
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).expect("a root");
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
            .allow_unauthenticated()
            .build()
            .expect("a verifier");
        let server_key = PrivateKeyDer::try_from(server_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![server.der().clone()], server_key)
            .expect("a configuration");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(serve(listener, acceptor, Arc::clone(&shared)));
        Self {
            shared,
            url: format!("https://{address}"),
            ca: ca.pem(),
            client: (client.pem(), client_key.serialize_pem()),
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// Writes a kubeconfig for this server.
    pub(crate) fn kubeconfig(&self, proof: Proof) -> PathBuf {
        let user = match proof {
            Proof::Certificate => json!({
                "client-certificate-data": BASE64_STANDARD.encode(&self.client.0),
                "client-key-data": BASE64_STANDARD.encode(&self.client.1),
            }),
            Proof::CertificateOfVersion1 => json!({
                "client-certificate-data":
                    BASE64_STANDARD.encode(include_str!("x509-v1/certificate.pem")),
                "client-key-data": BASE64_STANDARD.encode(include_str!("x509-v1/key.pem")),
            }),
            Proof::Token => json!({"token": self.shared.good_token()}),
            Proof::PowerlessToken => json!({"token": POWERLESS_TOKEN}),
            Proof::WrongToken => json!({"token": "forged"}),
            Proof::Nothing => json!({}),
            Proof::ExecPlugin => plug_in(&json!({"token": self.shared.good_token()})),
            Proof::ExecCertificate => {
                let (certificate, key) = &self.client;
                plug_in(&json!({"clientCertificateData": certificate, "clientKeyData": key}))
            }
        };
        let cluster = json!({
            "server": self.url,
            "certificate-authority-data": BASE64_STANDARD.encode(&self.ca),
        });
        let nowhere = json!({"server": "https://127.0.0.1:1"});
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "main",
            "clusters": [{"name": "fake", "cluster": cluster}, {"name": "nowhere", "cluster": nowhere}],
            "users": [{"name": "me", "user": user}],
            "contexts": [
                {"name": "main", "context": {"cluster": "fake", "user": "me"}},
                {"name": "broken", "context": {"cluster": "nowhere", "user": "me"}},
            ],
        });
        let path = self.folder.path().join("kubeconfig");
        std::fs::write(&path, config.to_string()).expect("written");
        path
    }

    /// Writes a kubeconfig with a plug-in that gives a token which is good until then, and notes
    /// each time that it runs; the file of these notes.
    pub(crate) fn expiring_kubeconfig(&self, end: &str) -> (PathBuf, PathBuf) {
        let notes = self.folder.path().join("notes");
        let mut user = plug_in(&json!({"token": GOOD_TOKEN, "expirationTimestamp": end}));
        let answer = user["exec"]["args"][0].take();
        let script = "echo run >> \"$NOTES\"; echo \"$ANSWER\"";
        let variables =
            json!([{"name": "NOTES", "value": notes}, {"name": "ANSWER", "value": answer}]);
        (self.scripted_kubeconfig(script, &variables), notes)
    }

    /// Writes a kubeconfig with a plug-in that never ends, and holds a pipe open while it runs;
    /// the pipe.
    pub(crate) fn hanging_kubeconfig(&self) -> (PathBuf, PathBuf) {
        let pipe = self.folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo is there").success());
        let variables = json!([{"name": "PIPE", "value": pipe}]);
        let script = "exec sleep 600 9> \"$PIPE\"";
        (self.scripted_kubeconfig(script, &variables), pipe)
    }

    fn scripted_kubeconfig(&self, script: &str, variables: &Value) -> PathBuf {
        let path = self.kubeconfig(Proof::Nothing);
        let mut user = plug_in(&Value::Null);
        user["exec"]["command"] = json!("sh");
        user["exec"]["args"] = json!(["-c", script]);
        user["exec"]["env"] = variables.clone();
        let config = std::fs::read(&path).expect("it was written");
        let mut config: Value = serde_json::from_slice(&config).expect("JSON");
        config["users"][0]["user"] = user;
        std::fs::write(&path, config.to_string()).expect("written");
        path
    }

    /// The folder of the kubeconfig.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a workload with one container for each (name, image).
    pub(crate) fn put(&self, kind: &str, name: &str, containers: &[(&str, &str)]) {
        let containers: Vec<_> = containers
            .iter()
            .map(|(name, image)| json!({"name": name, "image": image}))
            .collect();
        let init = json!([{"name": "init", "image": "busybox:1"}]);
        let object = json!({
            "apiVersion": "apps/v1",
            "kind": if kind == "deployments" { "Deployment" } else { "StatefulSet" },
            "metadata": {"name": name, "namespace": "default", "generation": 1, "resourceVersion": "100"},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": containers, "initContainers": init},
                },
            },
        });
        let key = format!("default/{kind}/{name}");
        self.shared
            .objects
            .lock()
            .expect("unpoisoned")
            .insert(key, object);
    }

    /// From now on the test says what comes of patches.
    pub(crate) fn by_hand(&self) {
        self.shared.is_by_hand.store(true, Ordering::Release);
    }

    /// From now on nobody may see pods, `ReplicaSets` and changes of workloads.
    pub(crate) fn hide_pods(&self) {
        self.shared.hides_pods.store(true, Ordering::Release);
    }

    /// Gives a workload this status.
    pub(crate) fn status(&self, kind: &str, name: &str, status: &Value) {
        let mut objects = self.shared.objects.lock().expect("unpoisoned");
        let object = objects.get_mut(&format!("default/{kind}/{name}"));
        let object = object.expect("it is there");
        object["status"] = status.clone();
        touch(object);
        drop(objects);
        self.shared.changes.send_modify(|changes| *changes += 1);
    }

    /// Makes a pod or a `ReplicaSet`.
    pub(crate) fn put_object(&self, kind: &str, name: &str, mut object: Value) {
        object["metadata"]["name"] = json!(name);
        let mut objects = self.shared.objects.lock().expect("unpoisoned");
        objects.insert(format!("default/{kind}/{name}"), object);
        drop(objects);
        self.shared.changes.send_modify(|changes| *changes += 1);
    }

    /// Deletes a workload.
    pub(crate) fn remove(&self, kind: &str, name: &str) {
        let mut objects = self.shared.objects.lock().expect("unpoisoned");
        objects.remove(&format!("default/{kind}/{name}"));
        drop(objects);
        self.shared.changes.send_modify(|changes| *changes += 1);
    }

    /// A workload as it is now.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Value {
        let objects = self.shared.objects.lock().expect("unpoisoned");
        objects[&format!("default/{kind}/{name}")].clone()
    }

    /// The images of a workload's containers, in order.
    pub(crate) fn images(&self, kind: &str, name: &str) -> Vec<String> {
        let object = self.get(kind, name);
        let containers = object["spec"]["template"]["spec"]["containers"].as_array();
        let containers = containers.expect("an array").iter();
        containers
            .map(|container| container["image"].as_str().expect("text").to_owned())
            .collect()
    }

    /// The next patches go wrong like this.
    pub(crate) fn mishaps(&self, mishaps: &[Mishap]) {
        self.shared
            .mishaps
            .lock()
            .expect("unpoisoned")
            .extend(mishaps);
    }

    /// All patches that came with leave to patch, in order.
    pub(crate) fn patches(&self) -> Vec<Value> {
        self.shared.patches.lock().expect("unpoisoned").clone()
    }

    /// Takes the right to a verb away.
    pub(crate) fn deny(&self, verb: &'static str) {
        self.shared.denied.lock().expect("unpoisoned").push(verb);
    }

    /// Makes the service account anew, whose old token ends with that.
    pub(crate) fn renew_service_account(&self) {
        self.shared.is_renewed.store(true, Ordering::Release);
    }

    /// How many requests were answered 401.
    pub(crate) fn unknown_callers(&self) -> usize {
        self.shared.unknown_callers.load(Ordering::Acquire)
    }

    /// Waits until a patch has arrived that nobody waited for yet.
    pub(crate) async fn patch_arrives(&self) {
        self.shared.patched.notified().await;
    }
}

impl Shared {
    fn allows(&self, verb: &str) -> bool {
        !self.denied.lock().expect("unpoisoned").contains(&verb)
    }

    fn good_token(&self) -> &'static str {
        if self.is_renewed.load(Ordering::Acquire) {
            RENEWED_TOKEN
        } else {
            GOOD_TOKEN
        }
    }
}

/// A user whom a plug-in logs in, with this status.
fn plug_in(status: &Value) -> Value {
    let version = "client.authentication.k8s.io/v1";
    let credential = json!({"apiVersion": version, "kind": "ExecCredential", "status": status});
    json!({"exec": {
        "apiVersion": version, "command": "echo", "args": [credential.to_string()],
        "interactiveMode": "Never",
    }})
}

/// Whether the connection came with a certificate of ours.
#[derive(Clone, Copy)]
struct HasCertificate(bool);

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let path = "/apis/apps/v1/namespaces/{namespace}/{kind}/{name}";
    let router = Router::new()
        .route(path, get(read).patch(patch))
        .route(REVIEWS, post(review))
        .route("/apis/apps/v1/namespaces/{namespace}/{kind}", get(list))
        .route("/api/v1/namespaces/{namespace}/{kind}", get(list))
        .with_state(shared);
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let has_certificate = stream.get_ref().1.peer_certificates().is_some();
            let router = router.layer(Extension(HasCertificate(has_certificate)));
            let service = TowerToHyperService::new(router);
            let server = auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Whether the caller may do what the review asks about.
async fn review(
    State(shared): State<Arc<Shared>>,
    Extension(HasCertificate(has_certificate)): Extension<HasCertificate>,
    headers: HeaderMap,
    Json(mut review): Json<Value>,
) -> Response {
    let asked = review["spec"]["resourceAttributes"].clone();
    let text = |field: &str| asked[field].as_str().unwrap_or_default().to_owned();
    let place = Segments((text("namespace"), text("resource"), String::new()));
    let verb = text("verb");
    let refusal = refusal(&shared, &headers, has_certificate, &verb, &place);
    if let Some(refusal) = &refusal
        && refusal.status() == StatusCode::UNAUTHORIZED
    {
        return status(401, "Unauthorized", "Unauthorized", &json!({}));
    }
    review["status"] = json!({"allowed": refusal.is_none()});
    (StatusCode::CREATED, Json(review)).into_response()
}

type Place = Segments<(String, String, String)>;

/// Who is calling, and whether they may.
fn refusal(
    shared: &Shared,
    headers: &HeaderMap,
    has_certificate: bool,
    verb: &str,
    place: &Place,
) -> Option<Response> {
    let bearer = headers
        .get(AUTHORIZATION)
        .map(|value| value.to_str().expect("ASCII"));
    let user = match bearer.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) if token == shared.good_token() && shared.allows(verb) => return None,
        None if has_certificate && shared.allows(verb) => return None,
        Some(token) if token == shared.good_token() => "system:serviceaccount:default:deployer",
        None if has_certificate => "deployer",
        Some(POWERLESS_TOKEN) => "system:serviceaccount:default:reader",
        Some(_) => {
            shared.unknown_callers.fetch_add(1, Ordering::AcqRel);
            return Some(status(401, "Unauthorized", "Unauthorized", &json!({})));
        }
        None => "system:anonymous",
    };
    let Segments((namespace, kind, name)) = place;
    let message = format!(
        "{kind}.apps \"{name}\" is forbidden: User \"{user}\" cannot {verb} resource \"{kind}\" in API group \"apps\" in the namespace \"{namespace}\""
    );
    Some(status(
        403,
        "Forbidden",
        &message,
        &json!({"name": name, "group": "apps", "kind": kind}),
    ))
}

fn status(code: u16, reason: &str, message: &str, details: &Value) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code,
    });
    (StatusCode::from_u16(code).expect("a status"), Json(body)).into_response()
}

fn missing(Segments((_, kind, name)): &Place) -> Response {
    let message = format!("{kind}.apps \"{name}\" not found");
    status(
        404,
        "NotFound",
        &message,
        &json!({"name": name, "group": "apps", "kind": kind}),
    )
}

fn key(Segments((namespace, kind, name)): &Place) -> String {
    format!("{namespace}/{kind}/{name}")
}

async fn read(
    State(shared): State<Arc<Shared>>,
    Extension(HasCertificate(has_certificate)): Extension<HasCertificate>,
    place: Place,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = refusal(&shared, &headers, has_certificate, "get", &place) {
        return refusal;
    }
    match shared.objects.lock().expect("unpoisoned").get(&key(&place)) {
        Some(object) => Json(object.clone()).into_response(),
        None => missing(&place),
    }
}

/// What is asked of a list.
#[derive(Default)]
struct Listing {
    watch: bool,
    resource_version: String,
    field_selector: String,
    label_selector: String,
}

impl Listing {
    fn parse(uri: &Uri) -> Self {
        let mut listing = Self::default();
        for pair in uri.query().unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.replace("%3D", "=").replace("%2C", ",");
            match name {
                "watch" => listing.watch = value == "true",
                "resourceVersion" => listing.resource_version = value,
                "fieldSelector" => listing.field_selector = value,
                "labelSelector" => listing.label_selector = value,
                _ => {}
            }
        }
        listing
    }

    /// The version of a list, and the objects in it.
    fn of(&self, shared: &Shared, namespace: &str, kind: &str) -> (String, Vec<Value>) {
        let objects = shared.objects.lock().expect("unpoisoned");
        let folder = format!("{namespace}/{kind}/");
        let found = objects.iter().filter(|(key, object)| {
            let name = key.strip_prefix(&folder);
            let labels = &object["metadata"]["labels"];
            let is_selected = self.label_selector.split(',').all(|label| {
                let (label, value) = label.split_once('=').unwrap_or_default();
                label.is_empty() || labels[label] == value
            });
            name.is_some_and(|name| {
                self.field_selector.is_empty()
                    || self.field_selector == format!("metadata.name={name}")
            }) && is_selected
        });
        let found: Vec<_> = found.map(|(_, object)| object.clone()).collect();
        let version = match &found[..] {
            [one] if !self.field_selector.is_empty() => {
                let version = one["metadata"]["resourceVersion"].as_str();
                version.expect("text").to_owned()
            }
            _ => shared.changes.borrow().to_string(),
        };
        (version, found)
    }
}

/// Lists objects, or tells of their changes.
async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(HasCertificate(has_certificate)): Extension<HasCertificate>,
    Segments((namespace, kind)): Segments<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let listing = Listing::parse(&uri);
    let place = Segments((namespace.clone(), kind.clone(), String::new()));
    if let Some(refusal) = refusal(&shared, &headers, has_certificate, "list", &place) {
        return refusal;
    }
    if shared.hides_pods.load(Ordering::Acquire) {
        let verb = if listing.watch { "watch" } else { "list" };
        let message = format!(
            "{kind} is forbidden: User \"deployer\" cannot {verb} resource \"{kind}\" in the namespace \"{namespace}\""
        );
        return status(403, "Forbidden", &message, &json!({"kind": kind}));
    }
    if !listing.watch {
        let (version, items) = listing.of(&shared, &namespace, &kind);
        let list = json!({
            "kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version},
            "items": items,
        });
        return Json(list).into_response();
    }
    let changes = shared.changes.subscribe();
    let seen = listing.resource_version.clone();
    let events = futures_util::stream::unfold((changes, seen), move |(mut changes, seen)| {
        let (shared, namespace, kind) = (Arc::clone(&shared), namespace.clone(), kind.clone());
        let listing = Listing {
            field_selector: listing.field_selector.clone(),
            label_selector: listing.label_selector.clone(),
            ..Listing::default()
        };
        async move {
            loop {
                changes.mark_unchanged();
                let (version, objects) = listing.of(&shared, &namespace, &kind);
                if version != seen {
                    let events = objects.into_iter().map(|object| {
                        format!("{}\n", json!({"type": "MODIFIED", "object": object}))
                    });
                    let mut events: String = events.collect();
                    if events.is_empty() {
                        let gone = json!({"metadata": {"name": "gone"}});
                        events = format!("{}\n", json!({"type": "DELETED", "object": gone}));
                    }
                    let events = Ok::<_, std::convert::Infallible>(Bytes::from(events));
                    return Some((events, (changes, version)));
                }
                changes.changed().await.ok()?;
            }
        }
    });
    Response::new(Body::from_stream(events))
}

/// What a controller notes once a rollout is over.
fn finish(object: &mut Value) {
    let replicas = object["spec"]["replicas"].as_i64().unwrap_or(1);
    object["status"] = json!({
        "observedGeneration": object["metadata"]["generation"], "replicas": replicas,
        "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
        "currentRevision": "new", "updateRevision": "new",
    });
}

async fn patch(
    State(shared): State<Arc<Shared>>,
    Extension(HasCertificate(has_certificate)): Extension<HasCertificate>,
    place: Place,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refusal) = refusal(&shared, &headers, has_certificate, "patch", &place) {
        return refusal;
    }
    if headers
        .get(CONTENT_TYPE)
        .is_none_or(|kind| kind != "application/strategic-merge-patch+json")
    {
        let message = "the body of the request was in an unknown format";
        return status(415, "UnsupportedMediaType", message, &json!({}));
    }
    let Ok(patch) = serde_json::from_slice::<Value>(&body) else {
        return status(
            400,
            "BadRequest",
            "unexpected end of JSON input",
            &json!({}),
        );
    };
    shared
        .patches
        .lock()
        .expect("unpoisoned")
        .push(patch.clone());
    shared.patched.notify_one();
    let mishap = shared.mishaps.lock().expect("unpoisoned").pop_front();
    match mishap {
        Some(Mishap::Status(code)) => {
            return status(code, "InternalError", "as the test wants", &json!({}));
        }
        Some(Mishap::Refusal(message)) => return status(422, "Invalid", message, &json!({})),
        Some(Mishap::Flood) => {
            let piece = Bytes::from(vec![b' '; 64 * 1024]);
            let pieces = futures_util::stream::iter(0..1024);
            let pieces = futures_util::StreamExt::map(pieces, move |_| {
                Ok::<_, std::convert::Infallible>(piece.clone())
            });
            return Response::new(Body::from_stream(pieces));
        }
        Some(Mishap::Silence) => {
            tokio::time::sleep(Duration::from_hours(1)).await;
            return Response::new(Body::empty());
        }
        Some(Mishap::Overtaken) | None => {}
    }
    let mut objects = shared.objects.lock().expect("unpoisoned");
    let Some(object) = objects.get_mut(&key(&place)) else {
        return missing(&place);
    };
    if matches!(mishap, Some(Mishap::Overtaken)) {
        touch(object);
    }
    let version = &patch["metadata"]["resourceVersion"];
    if !version.is_null() && *version != object["metadata"]["resourceVersion"] {
        let Segments((_, kind, name)) = &place;
        let message = format!(
            "Operation cannot be fulfilled on {kind}.apps \"{name}\": the object has been modified; please apply your changes to the latest version and try again"
        );
        return status(
            409,
            "Conflict",
            &message,
            &json!({"name": name, "group": "apps", "kind": kind}),
        );
    }
    let mut merged = object.clone();
    merge(&mut merged, &patch, "");
    let containers = merged["spec"]["template"]["spec"]["containers"].as_array();
    for (at, container) in containers.into_iter().flatten().enumerate() {
        if container["image"].as_str().unwrap_or_default().is_empty() {
            let Segments((_, kind, name)) = &place;
            let field = format!("spec.template.spec.containers[{at}].image");
            let message = format!("{kind}.apps \"{name}\" is invalid: {field}: Required value");
            let cause = json!({"reason": "FieldValueRequired", "message": "Required value", "field": field});
            return status(422, "Invalid", &message, &json!({"causes": [cause]}));
        }
    }
    if merged["spec"] != object["spec"] {
        *object = merged;
        touch(object);
        let generation = object["metadata"]["generation"].as_i64().expect("a number");
        object["metadata"]["generation"] = json!(generation + 1);
        if !shared.is_by_hand.load(Ordering::Acquire) {
            finish(object);
        }
        shared.changes.send_modify(|changes| *changes += 1);
    }
    Json(object.clone()).into_response()
}

/// Gives an object a new resourceVersion.
fn touch(object: &mut Value) {
    let version = object["metadata"]["resourceVersion"]
        .as_str()
        .expect("text");
    let version: u64 = version.parse().expect("a number");
    object["metadata"]["resourceVersion"] = json!((version + 1).to_string());
}

/// Strategic merge: objects field by field, containers by name, everything else replaced. A
/// container that nobody has is added in front.
fn merge(target: &mut Value, patch: &Value, field: &str) {
    match patch {
        Value::Object(patch) => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            let target = target.as_object_mut().expect("an object");
            for (name, value) in patch {
                if value.is_null() {
                    target.remove(name);
                } else if name != "resourceVersion" {
                    merge(target.entry(name).or_insert(Value::Null), value, name);
                }
            }
        }
        Value::Array(items) if field == "containers" || field == "initContainers" => {
            if !target.is_array() {
                *target = json!([]);
            }
            let existing = target.as_array_mut().expect("an array");
            for item in items {
                match existing
                    .iter_mut()
                    .find(|known| known["name"] == item["name"])
                {
                    Some(known) => merge(known, item, ""),
                    None => existing.insert(0, item.clone()),
                }
            }
        }
        other => *target = other.clone(),
    }
}
