//! How a client of a cluster comes to be. What blocks (files, which may be on a disk that does not
//! answer, and what the `kube` crate does with them) has a thread of its own, one for a cluster at
//! the most; whoever waits for it does so for a bounded time.

use std::path::Path;
use std::time::Duration;

use http::Response;
use http_body_util::Limited;
use jiff::{SignedDuration, Timestamp};
use kube::client::{ClientBuilder, DynBody};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rustls::{CertificateError, OtherError};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tower::util::MapResponseLayer;

use super::{Access, Failure, causes, exec, short};
use crate::clock::Clock;
use crate::error::chain;

/// How long it may take until a cluster can be asked.
pub(super) const SETUP_TIME: Duration = Duration::from_secs(20);
/// How long connecting to a cluster may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a cluster may keep silent.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer that is read.
pub(super) const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// How long before their end credentials are not used any more.
const SPARE: SignedDuration = SignedDuration::from_secs(60);

/// A client that is being made, or how that ended.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    /// Until when somebody waits for it.
    deadline: Instant,
    outcome: watch::Receiver<Option<Result<Ready, Failure>>>,
}

/// A client that can be used.
#[derive(Clone)]
struct Ready {
    client: Client,
    valid_until: Option<Timestamp>,
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ready").finish_non_exhaustive()
    }
}

impl Connection {
    /// Begins to make a client.
    pub(super) fn begin(access: Access) -> Self {
        let (sender, outcome) = watch::channel(None);
        tokio::spawn(async move {
            let made = make(access).await;
            sender.send_replace(Some(made));
        });
        Self {
            deadline: Instant::now() + SETUP_TIME,
            outcome,
        }
    }

    /// Whether both are the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.outcome.same_channel(&other.outcome)
    }

    /// Whether it is being made, or made and good for another while.
    pub(super) fn is_worth_asking(&self) -> bool {
        match &*self.outcome.borrow() {
            Some(Ok(ready)) => ready.valid_until.is_none_or(|end| {
                let now = Clock::real_now();
                now.duration_until(end) > SPARE
            }),
            Some(Err(_)) => false,
            // Who makes it is gone without a word only after a panic.
            None => self.outcome.has_changed().is_ok(),
        }
    }

    /// The client, as soon as it is made; all who ask meanwhile get the same failure.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        let mut outcome = self.outcome.clone();
        let made = outcome.wait_for(Option::is_some);
        let Ok(made) = tokio::time::timeout_at(self.deadline, made).await else {
            return Err(too_slow());
        };
        match made.as_deref() {
            Ok(Some(Ok(ready))) => Ok(ready.client.clone()),
            Ok(Some(Err(failure))) => Err(failure.clone()),
            Ok(None) | Err(_) => Err(Failure::Passing(
                "the client could not be created".to_owned(),
            )),
        }
    }
}

fn too_slow() -> Failure {
    let seconds = SETUP_TIME.as_secs();
    Failure::Passing(format!(
        "the kubeconfig or its exec plug-in took more than {seconds} s"
    ))
}

async fn make(access: Access) -> Result<Ready, Failure> {
    let read = on_a_thread(move |runtime| runtime.block_on(read_config(&access)));
    let config = read.await?;
    let mut config = config.map_err(|reason| Failure::Final(short(&reason)))?;
    let mut valid_until = None;
    if let Some(plug_in) = exec::plug_in(&config.auth_info) {
        let credential = tokio::time::timeout(SETUP_TIME, exec::run(plug_in)).await;
        let credential = credential.unwrap_or_else(|_| Err(too_slow()))?;
        valid_until = credential.valid_until;
        config.auth_info = credential.replace(config.auth_info)?;
    }
    let client = on_a_thread(move |_| build(config)).await?;
    let client = client.map_err(|error| not_built(&error))?;
    Ok(Ready {
        client,
        valid_until,
    })
}

/// Runs what may block for ever. Nobody waits for the thread, also not the end of the process.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce(&Handle) -> T + Send + 'static,
) -> Result<T, Failure> {
    let runtime = Handle::current();
    let (sender, outcome) = oneshot::channel();
    let run = move || {
        let _inside = runtime.enter();
        drop(sender.send(work(&runtime)));
    };
    let thread = std::thread::Builder::new().name("kubeconfig".to_owned());
    thread
        .spawn(run)
        .map_err(|error| Failure::Passing(error.to_string()))?;
    outcome
        .await
        .map_err(|_| Failure::Passing("the client could not be created".to_owned()))
}

/// The reason why a kubeconfig cannot be read. A pipe is left alone: it gives its content once.
pub(super) fn unreadable(path: &Path) -> Option<String> {
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return None;
    }
    Kubeconfig::read_from(path).err().map(|error| chain(&error))
}

async fn read_config(access: &Access) -> Result<Config, String> {
    let mut config = match access {
        Access::InCluster => Config::incluster().map_err(|error| chain(&error))?,
        Access::Kubeconfig { path, context } => {
            let file = Kubeconfig::read_from(path).map_err(|error| chain(&error))?;
            let names_proxy = names_proxy(&file, context.as_deref());
            let options = KubeConfigOptions {
                context: context.clone(),
                ..KubeConfigOptions::default()
            };
            let mut config = Config::from_custom_kubeconfig(file, &options)
                .await
                .map_err(|error| chain(&error))?;
            if !names_proxy {
                // Else it is one of the environment, which is not meant for clusters like
                // these, and whose exceptions (NO_PROXY) would not be heeded.
                config.proxy_url = None;
            }
            config
        }
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    // The engine does that itself, and tells.
    config.default_retry = false;
    Ok(config)
}

fn build(config: Config) -> kube::Result<Client> {
    // Named, because a process in which two providers are compiled in has no default one. That
    // it is installed already is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let limit =
        |response: Response<Box<DynBody>>| response.map(|body| Limited::new(body, MAX_ANSWER));
    let builder = ClientBuilder::try_from(config)?;
    Ok(builder.with_layer(&MapResponseLayer::new(limit)).build())
}

/// Why no client could be made of a kubeconfig that can be read.
fn not_built(error: &kube::Error) -> Failure {
    if is_about_version(error) {
        let reason =
            "the client certificate in the kubeconfig is X.509 version 1; version 3 is required";
        return Failure::Final(reason.to_owned());
    }
    Failure::Passing(short(&chain(error)))
}

/// Whether an error is that a certificate is of a version that rustls does not take.
fn is_about_version(error: &kube::Error) -> bool {
    causes(error)
        .filter_map(<dyn std::error::Error>::downcast_ref)
        .any(|cause| match cause {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) => {
                matches!(
                    cause.downcast_ref(),
                    Some(webpki::Error::UnsupportedCertVersion)
                )
            }
            _ => false,
        })
}

/// Whether a kubeconfig itself wants a cluster to be reached through a proxy.
fn names_proxy(file: &Kubeconfig, context: Option<&str>) -> bool {
    let context = context.or(file.current_context.as_deref());
    let context = file
        .contexts
        .iter()
        .find(|known| Some(&*known.name) == context);
    let Some(context) = context.and_then(|known| known.context.as_ref()) else {
        return false;
    };
    let cluster = file
        .clusters
        .iter()
        .find(|known| known.name == context.cluster);
    cluster
        .and_then(|known| known.cluster.as_ref())
        .is_some_and(|cluster| cluster.proxy_url.is_some())
}
