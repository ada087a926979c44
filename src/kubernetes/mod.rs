//! Real Kubernetes clusters, and the two requests that a firing makes there. `rollout` says how far
//! the rollout is that follows, `watch` asks for it. `connection` makes the clients, `exec` runs the
//! plug-ins that log in, `rights` asks what a client may do.
//!
//! Only clusters that the seed file names are ever contacted; a default kubeconfig is never
//! looked for. Simulated clusters live in `workload`.

mod connection;
mod exec;
mod rights;
mod rollout;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

use http_body_util::LengthLimitError;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Container as KubernetesContainer, PodTemplateSpec};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::sync::Semaphore;

use connection::{Connection, MAX_ANSWER};
pub use watch::Changes;

use crate::error::chain;
use crate::error::one_line;
use crate::trigger::AppType;
use crate::workload::{Container, PodTemplate, WorkloadKey};

/// Who the cluster notes as the author of a change.
const FIELD_MANAGER: &str = "swr-emulator";
/// How many requests a cluster gets at once.
const MOST_AT_ONCE: usize = 16;
/// The longest reason that is passed on, in characters.
const LONGEST_REASON: usize = 400;

/// How a cluster is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// By a kubeconfig: certificates, tokens and exec plug-ins are followed.
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The context in it; its `current-context` when absent.
        context: Option<String>,
    },
    /// By the service account of the pod that the emulator runs in.
    InCluster,
}

impl Access {
    /// The file's path from the root, where it is by a kubeconfig.
    pub fn absolute_path(&self) -> Option<PathBuf> {
        match self {
            Self::Kubeconfig { path, .. } => std::path::absolute(path).ok(),
            Self::InCluster => None,
        }
    }

    /// Whether another text means the same: the same context of the same file, by the path that is
    /// the same wherever it is read.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::InCluster, Self::InCluster) => true,
            (
                Self::Kubeconfig { context, .. },
                Self::Kubeconfig {
                    path,
                    context: other,
                },
            ) => context == other && self.absolute_path().as_ref() == Some(path),
            _ => false,
        }
    }

    /// The reason why the kubeconfig cannot be read. It may wait for a file system.
    pub fn unreadable(&self) -> Option<String> {
        match self {
            Self::Kubeconfig { path, .. } => connection::unreadable(path),
            Self::InCluster => None,
        }
    }
}

/// The real clusters of an instance, by id.
#[derive(Debug, Default)]
pub struct RealClusters(HashMap<String, RealCluster>);

impl RealClusters {
    /// These clusters: id and access.
    pub fn new(clusters: impl IntoIterator<Item = (String, Access)>) -> Self {
        let clusters = clusters.into_iter().map(|(id, access)| {
            let cluster = RealCluster {
                access,
                connection: Mutex::default(),
                turns: Semaphore::new(MOST_AT_ONCE),
            };
            (id, cluster)
        });
        Self(clusters.collect())
    }

    /// Whether all clusters are simulated.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The real cluster with this id; none where the cluster is simulated.
    pub fn get(&self, id: &str) -> Option<&RealCluster> {
        self.0.get(id)
    }
}

/// A cluster that runs somewhere.
pub struct RealCluster {
    access: Access,
    /// Made at first use, and again after it was of no use.
    connection: Mutex<Option<Connection>>,
    turns: Semaphore,
}

impl fmt::Debug for RealCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealCluster")
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// A workload as its cluster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its pod template.
    pub template: PodTemplate,
    /// What a patch must name, so that it meets the workload that was read.
    pub resource_version: String,
    /// How often its specification was changed.
    pub generation: i64,
}

/// What a cluster is asked about a workload.
enum Request<'a> {
    Read,
    /// A strategic merge patch.
    Patch(&'a Value),
}

impl Request<'_> {
    async fn send(
        &self,
        workloads: &Api<DynamicObject>,
        name: &str,
    ) -> kube::Result<Option<DynamicObject>> {
        match self {
            Self::Read => workloads.get_opt(name).await,
            Self::Patch(patch) => {
                let parameters = PatchParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    ..PatchParams::default()
                };
                let patch = Patch::Strategic(patch);
                workloads.patch(name, &parameters, &patch).await.map(Some)
            }
        }
    }
}

