//! The folder beside the data where snapshots are on their way, and where one stays that resets go
//! back to.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::data_folder::make_folders;

/// The folder's name in the data folder.
const NAME: &str = "snapshots";

/// Where the snapshots of an instance are on their way.
#[derive(Debug, Default)]
pub struct Spool(PathBuf);

impl Spool {
    /// That of a data folder. It is made when it is needed.
    pub fn of(data: &Path) -> Self {
        Self(data.join(NAME))
    }

    /// Removes what an earlier run left.
    pub fn clear(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// A fresh file in it, which has no name any more and goes with the value.
    pub fn file(&self) -> io::Result<File> {
        make_folders(&self.0)?;
        tempfile::tempfile_in(&self.0)
    }

    /// A fresh folder in it, which goes with the value.
    pub fn folder(&self) -> io::Result<TempDir> {
        make_folders(&self.0)?;
        tempfile::tempdir_in(&self.0)
    }
}
