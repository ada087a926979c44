//! Loading: a snapshot is unpacked and checked as a whole, and only then takes the place of what an
//! instance holds. It stays unpacked for as long as resets may go back to it.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;

use tempfile::TempDir;

use super::archive::{ArchiveError, Contents, Unpacked, unpack};
use super::spool::Spool;
use super::store::{self, Restore};
use crate::db::{Db, OpenError};
use crate::error::{Error, Result};
use crate::image::Files;
use crate::region::Regions;

/// Why a snapshot cannot be loaded. Nothing was touched.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its file is not whole, or not one.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What is in it breaks a rule of snapshots.
    #[error("{0}")]
    Broken(String),
}

impl From<std::io::Error> for LoadError {
    fn from(error: std::io::Error) -> Self {
        Self::Archive(error.into())
    }
}

/// A snapshot that was read and checked. Its files go with this value.
#[derive(Debug)]
pub struct Snapshot {
    contents: Contents,
    database: PathBuf,
    blobs: PathBuf,
    _folder: TempDir,
}

impl Snapshot {
    /// Reads an archive of at most so many bytes, and checks all of it. A database of an earlier
    /// version is brought up to date.
    pub async fn read(
        from: impl Read + Send + 'static,
        most: u64,
        spool: &Spool,
    ) -> Result<Self, LoadError> {
        let folder = spool.folder()?;
        let unpack = move || {
            let unpacked = unpack(from, most, folder.path());
            unpacked.map(|unpacked| (folder, unpacked))
        };
        let unpacked = tokio::task::spawn_blocking(unpack).await;
        let (folder, unpacked) = unpacked.map_err(std::io::Error::other)??;
        let Unpacked {
            contents,
            database,
            blobs,
        } = unpacked;
        let broken = |reason: &str| LoadError::Broken(format!("its database {reason}"));
        match Db::open(&database).await {
            Ok(db) => db.close().await,
            Err(OpenError::Newer(..)) => return Err(ArchiveError::Newer(contents.emulator).into()),
            Err(_) => return Err(broken("is not one of an swr-emulator")),
        }
        match store::is_sound(&database).await {
            Ok(true) => {}
            Ok(false) => return Err(broken("is damaged")),
            Err(error) => return Err(broken(&format!("cannot be read: {}", error.chain()))),
        }
        Ok(Self {
            contents,
            database,
            blobs,
            _folder: folder,
        })
    }

    /// What it holds.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Puts it in the place of everything that is in a database but the counters of its numbers: no
    /// number is used twice, so whoever still works on something of before finds it gone. Images of
    /// workloads get the names that the registries have in `regions`, and tokens of the registry
    /// end.
    ///
    /// Returns the files of blobs that no row names any more.
    pub async fn restore(&self, db: &Db, files: &Files, regions: &Regions) -> Result<Vec<String>> {
        let blobs = &self.contents.blobs;
        let paths = blobs.iter().map(|blob| self.blobs.join(&blob.name));
        let mut stored = files.adopt(paths.collect()).await?;
        let names = blobs.iter().map(|blob| blob.name.clone());
        let restore = Restore {
            database: self.database.clone(),
            files: names
                .zip(
                    stored
                        .iter()
                        .map(|stored| (stored.name().to_owned(), stored.size())),
                )
                .collect(),
            images: self.renames(regions),
        };
        for stored in &mut stored {
            // Before the write: a commit that reports a failure may have reached the disk.
            stored.keep();
        }
        db.write(restore).await
    }

    /// The names of registries that another address took the place of, and what replaces each.
    fn renames(&self, regions: &Regions) -> HashMap<String, String> {
        let mut renames = HashMap::new();
        for saved in &self.contents.regions {
            let Some(region) = regions.get(&saved.name) else {
                continue;
            };
            let old = saved.registry_names.iter();
            let old = old.filter(|name| !region.registry_names.contains(name));
            renames.extend(old.map(|name| (name.clone(), region.registry_host.clone())));
        }
        renames
    }
}

/// A refusal for a client, which names the rule.
impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Archive(ArchiveError::TooLarge(most)) => {
                Self::BodyTooLarge(usize::try_from(most).unwrap_or(usize::MAX))
            }
            LoadError::Archive(ArchiveError::Io(error)) => Self::internal(error),
            error => Self::invalid("snapshot", error.to_string()),
        }
    }
}