/// Why a request at a cluster came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The cluster will not change its mind: no right, not valid, not there.
    Final(String),
    /// Another try may do: no connection, a conflict, too many requests, a failing server.
    Passing(String),
}

impl RealCluster {
    /// Reads a workload, if it exists.
    pub async fn read(&self, key: &WorkloadKey) -> Result<Option<Found>, Failure> {
        let Some(object) = self.ask(key, Request::Read).await? else {
            return Ok(None);
        };
        let template = object.data.pointer("/spec/template").cloned();
        let template: PodTemplateSpec = serde_json::from_value(template.unwrap_or_default())
            .map_err(|error| Failure::Final(format!("the pod template cannot be read: {error}")))?;
        Ok(Some(Found {
            template: PodTemplate::from(template),
            resource_version: object.metadata.resource_version.unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
        }))
    }

    /// Applies a strategic merge patch to a workload; its generation after it.
    pub async fn patch(&self, key: &WorkloadKey, patch: &Value) -> Result<i64, Failure> {
        let patched = self.ask(key, Request::Patch(patch)).await?;
        let generation = patched.and_then(|object| object.metadata.generation);
        Ok(generation.unwrap_or_default())
    }

    /// Sends a request about a workload.
    async fn ask(
        &self,
        key: &WorkloadKey,
        request: Request<'_>,
    ) -> Result<Option<DynamicObject>, Failure> {
        let (kind, request) = (&kind_of(key.kind), &request);
        self.send(|client| async move {
            let workloads = Api::namespaced_with(client, &key.namespace, kind);
            request.send(&workloads, &key.name).await
        })
        .await
    }

    /// Sends a request. A cluster that does not know the caller gets it once more: the kubeconfig or
    /// its plug-in may have better credentials by now.
    async fn send<T, F>(&self, request: impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let _turn = self
            .turns
            .acquire()
            .await
            .map_err(|error| Failure::Passing(error.to_string()))?;
        let mut may_try_again = true;
        loop {
            let connection = self.connection();
            let client = connection.client().await?;
            let error = match request(client).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let is_unknown = is_unknown_caller(&error);
            // A client that reached nothing is of no more use either: the cluster may have been
            // made anew under another address.
            if is_unknown || !matches!(error, kube::Error::Api(_)) {
                self.forget(&connection);
            }
            if !(is_unknown && may_try_again) {
                return Err(failure(&error));
            }
            may_try_again = false;
        }
    }

    /// The client to ask with, which may still be made.
    fn connection(&self) -> Connection {
        let mut remembered = self.remembered();
        match &*remembered {
            Some(connection) if connection.is_worth_asking() => connection.clone(),
            _ => remembered
                .insert(Connection::begin(self.access.clone()))
                .clone(),
        }
    }

    /// Lets the next request make its client anew, unless another one did so already.
    fn forget(&self, used: &Connection) {
        let mut remembered = self.remembered();
        if remembered.as_ref().is_some_and(|known| known.is(used)) {
            *remembered = None;
        }
    }

    fn remembered(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock()
    }
}

fn kind_of(kind: AppType) -> ApiResource {
    match kind {
        AppType::Deployments => ApiResource::erase::<Deployment>(&()),
        AppType::StatefulSets => ApiResource::erase::<StatefulSet>(&()),
    }
}

fn is_unknown_caller(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 401)
}

/// What an error means for a firing.
fn failure(error: &kube::Error) -> Failure {
    let kube::Error::Api(status) = error else {
        if is_about_length(error) {
            let most = MAX_ANSWER / 1024 / 1024;
            let reason = format!("the cluster answered with more than {most} MiB");
            return Failure::Final(reason);
        }
        let reason = format!("the cluster cannot be reached: {}", chain(error));
        return Failure::Passing(short(&reason));
    };
    let reason = short(&format!(
        "the cluster answered {}: {}",
        status.code, status.message
    ));
    match status.code {
        409 | 429 | 500.. => Failure::Passing(reason),
        _ => Failure::Final(reason),
    }
}

