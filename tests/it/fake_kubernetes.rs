//! A Kubernetes API server as far as triggers meet one: Deployments and StatefulSets over TLS,
//! with client certificates and bearer tokens, strategic merge by container name, and the answers
//! that a real kube-apiserver 1.36.2 gave to the same requests.

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
use http::{HeaderMap, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
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
            "spec": {"template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": containers, "initContainers": init},
            }},
        });
        let key = format!("default/{kind}/{name}");
        self.shared
            .objects
            .lock()
            .expect("unpoisoned")
            .insert(key, object);
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
