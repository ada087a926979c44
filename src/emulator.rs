//! One instance of the emulator, from start to stop.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::SqliteConnection;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::warn;

use crate::answers::Answers;
use crate::app::{App, AppState, MAX_WAITS, RegistryState, Routes};
use crate::auth::{self, Directory, Mode, StoredToken, Tokens};
use crate::clock::Clock;
use crate::config::{Config, DEFAULT_WAIT, parse_region};
use crate::control::Report;
use crate::data_folder::{DataFolder, FolderError};
use crate::db::{Db, OpenError, Write};
use crate::edge::{AllowedHosts, Edge, RequestIds, Requests, Server};
use crate::engine::{self, Engine, FiringWorker, Matcher};
use crate::error::Error;
use crate::events::Events;
use crate::faults::Faults;
use crate::http::Operation;
use crate::iam::{self, StoredUsers};
use crate::image::{self, Collector, Files, Folders};
use crate::lookup::Lookup;
use crate::region::{Region, Regions};
use crate::registry::download::Downloads;
use crate::registry::token::{self, SigningKey};
use crate::retention::{self, RetentionScheduler};
use crate::seed::{self, ApplySeed, Seed, SeedError};
use crate::snapshot::{LoadError, Opened, Spool};
use crate::sync::{self, SyncWorker};
use crate::world::{Origin, World};
use crate::{
    account, cce, console, control, guide, login, namespace, openapi, permission, repository,
    sharing, tag, trigger, version, workload,
};