impl From<PodTemplateSpec> for PodTemplate {
    fn from(template: PodTemplateSpec) -> Self {
        let spec = template.spec.unwrap_or_default();
        let annotations = template.metadata.and_then(|metadata| metadata.annotations);
        Self {
            containers: spec.containers.into_iter().map(Container::from).collect(),
            init_containers: spec
                .init_containers
                .into_iter()
                .flatten()
                .map(Container::from)
                .collect(),
            annotations: annotations.unwrap_or_default(),
        }
    }
}

impl From<KubernetesContainer> for Container {
    fn from(container: KubernetesContainer) -> Self {
        Self {
            name: container.name,
            image: container.image.unwrap_or_default(),
        }
    }
}

fn is_about_length(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).any(<dyn std::error::Error>::is::<LengthLimitError>)
}

/// An error, what caused it, and so on.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// The beginning of a text of others, in one line: it goes into the log.
fn short(text: &str) -> String {
    one_line(text).chars().take(LONGEST_REASON).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::io::Read;
    use std::path::Path;

    use futures_util::future::join_all;
    use serde_json::json;
    use tokio::sync::oneshot;

    use super::connection::SETUP_TIME;
    use super::*;

    /// Held by a test that counts threads or makes one.
    static THREADS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    fn cluster(kubeconfig: &Path) -> RealClusters {
        let access = Access::Kubeconfig {
            path: kubeconfig.to_owned(),
            context: None,
        };
        RealClusters::new([("c".to_owned(), access)])
    }

    fn key() -> WorkloadKey {
        WorkloadKey {
            cluster_id: "c".to_owned(),
            namespace: "default".to_owned(),
            kind: AppType::Deployments,
            name: "web".to_owned(),
        }
    }

    /// A pipe in the file system: whoever opens it waits for the other end.
    fn pipe(path: &Path) {
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.expect("mkfifo is there").success());
    }

    fn threads() -> usize {
        let tasks = std::fs::read_dir("/proc/self/task").expect("the tests run on Linux");
        tasks
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
            .filter(|name| name.trim() == "kubeconfig")
            .count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_kubeconfig_that_does_not_answer_costs_one_thread_and_a_bounded_wait() {
        let _alone = THREADS.lock().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("kubeconfig");
        pipe(&path);
        let clusters = cluster(&path);
        let cluster = clusters.get("c").expect("it is real");
        let key = key();
        // Who reads the file gets to its end when this end is closed. Time stands still until
        // somebody reads it.
        let other_end = path.clone();
        let other_end = move || OpenOptions::new().write(true).open(other_end);
        let other_end = tokio::task::spawn_blocking(other_end);

        let read = join_all((0..40).map(|_| cluster.read(&key))).await;

        let reason = "the kubeconfig or its exec plug-in took more than 20 s";
        for outcome in read {
            assert_eq!(outcome, Err(Failure::Passing(reason.to_owned())));
        }
        let other_end = other_end.await.expect("no panic").expect("opened");
        assert_eq!(threads(), 1);
        drop(other_end);
    }

    #[tokio::test]
    async fn a_plug_in_that_hangs_is_ended() {
        let _alone = THREADS.lock().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lives = folder.path().join("lives");
        pipe(&lives);
        let path = folder.path().join("kubeconfig");
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
            "command": "sh", "args": ["-c", "exec sleep 600 9> \"$LIVES\""],
            "env": [{"name": "LIVES", "value": lives}],
        });
        let config = json!({
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
            "users": [{"name": "u", "user": {"exec": exec}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        });
        std::fs::write(&path, config.to_string()).expect("written");
        let (begun, begins) = oneshot::channel();
        let ended = tokio::task::spawn_blocking(move || {
            let mut lives = File::open(lives).expect("the plug-in opens its end");
            begun.send(()).expect("somebody waits");
            lives.read_to_end(&mut Vec::new()).expect("its end");
        });
        let clusters = cluster(&path);
        let cluster = clusters.get("c").expect("it is real");
        let key = key();
        let read = cluster.read(&key);
        tokio::pin!(read);
        tokio::select! {
            begun = begins => begun.expect("the plug-in runs"),
            outcome = &mut read => panic!("{outcome:?} before the plug-in ran"),
        }

        tokio::time::pause();
        tokio::time::advance(SETUP_TIME).await;

        assert!(matches!(read.await, Err(Failure::Passing(_))));
        ended.await.expect("the plug-in is gone");
    }
}
