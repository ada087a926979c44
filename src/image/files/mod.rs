//! The files of blobs; which uploads are under way is in `sessions`.
//!
//! Content is hashed while it streams to a file under a temporary name; no layer is ever held in
//! memory. A finished file is synced, renamed into its folder, and the folder is synced; only then
//! does the database learn its name. Which files are in use is said by the database alone.

mod sessions;
#[cfg(test)]
pub(crate) mod testing;

pub use sessions::Ending;

use std::collections::{HashMap, HashSet};
use std::fs::{File, ReadDir};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Semaphore;

use super::digest::Digest;
use super::error::ImageError;
use super::upload::{Session, Upload, blocking};
use crate::data_folder::{make_folders, make_private, private_file, sync_folder};
use crate::error::Error;

/// How many uploads write, and how many wait for the disk to end, at once. All blocking work of
/// the process shares its threads, that of pulls included.
const MOST_WRITING: usize = 8;
const MOST_FINISHING: usize = 64;

/// The folders of an instance that hold blobs and uploads.
#[derive(Debug)]
pub struct Files {
    blobs: PathBuf,
    uploads: PathBuf,
    /// How the names of our files begin.
    prefix: String,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    unlinked: Arc<Names>,
    writing: Arc<Semaphore>,
    finishing: Arc<Semaphore>,
}

/// The names of files that the database is about to learn.
#[derive(Debug, Default)]
struct Names(Mutex<HashSet<String>>);

impl Names {
    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock()
    }
}

/// A finished file that the database does not know yet. It goes with this value, unless it is
/// kept; and it is not taken for one that nobody needs as long as this value lives.
#[derive(Debug)]
pub struct Stored {
    name: String,
    size: u64,
    path: PathBuf,
    is_kept: bool,
    unlinked: Arc<Names>,
}

impl Stored {
    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// From now on the database alone says whether the file is in use.
    pub fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if !self.is_kept {
            drop(std::fs::remove_file(&self.path));
        }
        self.unlinked.lock().remove(&self.name);
    }
}

/// A walk through the files of ours among the blobs, in no order.
#[derive(Debug)]
pub struct Walk(ReadDir);

/// The size that the database has of a file.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The file's name.
    pub name: String,
    /// How many bytes it has to have.
    pub size: u64,
}

/// Where blobs and uploads are.
#[derive(Debug, Clone)]
pub struct Folders {
    blobs: PathBuf,
    uploads: PathBuf,
}

impl Folders {
    /// Makes the folders in `data` that are missing. Their names are on disk once `data` is synced.
    pub fn make(data: &Path) -> io::Result<Self> {
        let folders = Self {
            blobs: data.join("blobs"),
            uploads: data.join("uploads"),
        };
        make_folders(&folders.blobs)?;
        make_folders(&folders.uploads)?;
        Ok(folders)
    }
}