/// Why an instance could not start. Each text is one line that says what to do; `Debug` shows the
/// same, since that is what a test that returns an error is reported with.
#[derive(thiserror::Error)]
pub enum StartError {
    /// The name of the region breaks a rule. The command line refuses it earlier.
    #[error("region: {0}")]
    Region(String),
    /// The seed file is not usable.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The snapshot is not usable.
    #[error("cannot start from {0}: {1}")]
    Snapshot(PathBuf, #[source] LoadError),
    /// `--auth any` makes everyone the built-in admin, whom the seed file leaves out.
    #[error(
        "--auth any needs the built-in account; remove builtin_account: false from the seed file"
    )]
    NobodyToBe,
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}; choose another --listen")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The address of a region of the seed file cannot be listened on.
    #[error("cannot listen on {1} for the region {0}: {2}; choose another listen in the seed file")]
    ListenRegion(String, SocketAddr, #[source] std::io::Error),
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

impl StartError {
    /// Whether two settings do not go together, as far as only the start can tell.
    #[doc(hidden)]
    pub fn is_misuse(&self) -> bool {
        matches!(self, Self::Folder(FolderError::NotEmpty(_)))
    }
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// All operations, in the API reference's order, then those of other services and our own.
pub fn routes() -> Routes {
    trigger::routes()
        .and(namespace::routes())
        .and(permission::routes())
        .and(repository::routes())
        .and(tag::routes())
        .and(sharing::routes())
        .and(sync::routes())
        .and(retention::routes())
        .and(login::routes())
        .and(account::routes())
        .and(version::routes())
        .and(iam::routes())
        .and(cce::routes())
        .and(control::routes())
        .and(workload::routes())
        .and(openapi::routes())
        .and(guide::routes())
        .and(console::routes())
}

/// A running instance, which ends with this value; [`testing`](crate::testing) says what a test does
/// with it.
#[derive(Debug)]
pub struct Emulator {
    /// One for each region, the home region first.
    servers: Vec<Server>,
    /// That of the home region.
    app: AppState,
    /// Collects in the background for as long as the instance lives.
    collector: Collector,
    /// Runs retention rules each day for as long as the instance lives.
    daily: RetentionScheduler,
    /// Fires triggers for as long as the instance lives.
    worker: FiringWorker,
    /// Takes images to other regions for as long as the instance lives.
    synchronization: SyncWorker,
    folder: DataFolder,
    /// How long a test waits for a push and its firings.
    pub(crate) patience: Duration,
}

impl Emulator {
    /// Starts an instance; once this returns, it serves.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        parse_region(&config.region).map_err(StartError::Region)?;
        let (directory, seed, from) = begin(config)?;
        if config.auth == Mode::Any && directory.builtin_admin().is_none() {
            return Err(StartError::NobodyToBe);
        }
        // The ports come first: where one is taken, nothing else is touched.
        let (listeners, regions) = listen(config, &seed).await?;
        warn_of(&seed);
        let folder = if config.ephemeral {
            DataFolder::temporary()?
        } else if from.is_some() {
            DataFolder::open_empty(&config.data_dir)?
        } else {
            DataFolder::open(&config.data_dir)?
        };
        let spool = Spool::of(folder.path());
        let snapshot = match from {
            None => None,
            Some(from) => match from.read(config.max_snapshot_bytes(), &spool).await {
                Ok(snapshot) => Some(Arc::new(snapshot)),
                Err(error) => {
                    folder.leave_empty();
                    return Err(unusable(config, error));
                }
            },
        };
        let database = folder.database();
        // While SQLite reads the schema, in a thread of its own.
        let (opened, routes) = tokio::join!(Db::open(&database), async { routes() });
        let operations = routes.operations().into();
        let db = match opened {
            Ok(db) => Arc::new(db),
            Err(error) => {
                folder.leave_untouched();
                return Err(error.into());
            }
        };
        let is_from_snapshot = snapshot.is_some();
        let origin = Origin {
            seed: Arc::new(seed),
            snapshot,
        };
        let prepared = prepare(config, regions, db, &folder, directory, origin, operations);
        let (apps, pending) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => {
                if is_from_snapshot {
                    folder.leave_empty();
                }
                return Err(error);
            }
        };
        let app = Arc::clone(&apps[0]);
        let files = Arc::clone(&app.registry.files);
        let collector = Collector::start(Arc::clone(&app.db), files)
            .await
            .map_err(StartError::Prepare)?;
        let daily =
            RetentionScheduler::start(Arc::clone(&app.db), app.clock.clone(), app.matcher.clone());
        let worker = app.engine.start(pending.has_open);
        let synchronization = SyncWorker::start(
            Arc::clone(&app.db),
            app.clock.clone(),
            app.matcher.clone(),
            Arc::clone(&app.engine),
            pending.has_jobs,
        );
        app.warn_of_known_keys();
        let hosts = AllowedHosts::new(app.regions.iter(), &config.allow_host);
        let hosts = Arc::new(hosts);
        let mut servers = Vec::new();
        // The last one gets the table itself, and it is nearly always the only one.
        let tables = std::iter::repeat_n(routes, apps.len());
        let places = listeners.into_iter().zip(app.regions.iter()).zip(apps);
        for (((listener, region), app), routes) in places.zip(tables) {
            let edge = Edge::new(routes, app);
            let server = Server::start(listener, edge, &hosts)
                .map_err(|error| StartError::Listen(region.address, error))?;
            servers.push(server);
        }
        Ok(Self {
            servers,
            app,
            collector,
            daily,
            worker,
            synchronization,
            folder,
            patience: DEFAULT_WAIT,
        })
    }

    /// The address of the home region, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.servers[0].address()
    }

    /// Where clients on this machine reach the home region.
    pub fn url(&self) -> String {
        self.app.regions.home().map(Region::url).unwrap_or_default()
    }

    /// Host and port of each region's registry, as clients on this machine reach it, the home region
    /// first.
    pub fn registries(&self) -> impl Iterator<Item = (&str, String)> {
        let regions = self.app.regions.iter();
        regions.map(|region| (region.name.as_str(), region.authority()))
    }

    /// The state of the home region.
    pub(crate) fn app(&self) -> &AppState {
        &self.app
    }

    /// All regions with their addresses, the home region first.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        let regions = self.app.regions.iter();
        regions.map(|region| (region.name.as_str(), region.address))
    }

    /// The folder that holds its data.
    pub fn data_folder(&self) -> &Path {
        self.folder.path()
    }

    /// How many requests it has answered so far.
    pub fn answered(&self) -> i64 {
        self.app.requests.count()
    }

    /// Lets go of memory that is only kept for the next requests, for when none come for a while.
    pub async fn rest(&self) {
        for server in &self.servers {
            server.rest();
        }
        self.app.db.rest().await;
    }

    /// Whether it has the built-in account.
    pub fn has_builtin_account(&self) -> bool {
        self.app.directory.builtin_admin().is_some()
    }

    /// Ends what only waits, lets running requests finish (8 s at most), puts everything on disk
    /// and ends.
    pub async fn stop(self) {
        self.app.stop.raise();
        join_all(self.servers.into_iter().map(Server::stop)).await;
        drop(self.collector);
        drop(self.daily);
        drop(self.synchronization);
        drop(self.worker);
        self.app.registry.downloads.flush().await;
        self.app.db.close().await;
        if let Err(error) = self.folder.close() {
            warn!(%error, "Could not remove the temporary data folder");
        }
    }
}

/// What an instance remembers of its run so far; the error says why it cannot be told.
pub async fn report(emulator: &Emulator) -> Result<Report, String> {
    let report = Report::of(&emulator.app).await;
    report.map_err(|error| error.chain())
}

