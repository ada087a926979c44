//! The folder that holds an instance's data, locked for as long as the instance lives.

use std::fs::{DirBuilder, File, TryLockError};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The database's file name.
const DATABASE: &str = "swr-emulator.db";
/// The file that is locked. It stays when the instance ends; only the lock counts.
const LOCK: &str = "swr-emulator.lock";

/// Why a folder cannot be used. Each text ends in what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder, or the lock in it, cannot be made.
    #[error(
        "cannot write to the data folder {0}: {1}; mend its permissions or choose another --data-dir"
    )]
    Unwritable(PathBuf, #[source] std::io::Error),
    /// Another instance holds the lock.
    #[error(
        "the data folder {0} is in use by another swr-emulator; stop that one or choose another --data-dir"
    )]
    InUse(PathBuf),
}

/// A locked data folder.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    lock: File,
    /// Whether the lock's file was there before.
    lock_is_old: bool,
    /// Removes the folder at the end, where it is only temporary.
    temporary: Option<TempDir>,
}

impl DataFolder {
    /// Locks a folder, which is made (mode 0700) if it is missing.
    ///
    /// The operating system lets go of the lock with the process, however that ends.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        Self::lock(path.to_owned(), None)
    }

    /// Makes a fresh folder that goes with this value.
    pub fn temporary() -> Result<Self, FolderError> {
        let folder = tempfile::Builder::new().prefix("swr-emulator-").tempdir();
        let folder =
            folder.map_err(|error| FolderError::Unwritable(std::env::temp_dir(), error))?;
        Self::lock(folder.path().to_owned(), Some(folder))
    }

    fn lock(path: PathBuf, temporary: Option<TempDir>) -> Result<Self, FolderError> {
        let unwritable = |error| FolderError::Unwritable(path.clone(), error);
        if !path.is_dir() {
            private()
                .recursive(true)
                .create(&path)
                .map_err(unwritable)?;
        }
        let file = path.join(LOCK);
        let lock_is_old = file.exists();
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&file)
            .map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path,
                lock,
                lock_is_old,
                temporary,
            }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(path)),
            Err(TryLockError::Error(error)) => Err(unwritable(error)),
        }
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where its database is.
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Gives the folder back as it was found, because its database is not ours to use.
    pub fn leave_untouched(self) {
        if !self.lock_is_old {
            // Nobody else can hold it: this instance still does.
            drop(std::fs::remove_file(self.path.join(LOCK)));
        }
    }

    /// Unlocks the folder, and removes it where it is temporary.
    pub fn close(self) -> std::io::Result<()> {
        drop(self.lock);
        self.temporary.map_or(Ok(()), TempDir::close)
    }
}

#[cfg(unix)]
fn private() -> DirBuilder {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

#[cfg(not(unix))]
fn private() -> DirBuilder {
    DirBuilder::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_used_by_one_instance_at_a_time() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let path = parent.path().join("a/b");
        let first = DataFolder::open(&path).expect("made");

        let second = DataFolder::open(&path).expect_err("refused");
        assert!(matches!(second, FolderError::InUse(_)), "{second}");

        first.close().expect("closed");
        DataFolder::open(&path).expect("free again");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_is_made_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().expect("a temporary folder");
        let path = parent.path().join("data");
        let _folder = DataFolder::open(&path).expect("made");
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_folder_left_untouched_holds_what_it_held() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(parent.path().join("theirs"), "x").expect("written");
        DataFolder::open(parent.path())
            .expect("locked")
            .leave_untouched();
        let entries: Vec<_> = std::fs::read_dir(parent.path()).expect("there").collect();
        assert_eq!(entries.len(), 1);
    }

    #[test]
    fn a_temporary_folder_goes_with_its_instance() {
        let folder = DataFolder::temporary().expect("made");
        let path = folder.path().to_owned();
        assert!(path.is_dir());
        folder.close().expect("removed");
        assert!(!path.exists());
    }
}