impl Files {
    /// Works in these folders. The names of our files begin with `prefix`. Uploads of an earlier run
    /// are removed: clients start those again. What else somebody keeps in the folders is left alone.
    pub fn open(folders: Folders, prefix: &str) -> io::Result<Self> {
        let files = Self {
            blobs: folders.blobs,
            uploads: folders.uploads,
            prefix: prefix.to_owned(),
            sessions: Mutex::default(),
            unlinked: Arc::default(),
            writing: Arc::new(Semaphore::new(MOST_WRITING)),
            finishing: Arc::new(Semaphore::new(MOST_FINISHING)),
        };
        for entry in std::fs::read_dir(&files.uploads)? {
            let entry = entry?;
            if files.name_of_ours(&entry).is_some() {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(files)
    }

    /// Takes the folders from all but the owner, where they are known to be ours: an earlier
    /// version made them with the rights that the system gives.
    pub fn make_private(&self) {
        make_private(&self.blobs);
        make_private(&self.uploads);
    }

    fn create(&self) -> Result<Upload, ImageError> {
        Ok(Upload::new(self.uploads.join(self.new_name()?)))
    }

    fn new_name(&self) -> Result<String, ImageError> {
        Ok(format!("{}{}", self.prefix, random_name()?))
    }

    /// Puts a finished upload among the blobs, if it has this digest: synced file, new name,
    /// synced folder.
    pub async fn finish(&self, upload: Upload, digest: &Digest) -> Result<Stored, ImageError> {
        let digest = digest.clone();
        self.finish_after(move || Ok((upload, digest))).await
    }

    /// Stores content that is at hand.
    pub async fn store(&self, content: Bytes) -> Result<Stored, ImageError> {
        let mut upload = self.create()?;
        self.finish_after(move || {
            let digest = Digest::of(&content);
            upload.write_now(&[content])?;
            Ok((upload, digest))
        })
        .await
    }

    async fn finish_after(
        &self,
        prepare: impl FnOnce() -> Result<(Upload, Digest), ImageError> + Send + 'static,
    ) -> Result<Stored, ImageError> {
        let name = self.new_name()?;
        let path = self.blobs.join(&name);
        let (blobs, unlinked) = (self.blobs.clone(), Arc::clone(&self.unlinked));
        let turn = Arc::clone(&self.finishing).acquire_owned().await;
        let turn = turn.map_err(Error::internal)?;
        blocking(move || {
            let (upload, digest) = prepare()?;
            unlinked.lock().insert(name.clone());
            let stored = Stored {
                name,
                size: upload.size(),
                path,
                is_kept: false,
                unlinked,
            };
            upload.finish(&digest, &stored.path)?;
            sync_folder(&blobs)?;
            drop(turn);
            Ok(stored)
        })
        .await
    }

    /// Brings whole files from elsewhere among the blobs, each under a new name; in the same order.
    pub async fn adopt(&self, paths: Vec<PathBuf>) -> Result<Vec<Stored>, Error> {
        let names = paths.iter().map(|_| self.new_name());
        let names = names
            .collect::<Result<Vec<_>, _>>()
            .map_err(Error::internal)?;
        let (blobs, unlinked) = (self.blobs.clone(), Arc::clone(&self.unlinked));
        let adopt = move || -> io::Result<Vec<Stored>> {
            let mut adopted = Vec::with_capacity(paths.len());
            for (from, name) in paths.into_iter().zip(names) {
                unlinked.lock().insert(name.clone());
                let mut stored = Stored {
                    path: blobs.join(&name),
                    name,
                    size: 0,
                    is_kept: false,
                    unlinked: Arc::clone(&unlinked),
                };
                stored.size = duplicate(&from, &stored.path)?;
                adopted.push(stored);
            }
            sync_folder(&blobs)?;
            Ok(adopted)
        };
        let adopted = tokio::task::spawn_blocking(adopt).await;
        adopted.map_err(Error::internal)?.map_err(Error::internal)
    }

    /// Copies files of blobs into a folder, under their names; returns those that are not there.
    pub async fn lend(&self, files: Vec<String>, folder: &Path) -> Result<Vec<String>, Error> {
        let (blobs, folder) = (self.blobs.clone(), folder.to_owned());
        let lend = move || -> io::Result<Vec<String>> {
            let mut missing = Vec::new();
            for file in files {
                match duplicate(&blobs.join(&file), &folder.join(&file)) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(file),
                    Err(error) => return Err(error),
                }
            }
            Ok(missing)
        };
        let missing = tokio::task::spawn_blocking(lend).await;
        missing.map_err(Error::internal)?.map_err(Error::internal)
    }

    /// Opens a blob's file; none when it is gone or has another size.
    pub async fn read(&self, file: &str, size: u64) -> Result<Option<File>, Error> {
        let path = self.blobs.join(file);
        let opened = tokio::task::spawn_blocking(move || {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let found = file.metadata()?;
            let is_whole = found.is_file() && found.len() == size;
            Ok(Some(file).filter(|_| is_whole))
        });
        opened
            .await
            .map_err(Error::internal)?
            .map_err(Error::internal)
    }

    /// For each file, whether it is there in its size; in the same order.
    pub async fn are_whole(&self, expected: Vec<Expected>) -> Result<Vec<bool>, Error> {
        let blobs = self.blobs.clone();
        let is_whole = move |Expected { name, size }: Expected| {
            let found = std::fs::metadata(blobs.join(name));
            found.is_ok_and(|found| found.is_file() && found.len() == size)
        };
        tokio::task::spawn_blocking(move || expected.into_iter().map(is_whole).collect())
            .await
            .map_err(Error::internal)
    }

    /// Removes files whose rows are gone. Whoever reads one goes on reading.
    pub async fn remove(&self, files: Vec<String>) {
        let blobs = self.blobs.clone();
        let removed = tokio::task::spawn_blocking(move || {
            for file in files {
                // What stays is swept later.
                drop(std::fs::remove_file(blobs.join(file)));
            }
        });
        drop(removed.await);
    }

    /// Goes on with a walk, or begins one: the next names, `most` at once, without those that the
    /// database is about to learn; and the walk, unless that was its end.
    pub async fn walk(
        self: &Arc<Self>,
        walk: Option<Walk>,
        most: usize,
    ) -> Result<(Vec<String>, Option<Walk>), Error> {
        let files = Arc::clone(self);
        let walked = tokio::task::spawn_blocking(move || {
            let Walk(mut entries) = match walk {
                Some(walk) => walk,
                None => Walk(std::fs::read_dir(&files.blobs)?),
            };
            let mut names = Vec::new();
            let mut is_at_end = true;
            for entry in entries.by_ref() {
                names.extend(files.name_of_ours(&entry?));
                if names.len() == most {
                    is_at_end = false;
                    break;
                }
            }
            let unlinked = files.unlinked.lock();
            names.retain(|name| !unlinked.contains(name));
            io::Result::Ok((names, Some(Walk(entries)).filter(|_| !is_at_end)))
        });
        let walked = walked.await.map_err(Error::internal)?;
        walked.map_err(Error::internal)
    }

    /// The name of a file, if we made it.
    fn name_of_ours(&self, entry: &std::fs::DirEntry) -> Option<String> {
        let name = entry.file_name().into_string().ok()?;
        let random = name.strip_prefix(&self.prefix)?;
        let is_ours = random.len() == 32
            && random.bytes().all(|byte| byte.is_ascii_hexdigit())
            && entry.file_type().is_ok_and(|kind| kind.is_file());
        is_ours.then_some(name)
    }
}

/// Gives a file, which nobody changes any more, another name too, or copies it where the file system
/// has no second names; its size.
fn duplicate(from: &Path, to: &Path) -> io::Result<u64> {
    if std::fs::hard_link(from, to).is_ok() {
        return Ok(to.metadata()?.len());
    }
    let mut copy = private_file().create_new(true).write(true).open(to)?;
    let size = io::copy(&mut File::open(from)?, &mut copy)?;
    copy.sync_all()?;
    Ok(size)
}

/// A name that nobody can guess: 32 hex digits.
fn random_name() -> Result<String, ImageError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(Error::internal)?;
    Ok(hex::encode(random))
}

