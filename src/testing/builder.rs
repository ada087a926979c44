//! Settings of an instance for a test.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Config, DEFAULT_WAIT, SeedSource};
use crate::emulator::{Emulator, StartError};

/// Prepares an instance for a test: on a free port of 127.0.0.1, with its data in a temporary
/// folder, unless something else is said.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    listen: SocketAddr,
    /// Where the data stays; none for a temporary folder.
    data_dir: Option<PathBuf>,
    seed: Option<String>,
    region: Option<String>,
    patience: Duration,
    config: Config,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data_dir: None,
            seed: None,
            region: None,
            patience: DEFAULT_WAIT,
            config: Config::default(),
        }
    }
}

impl Builder {
    /// The text of a seed file, YAML or JSON. A file is part of a test by `include_str!`.
    pub fn seed(mut self, seed: impl Into<String>) -> Self {
        self.seed = Some(seed.into());
        self
    }

    /// Keeps the data in a temporary folder, which goes with the instance. This is the default.
    pub fn ephemeral(mut self) -> Self {
        self.data_dir = None;
        self
    }

    /// Keeps the data in this folder, which stays.
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(folder.into());
        self
    }

    /// Where to listen. Port 0, which is the default, takes a free one.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// The region to emulate.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// How long waits and assertions wait; 10 seconds by default.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// All other settings. Its address and data folder do not count, so that what is left at its
    /// default collides with nothing; a seed or region that the builder has wins.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Starts the instance; once this returns, it serves.
    pub async fn start(self) -> Result<Emulator, StartError> {
        let Self {
            listen,
            data_dir,
            seed,
            region,
            patience,
            mut config,
        } = self;
        config.listen = listen;
        config.ephemeral = data_dir.is_none();
        config.data_dir = data_dir.unwrap_or_default();
        if let Some(seed) = seed {
            config.seed = Some(SeedSource::Text(seed));
        }
        if let Some(region) = region {
            config.region = region;
        }
        let mut emulator = Emulator::start(&config).await?;
        emulator.patience = patience;
        Ok(emulator)
    }
}
