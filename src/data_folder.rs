//! The folder that holds an instance's data, locked for as long as the instance lives, and how
//! files and folders in it are made: on disk with their names, and for their owner only.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
#[cfg(unix)]
use tracing::warn;

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
    /// Locks a folder, which is made (mode 0700) if it is missing, on disk with its name.
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
        make_folders(&path, sync_folder).map_err(unwritable)?;
        let file = path.join(LOCK);
        let lock_is_old = file.exists();
        let lock = private_file()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&file)
            .map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => {
                make_private(&file);
                Ok(Self {
                    path,
                    lock,
                    lock_is_old,
                    temporary,
                })
            }
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

/// Makes a folder and all above it that are missing. After each, the folder that it was made in is
/// synced: what is kept in a folder is there after a loss of power only if the folder is.
pub(crate) fn make_folders(
    path: &Path,
    mut sync: impl FnMut(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let missing: Vec<_> = path
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
        .collect();
    for folder in missing.into_iter().rev() {
        match private_folder().create(folder) {
            // Somebody else made it at the same moment.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            made => made?,
        }
        match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync(parent)?,
            _ => sync(Path::new("."))?,
        }
    }
    Ok(())
}

/// Puts the names in a folder on disk.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Elsewhere a folder cannot be opened like a file.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// How a file is opened that only its owner may read once it is made.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn private_folder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Takes the rights of all but the owner from a file or folder, which an earlier version made with
/// those that the system gives. Where that is not to be had, things stay as they were.
pub(crate) fn make_private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let Ok(found) = path.symlink_metadata() else {
            return;
        };
        let mut permissions = found.permissions();
        let mode = permissions.mode();
        let private = mode & !0o077;
        if found.is_symlink() || private == mode {
            return;
        }
        permissions.set_mode(private);
        if let Err(error) = std::fs::set_permissions(path, permissions) {
            warn!(%error, "Others may read {}", path.display());
        }
    }
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
    fn each_folder_that_is_made_is_put_on_disk_with_its_name() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let path = parent.path().join("a/b/c");
        let mut synced = Vec::new();
        for _ in 0..2 {
            let sync = |folder: &Path| {
                synced.push((folder.to_owned(), folder.read_dir()?.count()));
                Ok(())
            };
            make_folders(&path, sync).expect("made");
        }
        // Each when its new folder is in it, and nothing when all are there.
        let expected = ["", "a", "a/b"].map(|folder| (parent.path().join(folder), 1));
        assert_eq!(
            synced,
            expected.map(|(path, count)| (path.components().collect(), count))
        );
        assert!(path.is_dir());
    }

    #[cfg(unix)]
    #[test]
    fn the_lock_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().expect("a temporary folder");
        let _folder = DataFolder::open(parent.path()).expect("locked");
        let file = parent.path().join(LOCK);
        let mode = file.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
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