/// The same as a page in one file, which needs no server.
pub async fn report_page(emulator: &Emulator) -> Result<String, String> {
    let report = report(emulator).await?;
    let about = console::About {
        url: emulator.url(),
        region: emulator.app.region.clone(),
        version: env!("CARGO_PKG_VERSION"),
    };
    console::report_file(&report, &about).map_err(|error| error.to_string())
}

/// The accounts and the seed that an instance begins with, and the snapshot that it goes on from.
fn begin(config: &Config) -> Result<(Directory, Seed, Option<Opened>), StartError> {
    if let Some(path) = &config.from {
        let unusable = |error| unusable(config, error);
        let from = Opened::open(path).map_err(unusable)?;
        let (directory, seed) = from.world(config).map_err(unusable)?;
        return Ok((directory, seed, Some(from)));
    }
    if let Some(source) = config.seed_source() {
        let (directory, seed) = seed::read(source, &config.region)?;
        return Ok((directory, seed, None));
    }
    let directory = Directory::new(true, Vec::new()).unwrap_or_default();
    let seed = Seed::of_accounts(&directory);
    Ok((directory, seed, None))
}

fn unusable(config: &Config, error: LoadError) -> StartError {
    StartError::Snapshot(config.from.clone().unwrap_or_default(), error)
}

/// Warns of what the seed file names and lacks. Kubeconfigs have a thread of their own, since a
/// file system may not answer.
fn warn_of(seed: &Seed) {
    for warning in seed.warnings() {
        warn!("{warning}");
    }
    let clusters = seed.clusters.iter();
    let real = clusters.filter_map(|c| Some((c.cluster.name.clone(), c.access.clone()?)));
    let real: Vec<_> = real.collect();
    if real.is_empty() {
        return;
    }
    let read = move || {
        for (cluster, access) in real {
            if let Some(reason) = access.unreadable() {
                warn!(cluster, reason, "Cannot read the kubeconfig of a cluster");
            }
        }
    };
    let thread = std::thread::Builder::new().name("kubeconfigs".to_owned());
    if let Err(error) = thread.spawn(read) {
        warn!(%error, "Cannot check the kubeconfigs");
    }
}

