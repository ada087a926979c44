//! The folder that holds an instance's data, locked for as long as the instance lives, and how
//! files and folders in it are made: on disk with their names, and for their owner only.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};
use tracing::warn;

/// The database's file name.
const DATABASE: &str = "swr-emulator.db";
/// The file that is locked. It stays when the instance ends; only the lock counts.
const LOCK: &str = "swr-emulator.lock";
/// What the names of temporary folders begin with.
const TEMPORARY: &str = "swr-emulator-";
/// The file that marks a folder as a temporary one, which goes with its instance. The name says
/// nothing: anybody may have a folder of such a name.
const MARKER: &str = "swr-emulator.ephemeral";
/// How often the removal of a folder is tried that is still written to.
const REMOVALS: usize = 10;

/// Why a folder cannot be used. Each text ends in what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder, or the lock in it, cannot be made.
    #[error(
        "cannot write to the data folder {0}: {1}; fix its permissions or choose another --data-dir"
    )]
    Unwritable(PathBuf, #[source] std::io::Error),
    /// Something is in a folder that has to be empty.
    #[error(
        "the data folder {0} is not empty; empty it, choose another --data-dir or start without --from"
    )]
    NotEmpty(PathBuf),
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
    /// The folder, where it is only temporary and goes with this value.
    temporary: Option<TempDir>,
    /// Held until the folder is gone.
    _lock: File,
    /// Whether the lock's file was there before.
    lock_is_old: bool,
    /// Where the folders were made that were missing.
    parents: Vec<PathBuf>,
}

impl DataFolder {
    /// Locks a folder, which is made (mode 0700) if it is missing; see [`Self::sync`].
    ///
    /// The operating system lets go of the lock with the process, however that ends.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let folder = Self::lock(path.to_owned(), None)?;
        // Whoever opens a folder by its name wants to keep it.
        match std::fs::remove_file(path.join(MARKER)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(FolderError::Unwritable(path.to_owned(), error))
            }
            _ => Ok(folder),
        }
    }

    /// Locks a folder that is missing or empty.
    pub fn open_empty(path: &Path) -> Result<Self, FolderError> {
        match std::fs::read_dir(path).map(|mut entries| entries.next()) {
            Ok(Some(_)) => Err(FolderError::NotEmpty(path.to_owned())),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(FolderError::Unwritable(path.to_owned(), error))
            }
            _ => Self::open(path),
        }
    }

    /// Makes a fresh folder that goes with this value, and removes those that instances left behind
    /// which were killed.
    pub fn temporary() -> Result<Self, FolderError> {
        let parent = std::env::temp_dir();
        let folder = Self::temporary_in(&parent)?;
        sweep(&parent, &folder);
        Ok(folder)
    }

    fn temporary_in(parent: &Path) -> Result<Self, FolderError> {
        let folder = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempdir_in(parent);
        let folder = folder.map_err(|error| FolderError::Unwritable(parent.to_owned(), error))?;
        let path = folder.path().to_owned();
        let locked = Self::lock(path.clone(), Some(folder))?;
        // With the lock held, so that nobody ever sees a marked folder that only seems abandoned.
        private_file()
            .create_new(true)
            .write(true)
            .open(path.join(MARKER))
            .map_err(|error| FolderError::Unwritable(path, error))?;
        Ok(locked)
    }

    fn lock(path: PathBuf, temporary: Option<TempDir>) -> Result<Self, FolderError> {
        let unwritable = |error| FolderError::Unwritable(path.clone(), error);
        let parents = make_folders(&path).map_err(unwritable)?;
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
                    temporary,
                    _lock: lock,
                    lock_is_old,
                    parents,
                })
            }
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(path)),
            Err(TryLockError::Error(error)) => Err(unwritable(error)),
        }
    }

    /// Puts on disk which files and folders are in the folder, and the folder's own name where it was
    /// made: what is kept in a folder is there after a loss of power only if the folder is. The start
    /// does it once, before anything is answered, when files have brought most of it to disk.
    pub fn sync(&self) -> Result<(), FolderError> {
        let mut folders = self.parents.iter().chain([&self.path]);
        folders
            .try_for_each(|folder| sync_folder(folder))
            .map_err(|error| FolderError::Unwritable(self.path.clone(), error))
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

    /// Gives a folder back that was missing or empty, whatever is in it by now.
    pub fn leave_empty(self) {
        for entry in std::fs::read_dir(&self.path)
            .into_iter()
            .flatten()
            .flatten()
        {
            let path = entry.path();
            drop(std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path)));
        }
        if !self.parents.is_empty() {
            drop(std::fs::remove_dir(&self.path));
        }
    }

    /// Removes the folder where it is temporary, and unlocks it.
    pub fn close(mut self) -> io::Result<()> {
        match self.temporary.take() {
            Some(folder) => remove_temporary(&folder.keep()),
            None => Ok(()),
        }
    }
}

