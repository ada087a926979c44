//! What a request finds when it arrives: everything that belongs to one listener of an instance.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};
use tracing::warn;

use crate::answers::Answers;
use crate::auth::{self, Directory, Tokens};
use crate::clock::Clock;
use crate::db::Db;
use crate::edge::{RequestIds, Requests};
use crate::engine::{Engine, Matcher};
use crate::events::Events;
use crate::faults::Faults;
use crate::http::{BodyBudget, Operation, Stop};
use crate::image::{Files, Pusher};
#[cfg(test)]
use crate::kubernetes::RealClusters;
use crate::lookup::Lookup;
use crate::region::{Region, Regions};
use crate::registry::download::Downloads;
use crate::registry::token::SigningKey;
use crate::snapshot::Spool;
use crate::trigger::Known;
use crate::world::World;

/// The state that handlers share.
pub type AppState = Arc<App>;

/// The operations of a chapter, and their handlers.
pub type Routes = crate::http::Routes<AppState>;

/// One address of an instance. A request belongs to the region of the address it came to.
#[derive(Debug)]
pub struct App {
    pub region: String,
    /// The registry's first name, `host[:port]`, as `path` shows it.
    pub registry_host: String,
    /// All regions of the instance.
    pub regions: Arc<Regions>,
    /// How many organizations an account may have in a region.
    pub quota_namespaces: u32,
    /// How strictly credentials are checked.
    pub auth: auth::Mode,
    /// Lets callers control the instance who may not else.
    pub control_token: Option<auth::Secret>,
    /// The database.
    pub db: Arc<Db>,
    /// What names refer to.
    pub lookup: Lookup,
    /// Accounts and users.
    pub directory: Arc<Directory>,
    /// Checks passwords.
    pub passwords: Arc<auth::PasswordHasher>,
    /// Tokens that IAM issued.
    pub tokens: Arc<Tokens>,
    /// The time.
    pub clock: Clock,
    /// The seed file of the settings.
    pub seed_file: Option<PathBuf>,
    /// What the instance goes back to, and whether it does so now.
    pub world: Arc<World>,
    /// Where snapshots are on their way.
    pub spool: Arc<Spool>,
    /// The most bytes that one may have which is loaded.
    pub max_snapshot: u64,
    /// What the registry keeps outside the database.
    pub registry: Arc<RegistryState>,
    /// Compiled expressions of triggers.
    pub matcher: Matcher,
    /// Fires triggers.
    pub engine: Arc<Engine>,
    /// Whether a new trigger must have something to update.
    pub strict_targets: bool,
    /// What hints for new triggers depend on; none where nobody wants hints.
    pub hints: Option<Arc<Known>>,
    /// All names of the registry in images.
    pub registry_names: Vec<String>,
    /// All operations but those of the registry, in the API reference's order.
    pub operations: Arc<[Operation]>,
    pub request_ids: RequestIds,
    /// What fails on purpose.
    pub faults: Arc<Faults>,
    /// What was asked last.
    pub requests: Arc<Requests>,
    /// Whether that may have bodies.
    pub record_bodies: bool,
    /// What happens.
    pub events: Arc<Events>,
    /// Answers that are ready.
    pub answers: Answers,
    /// The end of the instance.
    pub stop: Arc<Stop>,
    /// Told when a client finds no place for its connection.
    pub wanted: Arc<Notify>,
    /// Places for requests that wait.
    pub waits: Arc<Semaphore>,
    /// Room for bodies that are read as a whole.
    pub bodies: Arc<BodyBudget>,
}

/// How many requests may wait for something at once, so that others find a connection.
pub const MAX_WAITS: usize = 512;

/// What the registry of an instance keeps outside the database.
#[derive(Debug)]
pub struct RegistryState {
    /// The files of blobs, and uploads under way.
    pub files: Arc<Files>,
    /// Signs and checks bearer tokens.
    pub key: SigningKey,
    /// Pulls that are not in the database yet.
    pub downloads: Arc<Downloads>,
}

impl App {
    /// Stores images from inside.
    pub fn pusher(&self) -> Pusher<'_> {
        Pusher {
            db: &self.db,
            files: &self.registry.files,
            matcher: &self.matcher,
            clock: &self.clock,
        }
    }

    /// Warns where everybody who reaches the instance knows the keys of an administrator.
    pub fn warn_of_known_keys(&self) {
        for Region { address, .. } in self.regions.iter() {
            if !address.ip().is_loopback() && self.directory.builtin_admin().is_some() {
                warn!(
                    %address,
                    "Listening beyond this machine with the built-in account, whose keys everyone \
                     knows; remove it with `builtin_account: false` in a seed file"
                );
            }
        }
    }

    /// Finds out who sends a request.
    pub fn authenticator(&self) -> auth::Authenticator<'_> {
        auth::Authenticator {
            mode: self.auth,
            directory: &self.directory,
            tokens: &self.tokens,
            clock: &self.clock,
        }
    }
}

#[cfg(test)]
impl App {
    /// The state of a test that begins with a seed, and the folder that has to live as long.
    pub(crate) async fn seeded(seed: &str) -> (Self, tempfile::TempDir) {
        let crate::db::testing::TestDb {
            db,
            directory,
            folder,
        } = crate::db::testing::TestDb::seeded(seed).await;
        let app = Self::for_tests(db, directory, folder.path()).await;
        (app, folder)
    }

    /// The state of a test, with its files in `folder`.
    pub(crate) async fn for_tests(db: Db, directory: Directory, folder: &std::path::Path) -> Self {
        let db = Arc::new(db);
        let key = crate::registry::token::store::signing_key(db.lookups())
            .await
            .expect("it is there");
        Self {
            region: "r1".to_owned(),
            registry_host: "localhost".to_owned(),
            regions: Arc::default(),
            quota_namespaces: 1,
            auth: auth::Mode::Strict,
            control_token: None,
            lookup: Lookup::new(Arc::clone(&db), "r1".to_owned()),
            db: Arc::clone(&db),
            directory: Arc::new(directory),
            passwords: Arc::default(),
            tokens: Arc::default(),
            clock: Clock::default(),
            seed_file: None,
            world: Arc::default(),
            spool: Arc::default(),
            max_snapshot: 0,
            registry: Arc::new(RegistryState {
                files: Arc::new(crate::image::testing::files_in(folder)),
                key: SigningKey::new(&key),
                downloads: Downloads::new(Arc::clone(&db)),
            }),
            matcher: Matcher::default(),
            engine: Engine::new(
                db,
                Clock::default(),
                Arc::default(),
                RealClusters::default(),
                std::time::Duration::ZERO,
                false,
                Arc::default(),
            ),
            strict_targets: false,
            hints: Some(Arc::default()),
            registry_names: Vec::new(),
            operations: crate::emulator::routes().operations().into(),
            request_ids: RequestIds::default(),
            faults: Arc::default(),
            requests: Arc::default(),
            record_bodies: true,
            events: Arc::default(),
            answers: Answers::new(0),
            stop: Arc::default(),
            wanted: Arc::default(),
            waits: Arc::new(Semaphore::new(MAX_WAITS)),
            bodies: Arc::default(),
        }
    }
}
