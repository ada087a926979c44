//! One instance of the emulator, from start to stop.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tracing::warn;

use crate::app::{App, AppState, RegistryState};
use crate::auth::{self, Directory, Mode, Tokens};
use crate::clock::Clock;
use crate::config::Config;
use crate::data_folder::{DataFolder, FolderError};
use crate::db::{Db, OpenError};
use crate::engine::{Engine, Matcher, Worker};
use crate::error::Error;
use crate::http::{RequestIds, Routes, Server};
use crate::lookup::Lookup;
use crate::registry::blob::Files;
use crate::registry::download::Downloads;
use crate::registry::token::SigningKey;
use crate::registry::{self, Collector};
use crate::seed::{self, ApplySeed, Seed, SeedError};
use crate::{cce, control, iam, login, namespace, repository, tag, trigger, version, workload};

/// Why an instance could not start. Each text is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The seed file is not usable.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// `--auth any` makes everyone the built-in admin, whom the seed file leaves out.
    #[error(
        "--auth any needs the built-in account; remove builtin_account: false from the seed file"
    )]
    NobodyToBe,
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}; choose another --listen")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The data folder is not usable.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The database is not usable.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The database can be opened but not read or written.
    #[error("cannot prepare the database: {}", .0.chain())]
    Prepare(Error),
}

/// All operations, in the API reference's order, then those of other services and our own.
pub fn routes() -> Routes {
    trigger::routes()
        .and(namespace::routes())
        .and(repository::routes())
        .and(tag::routes())
        .and(login::routes())
        .and(version::routes())
        .and(iam::routes())
        .and(cce::routes())
        .and(control::routes())
        .and(workload::routes())
}

/// A running instance.
#[derive(Debug)]
pub struct Emulator {
    server: Server,
    app: AppState,
    /// Collects in the background for as long as the instance lives.
    collector: Collector,
    /// Fires triggers for as long as the instance lives.
    worker: Worker,
    folder: DataFolder,
}

impl Emulator {
    /// Starts an instance; once this returns, it serves.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let (directory, seed) = match &config.seed {
            Some(path) => seed::read(path)?,
            None => {
                let directory = Directory::new(true, Vec::new()).unwrap_or_default();
                let seed = Seed::builtin(&directory);
                (directory, seed)
            }
        };
        if config.auth == Mode::Any && directory.builtin_admin().is_none() {
            return Err(StartError::NobodyToBe);
        }
        // The port comes first: where it is taken, nothing else is touched.
        let refused = |error| StartError::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let folder = if config.ephemeral {
            DataFolder::temporary()?
        } else {
            DataFolder::open(&config.data_dir)?
        };
        let db = match Db::open(&folder.database()).await {
            Ok(db) => Arc::new(db),
            Err(error) => {
                folder.leave_untouched();
                return Err(error.into());
            }
        };
        let files = Files::open(folder.path())
            .map_err(|error| FolderError::Unwritable(folder.path().to_owned(), error))?;
        let app = prepare(config, address, db, files, directory, seed)
            .await
            .map_err(StartError::Prepare)?;
        let files = Arc::clone(&app.registry.files);
        let collector = Collector::start(Arc::clone(&app.db), files, app.clock.clone())
            .await
            .map_err(StartError::Prepare)?;
        let worker = app.engine.start();
        if !address.ip().is_loopback() && app.directory.builtin_admin().is_some() {
            warn!(
                %address,
                "Listening beyond this machine with the built-in account, whose keys everyone \
                 knows; `builtin_account: false` in a seed file leaves it out"
            );
        }
        let router = routes().into_router(Arc::clone(&app));
        let server = Server::start(listener, router).map_err(refused)?;
        Ok(Self {
            server,
            app,
            collector,
            worker,
            folder,
        })
    }

    /// The address it listens on, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where clients on this machine reach it.
    pub fn url(&self) -> String {
        format!("http://{}", reachable(self.address()))
    }

    /// The folder that holds its data.
    pub fn data_folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether it has the built-in account.
    pub fn has_builtin_account(&self) -> bool {
        self.app.directory.builtin_admin().is_some()
    }

    /// Lets running requests finish (10 s at most), puts everything on disk and ends.
    pub async fn stop(self) {
        self.server.stop().await;
        drop(self.collector);
        drop(self.worker);
        self.app.registry.downloads.flush(&self.app).await;
        self.app.db.close().await;
        if let Err(error) = self.folder.close() {
            warn!(%error, "Could not remove the temporary data folder");
        }
    }
}

async fn prepare(
    config: &Config,
    address: SocketAddr,
    db: Arc<Db>,
    files: Files,
    directory: Directory,
    seed: Seed,
) -> Result<AppState, Error> {
    let clock = Clock::default();
    let real_clusters = seed.real_clusters();
    let seed = Arc::new(seed);
    let registry_names = registry_names(config, address);
    db.write(ApplySeed {
        seed: Arc::clone(&seed),
        region: config.region.clone(),
        registry: registry_host(config, address),
        now: clock.now(),
    })
    .await?;
    let stored = auth::find_tokens(db.readers()).await?;
    let tokens = Tokens::restore(stored, &directory);
    let key = registry::store::signing_key(db.readers()).await?;
    Ok(Arc::new(App {
        region: config.region.clone(),
        registry_host: registry_host(config, address),
        quota_namespaces: config.quota_namespaces,
        auth: config.auth,
        lookup: Lookup::new(Arc::clone(&db), config.region.clone()),
        db: Arc::clone(&db),
        directory,
        tokens,
        clock: clock.clone(),
        seed,
        registry: Arc::new(RegistryState {
            files: Arc::new(files),
            key: SigningKey::new(&key),
            downloads: Downloads::default(),
        }),
        matcher: Matcher::default(),
        engine: Engine::new(
            db,
            clock,
            registry_names.clone(),
            real_clusters,
            config.deploy_timeout(),
        ),
        strict_targets: config.strict_targets,
        registry_names,
        request_ids: RequestIds::default(),
        faults: Arc::default(),
        requests: Arc::default(),
    }))
}

/// The registry's first name: the one that was given first, else the address, by which the
/// machine itself can reach it.
fn registry_host(config: &Config, address: SocketAddr) -> String {
    if let Some(host) = config.registry_host.first() {
        return host.clone();
    }
    reachable(address).to_string()
}

/// All names under which images of this registry are known: those that were given, the address,
/// and the names by which everybody calls it.
fn registry_names(config: &Config, address: SocketAddr) -> Vec<String> {
    let port = address.port();
    let mut names = config.registry_host.clone();
    names.push(reachable(address).to_string());
    names.push(format!("127.0.0.1:{port}"));
    names.push(format!("localhost:{port}"));
    names.push(format!("swr.{}.myhuaweicloud.com", config.region));
    names
}

/// The address under which a listener can be reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}