/// An instance that is dropped may still be at work in its folder: files come and go.
impl Drop for DataFolder {
    fn drop(&mut self) {
        let Some(folder) = self.temporary.take() else {
            return;
        };
        let path = folder.keep();
        for _ in 0..REMOVALS {
            if remove_temporary(&path).is_ok() || std::fs::remove_dir_all(&path).is_ok() {
                return;
            }
        }
    }
}

/// Removes the temporary folders in `parent` that belong to who made `ours`, and that nobody holds
/// locked.
fn sweep(parent: &Path, ours: &DataFolder) {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let names = entries.filter(|entry| {
        let name = entry.file_name();
        name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes())
    });
    for path in names.map(|entry| entry.path()) {
        if let Err(error) = remove_abandoned(&path, &ours.path) {
            warn!(%error, "Could not remove the abandoned folder {}", path.display());
        }
    }
}

/// Removes a folder if it is marked, of the owner of `ours`, and not locked. What goes meanwhile is
/// somebody else's work.
fn remove_abandoned(path: &Path, ours: &Path) -> io::Result<()> {
    let is_abandoned = || -> io::Result<bool> {
        let (lock, marker) = (path.join(LOCK), path.join(MARKER));
        Ok(path.symlink_metadata()?.is_dir()
            && marker.symlink_metadata()?.is_file()
            && lock.symlink_metadata()?.is_file()
            && is_of_same_owner(path, ours)?)
    };
    let remove = || -> io::Result<()> {
        if !is_abandoned()? {
            return Ok(());
        }
        // Never made here: without this file, the folder is another's to make or to remove.
        let lock = OpenOptions::new().write(true).open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Before the lock was ours, another may have swept the folder or opened it to keep it.
        if is_abandoned()? {
            remove_temporary(path)?;
        }
        Ok(())
    };
    match remove() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Removes a folder whose lock is held: marker and lock last, so that the next start goes on where
/// this one is killed.
fn remove_temporary(path: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() == LOCK || entry.file_name() == MARKER {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    std::fs::remove_file(path.join(MARKER))?;
    std::fs::remove_file(path.join(LOCK))?;
    std::fs::remove_dir(path)
}

#[cfg(unix)]
fn is_of_same_owner(one: &Path, other: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(one.symlink_metadata()?.uid() == other.symlink_metadata()?.uid())
}

/// Elsewhere each user has a folder for temporary ones.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
fn is_of_same_owner(_: &Path, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Makes a folder and all above it that are missing; returns the folders that they were made in,
/// which are not synced.
pub(crate) fn make_folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let missing: Vec<_> = path
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
        .collect();
    let mut parents = Vec::with_capacity(missing.len());
    for folder in missing.into_iter().rev() {
        match private_folder().create(folder) {
            // Somebody else made it at the same moment.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            made => made?,
        }
        parents.push(match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        });
    }
    Ok(parents)
}

/// A file that takes its place in one step, once it is whole and on disk. Until then it is beside
/// that place; only its owner may read it.
#[derive(Debug)]
pub struct PlacedFile {
    path: PathBuf,
    folder: PathBuf,
    file: NamedTempFile,
}

impl PlacedFile {
    /// One that will have this path.
    pub fn beside(path: &Path) -> io::Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        Ok(Self {
            path: path.to_owned(),
            folder: folder.to_owned(),
            file: NamedTempFile::new_in(folder)?,
        })
    }

    /// Puts it in its place, on disk with its name.
    pub fn place(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path).map_err(|error| error.error)?;
        sync_folder(&self.folder)
    }
}

