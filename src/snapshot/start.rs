//! A start from a snapshot. What listens where is asked for before anything is unpacked.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::net::SocketAddr;
use std::path::Path;

use super::archive::{ArchiveError, Contents, SavedRegion, read_contents};
use super::load::{LoadError, Snapshot};
use super::spool::Spool;
use crate::auth::Directory;
use crate::config::{Config, parse_region, parse_registry_host};
use crate::seed::{Seed, SeedRegion, read_accounts};

/// The file of a snapshot, of which only the list of contents was read so far.
#[derive(Debug)]
pub struct Opened {
    file: File,
    contents: Contents,
}

impl Opened {
    /// Opens a file.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let mut file = File::open(path)?;
        let contents = read_contents(BufReader::new(&file))?;
        file.rewind()?;
        Ok(Self { file, contents })
    }

    /// The accounts, and a seed that names them and the regions besides the home region. These
    /// listen beside the home region, on the ports that they had, or on any where it does.
    pub fn world(&self, config: &Config) -> Result<(Directory, Seed), LoadError> {
        let broken = LoadError::Broken;
        let (home, others) = match self.contents.regions.split_first() {
            Some((home, others)) if home.name == config.region => (&home.name, others),
            Some((home, _)) => {
                let region = &home.name;
                let rule = format!("its home region is {region}; start with --region {region}");
                return Err(broken(rule));
            }
            None => return Err(broken("it has no region".to_owned())),
        };
        let regions = others.iter().map(|region| seeded(region, config.listen));
        let regions = regions.collect::<Result<_, _>>().map_err(broken)?;
        let directory = read_accounts(&self.contents.accounts, home)
            .map_err(|error| broken(format!("its accounts: {}", error.in_no_file())))?;
        let seed = Seed {
            regions,
            ..Seed::of_accounts(&directory)
        };
        Ok((directory, seed))
    }

    /// Reads all of it.
    pub async fn read(self, most: u64, spool: &Spool) -> Result<Snapshot, LoadError> {
        let snapshot = Snapshot::read(BufReader::new(self.file), most, spool).await?;
        if *snapshot.contents() == self.contents {
            Ok(snapshot)
        } else {
            Err(ArchiveError::Damaged("snapshot.json".to_owned()).into())
        }
    }
}

fn seeded(region: &SavedRegion, home: SocketAddr) -> Result<SeedRegion, String> {
    let port = match home.port() {
        0 => 0,
        _ => region.port.unwrap_or_default(),
    };
    let registry_host = region.registry_host.as_deref().map(parse_registry_host);
    Ok(SeedRegion {
        name: parse_region(&region.name).map_err(|rule| format!("its region {rule}"))?,
        listen: SocketAddr::new(home.ip(), port),
        registry_host: registry_host
            .transpose()
            .map_err(|rule| format!("the registry of its region {}: {rule}", region.name))?,
    })
}
