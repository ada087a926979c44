//! What a request finds when it arrives: everything that belongs to one listener of an instance.

use std::sync::Arc;

use crate::auth::{self, Directory, Tokens};
use crate::clock::Clock;
use crate::db::Db;
use crate::lookup::Lookup;
use crate::seed::Seed;

/// The state that handlers share.
pub type AppState = Arc<App>;

/// One address of an instance. A request belongs to the region of the address it came to.
#[derive(Debug)]
pub struct App {
    /// The region.
    pub region: String,
    /// The registry's first name, `host[:port]`, as `path` shows it.
    pub registry_host: String,
    /// How many organizations an account may have in a region.
    pub quota_namespaces: u32,
    /// How strictly credentials are checked.
    pub auth: auth::Mode,
    /// The database.
    pub db: Arc<Db>,
    /// What names refer to.
    pub lookup: Lookup,
    /// Accounts and users.
    pub directory: Directory,
    /// Tokens that IAM issued.
    pub tokens: Tokens,
    /// The time.
    pub clock: Clock,
    /// What the instance started with, and goes back to.
    pub seed: Arc<Seed>,
}