impl Write for PlacedFile {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.file.write(piece)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
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
            warn!(
                %error,
                "Could not restrict {} to its owner; other users may be able to read it",
                path.display()
            );
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
        let folder = DataFolder::open(&path).expect("made");
        let above = ["", "a", "a/b"].map(|folder| parent.path().join(folder));
        let above = above.map(|path| path.components().collect::<PathBuf>());
        assert_eq!(folder.parents, above);
        folder.sync().expect("synced");

        // One that is gone is missed.
        std::fs::remove_dir_all(parent.path().join("a")).expect("removed");
        let error = folder.sync().expect_err("refused");
        assert!(matches!(error, FolderError::Unwritable(..)), "{error}");
        drop(folder);

        drop(DataFolder::open(&path).expect("made"));
        let folder = DataFolder::open(&path).expect("found");
        assert!(folder.parents.is_empty());
        folder.sync().expect("synced");
        std::fs::remove_dir_all(&path).expect("removed");
        folder.sync().expect_err("its own names are synced");
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
    fn a_dropped_folder_goes_although_files_still_come() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        for _ in 0..20 {
            let folder = DataFolder::temporary_in(parent.path()).expect("made");
            let path = folder.path().to_owned();
            let blobs = path.join("blobs");
            std::fs::create_dir(&blobs).expect("made");
            let (sender, begun) = std::sync::mpsc::channel();
            let writer = std::thread::spawn(move || {
                // Enough for a removal of any length, and an end where there is none.
                for at in 0..100_000 {
                    if std::fs::write(blobs.join(at.to_string()), "x").is_err() {
                        break;
                    }
                    let _ = sender.send(());
                }
            });
            begun.recv().expect("a file");

            drop(folder);

            writer.join().expect("it ends");
            assert!(!path.exists(), "{}", path.display());
        }
    }

    /// A temporary folder as an instance leaves it that is killed.
    fn abandoned(parent: &Path) -> PathBuf {
        let mut folder = DataFolder::temporary_in(parent).expect("made");
        std::fs::create_dir(folder.path().join("blobs")).expect("made");
        std::fs::write(folder.path().join("blobs/x"), "x").expect("written");
        let temporary = folder.temporary.take();
        temporary.expect("temporary").keep()
    }

    #[test]
    fn only_marked_folders_that_nobody_holds_are_swept() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let parent = parent.path();
        let swept = [abandoned(parent), abandoned(parent)];
        let held = DataFolder::temporary_in(parent).expect("made");
        let named_alike = parent.join("swr-emulator-mine");
        drop(DataFolder::open(&named_alike).expect("made"));
        let taken_over = abandoned(parent);
        drop(DataFolder::open(&taken_over).expect("opened"));
        let without_lock = abandoned(parent);
        std::fs::remove_file(without_lock.join(LOCK)).expect("removed");
        let ours = DataFolder::temporary_in(parent).expect("made");

        sweep(parent, &ours);

        assert!(swept.iter().all(|path| !path.exists()));
        for path in [
            held.path(),
            &named_alike,
            &taken_over,
            &without_lock,
            ours.path(),
        ] {
            assert!(path.is_dir(), "{}", path.display());
        }
        assert!(!without_lock.join(LOCK).exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_sweep_follows_no_link() {
        let outside = tempfile::tempdir().expect("a temporary folder");
        let parent = tempfile::tempdir().expect("a temporary folder");
        let linked = abandoned(outside.path());
        let link = parent.path().join("swr-emulator-link");
        std::os::unix::fs::symlink(&linked, &link).expect("linked");
        let kept = outside.path().join("kept");
        std::fs::create_dir(&kept).expect("made");
        let swept = abandoned(parent.path());
        std::os::unix::fs::symlink(&kept, swept.join("inside")).expect("linked");
        let ours = DataFolder::temporary_in(parent.path()).expect("made");

        sweep(parent.path(), &ours);

        assert!(link.is_symlink() && linked.join("blobs/x").is_file());
        assert!(!swept.exists() && kept.is_dir());
    }

    #[test]
    fn what_a_killed_sweep_left_is_swept_by_the_next() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let half = abandoned(parent.path());
        std::fs::remove_dir_all(half.join("blobs")).expect("removed");
        let ours = DataFolder::temporary_in(parent.path()).expect("made");
        sweep(parent.path(), &ours);
        assert!(!half.exists());
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