/// Binds the addresses of all regions, the home region's first.
async fn listen(config: &Config, seed: &Seed) -> Result<(Vec<TcpListener>, Regions), StartError> {
    let refused = |error| StartError::Listen(config.listen, error);
    let listener = TcpListener::bind(config.listen).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let mut listeners = vec![listener];
    let mut regions = vec![Region::new(&config.region, &config.registry_host, address)];
    for region in &seed.regions {
        let refused = |error| StartError::ListenRegion(region.name.clone(), region.listen, error);
        let listener = TcpListener::bind(region.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        listeners.push(listener);
        regions.push(Region::new(
            &region.name,
            region.registry_host.as_slice(),
            address,
        ));
    }
    Ok((listeners, Regions::new(regions)))
}

/// The first write of a start, which also reads what has to be known before anything is served: one
/// connection is enough for it.
struct Begin {
    seed: ApplySeed,
    /// Whether the database was just made: then there is nothing of an earlier run.
    is_new: bool,
}

/// What the database holds at the start.
struct Found {
    file_prefix: String,
    signing_key: Vec<u8>,
    earlier: Earlier,
}

/// What an earlier run left.
#[derive(Default)]
struct Earlier {
    tokens: Vec<StoredToken>,
    users: StoredUsers,
    /// Whether there are manifests that an earlier version stored without describing them.
    has_undescribed: bool,
    pending: Pending,
}

/// What an earlier run left to do.
#[derive(Default)]
struct Pending {
    /// Firings, or rollouts.
    has_open: bool,
    has_jobs: bool,
}

impl Write for Begin {
    type Output = Found;
    const INVALIDATES_NAMES: bool = true;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Found, Error> {
        self.seed.run(&mut *transaction).await?;
        Ok(Found {
            file_prefix: image::store::file_prefix(&mut *transaction).await?,
            signing_key: token::store::signing_key(&mut *transaction).await?,
            earlier: if self.is_new {
                Earlier::default()
            } else {
                Earlier::find(transaction).await?
            },
        })
    }
}

impl Earlier {
    async fn find(transaction: &mut SqliteConnection) -> Result<Self, Error> {
        Ok(Self {
            tokens: auth::find_tokens(&mut *transaction).await?,
            users: StoredUsers::list(&mut *transaction).await?,
            has_undescribed: image::store::has_undescribed(&mut *transaction).await?,
            pending: Pending {
                has_open: engine::store::has_open(&mut *transaction).await?,
                has_jobs: sync::store::find_open(transaction).await?.is_some(),
            },
        })
    }
}

/// The state of each region, in the order of `regions`; there is one at least.
async fn prepare(
    config: &Config,
    regions: Regions,
    db: Arc<Db>,
    folder: &DataFolder,
    directory: Directory,
    origin: Origin,
    operations: Arc<[Operation]>,
) -> Result<(Vec<AppState>, Pending), StartError> {
    let clock = Clock::default();
    let spool = Spool::of(folder.path());
    let seed = Arc::clone(&origin.seed);
    let real_clusters = seed.real_clusters();
    let regions = Arc::new(regions);
    let unwritable = |error| FolderError::Unwritable(folder.path().to_owned(), error);
    // Before the write, which brings them to disk along with its own.
    let folders = Folders::make(folder.path()).map_err(unwritable)?;
    if let Some(snapshot) = &origin.snapshot {
        let prefix = image::store::file_prefix(db.lookups()).await;
        let prefix = prefix.map_err(StartError::Prepare)?;
        let files = Files::open(folders.clone(), &prefix).map_err(unwritable)?;
        let restored = snapshot.restore(&db, &files, &regions).await;
        restored.map_err(StartError::Prepare)?;
    } else if !db.is_new() {
        spool.clear().map_err(unwritable)?;
    }
    // Whether there is nothing of an earlier run.
    let is_new = db.is_new() && origin.snapshot.is_none();
    let begin = Begin {
        seed: ApplySeed {
            seed,
            registry: regions.seed_registry().to_owned(),
            now: clock.now(),
        },
        is_new,
    };
    // The first request finds a connection, which opens while the disk is waited for.
    let begun = async { tokio::try_join!(db.write(begin), db.lookups().open_first()) };
    let (found, ()) = begun.await.map_err(StartError::Prepare)?;
    folder.sync()?;
    let files = Files::open(folders, &found.file_prefix).map_err(unwritable)?;
    if !is_new {
        files.make_private();
    }
    let earlier = found.earlier;
    if earlier.has_undescribed {
        let described = image::describe_stored(&db).await;
        described.map_err(StartError::Prepare)?;
    }
    if !is_new {
        earlier.users.adopt(&directory.turn().await);
    }
    let tokens = Arc::new(Tokens::restore(earlier.tokens, &directory));
    let directory = Arc::new(directory);
    let registry = Arc::new(RegistryState {
        files: Arc::new(files),
        key: SigningKey::new(&found.signing_key),
        downloads: Downloads::new(Arc::clone(&db)),
    });
    let matcher = Matcher::default();
    let events = Arc::<Events>::default();
    let engine = Engine::new(
        Arc::clone(&db),
        clock.clone(),
        Arc::clone(&regions),
        real_clusters,
        config.deploy_timeout(),
        config.require_agency,
        Arc::clone(&events),
    );
    let world = Arc::new(World::new(origin));
    let spool = Arc::new(spool);
    let passwords = Arc::default();
    let faults = Arc::new(Faults::told_to(Arc::clone(&events)));
    let requests = Arc::new(Requests::told_to(Arc::clone(&events)));
    let (stop, wanted) = (Arc::default(), Arc::default());
    let waits = Arc::new(Semaphore::new(MAX_WAITS));
    let bodies = Arc::default();
    let apps = regions.iter().map(|region| {
        Arc::new(App {
            region: region.name.clone(),
            registry_host: region.registry_host.clone(),
            regions: Arc::clone(&regions),
            quota_namespaces: config.quota_namespaces,
            auth: config.auth,
            control_token: config.control_token.clone(),
            lookup: Lookup::new(Arc::clone(&db), region.name.clone()),
            db: Arc::clone(&db),
            directory: Arc::clone(&directory),
            passwords: Arc::clone(&passwords),
            tokens: Arc::clone(&tokens),
            clock: clock.clone(),
            seed_file: config.seed_file().map(Path::to_owned),
            world: Arc::clone(&world),
            spool: Arc::clone(&spool),
            max_snapshot: config.max_snapshot_bytes(),
            registry: Arc::clone(&registry),
            matcher: matcher.clone(),
            engine: Arc::clone(&engine),
            strict_targets: config.strict_targets,
            hints: config.hints.then(Arc::default),
            registry_names: region.registry_names.clone(),
            operations: Arc::clone(&operations),
            request_ids: RequestIds::default(),
            faults: Arc::clone(&faults),
            requests: Arc::clone(&requests),
            record_bodies: config.record_bodies,
            events: Arc::clone(&events),
            answers: Answers::new(config.answer_cache_bytes()),
            stop: Arc::clone(&stop),
            wanted: Arc::clone(&wanted),
            waits: Arc::clone(&waits),
            bodies: Arc::clone(&bodies),
        })
    });
    Ok((apps.collect(), earlier.pending))
}