#[cfg(test)]
mod tests {
    use super::testing::{body, files, files_in, left, session};
    use super::*;

    #[tokio::test]
    async fn what_others_keep_in_the_folders_is_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let theirs = ["uploads/photos/a.jpg", "uploads/b.jpg", "blobs/mine.txt"];
        for file in theirs {
            let file = folder.path().join(file);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            std::fs::write(file, "x").expect("written");
        }
        let files = files_in(folder.path());
        drop(files);
        assert!(theirs.iter().all(|file| folder.path().join(file).exists()));
    }

    #[tokio::test]
    async fn unfinished_uploads_are_gone_at_the_next_start() {
        let (folder, files) = files();
        let session = session(&files);
        session.append(body("x"), None).await.expect("added");
        assert_eq!(left(&folder, "uploads"), 1);
        let _again = files_in(folder.path());
        assert_eq!(left(&folder, "uploads"), 0);
    }

    #[tokio::test]
    async fn a_stored_file_goes_unless_it_is_kept() {
        for is_kept in [false, true] {
            let (folder, files) = files();
            let stored = files.store(Bytes::from_static(b"content")).await;
            let mut stored = stored.expect("stored");
            assert_eq!(left(&folder, "blobs"), 1);
            if is_kept {
                stored.keep();
            }
            drop(stored);
            assert_eq!(left(&folder, "blobs"), usize::from(is_kept));
        }
    }
}
