//! The files of blobs, and uploads on their way to become one.
//!
//! Content is hashed while it streams to a file under a temporary name; never is a layer held in
//! memory. A finished file is synced, renamed into its folder, and the folder is synced; only then
//! does the database learn its name. Which files are in use is said by the database alone.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use sha2::{Digest as _, Sha256, Sha512};
use tokio::sync::mpsc;

use super::error::RegistryError;
use super::reference::{Digest, ImagePath};
use crate::error::Error;

/// How long a client may leave an upload alone, within a request and between two.
const IDLE_IN_REQUEST: Duration = Duration::from_mins(1);
const IDLE_BETWEEN: Duration = Duration::from_hours(1);
/// Pieces of a body that wait for the disk.
const WAITING_PIECES: usize = 8;
/// Uploads under way at once.
const MOST_UPLOADS: usize = 10_000;

/// The folders of an instance that hold blobs and uploads.
#[derive(Debug)]
pub struct Files {
    blobs: PathBuf,
    uploads: PathBuf,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
}

/// An upload between its requests.
#[derive(Debug)]
pub struct Session {
    /// The repository it is for.
    pub path: ImagePath,
    /// None while a request works on it, and after the last one.
    upload: tokio::sync::Mutex<Option<Upload>>,
    touched: Mutex<Instant>,
}

/// A file that grows. It is open only while something is written: thousands of uploads may wait
/// for their next piece.
#[derive(Debug)]
pub struct Upload {
    path: PathBuf,
    size: u64,
    hash: Sha256,
    is_finished: bool,
}

/// What is not finished leaves nothing behind.
impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_finished {
            drop(std::fs::remove_file(&self.path));
        }
    }
}

/// A finished file that the database does not know yet.
#[derive(Debug)]
pub struct Stored {
    /// The file's name.
    pub file: String,
    /// How many bytes it has.
    pub size: u64,
}

impl Files {
    /// Makes the folders. Uploads of an earlier run are removed: clients start those again. What
    /// else somebody keeps in the folders is left alone.
    pub fn open(data: &Path) -> io::Result<Self> {
        let files = Self {
            blobs: data.join("blobs"),
            uploads: data.join("uploads"),
            sessions: Mutex::default(),
        };
        std::fs::create_dir_all(&files.blobs)?;
        std::fs::create_dir_all(&files.uploads)?;
        for name in own_files(&files.uploads)? {
            std::fs::remove_file(files.uploads.join(name))?;
        }
        Ok(files)
    }

    /// Starts an upload; its id.
    pub fn start(&self, path: ImagePath) -> Result<String, RegistryError> {
        let upload = self.create()?;
        let id = random_name()?;
        let session = Session {
            path,
            upload: tokio::sync::Mutex::new(Some(upload)),
            touched: Mutex::new(Instant::now()),
        };
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MOST_UPLOADS {
            let reason = format!("more than {MOST_UPLOADS} uploads are under way");
            return Err(RegistryError::Denied(reason));
        }
        sessions.insert(id.clone(), Arc::new(session));
        Ok(id)
    }

    fn create(&self) -> Result<Upload, RegistryError> {
        Ok(Upload {
            path: self.uploads.join(random_name()?),
            size: 0,
            hash: Sha256::new(),
            is_finished: false,
        })
    }

    /// The upload with this id, if it is for this repository.
    pub fn session(&self, path: &ImagePath, id: &str) -> Result<Arc<Session>, RegistryError> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get(id).filter(|session| session.path == *path);
        let session = session.ok_or(RegistryError::UploadUnknown)?;
        *session
            .touched
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Ok(Arc::clone(session))
    }

    /// Ends an upload, whatever became of it.
    pub fn forget(&self, id: &str) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(id);
    }

    /// Ends the uploads that their clients left alone.
    pub fn forget_idle(&self) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| {
            let touched = session
                .touched
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            touched.elapsed() < IDLE_BETWEEN
        });
    }

    /// Ends all uploads.
    pub fn forget_all(&self) {
        self.sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Puts a finished upload among the blobs, if it has this digest: synced file, new name,
    /// synced folder.
    pub async fn finish(
        &self,
        mut upload: Upload,
        digest: &Digest,
    ) -> Result<Stored, RegistryError> {
        let name = random_name()?;
        let (blobs, digest) = (self.blobs.clone(), digest.clone());
        blocking(move || {
            let actual = upload.digest(&digest)?;
            if actual != digest {
                let reason = format!("the content has the digest {actual}, not {digest}");
                return Err(RegistryError::DigestInvalid(reason));
            }
            upload.open()?.sync_all()?;
            std::fs::rename(&upload.path, blobs.join(&name))?;
            upload.is_finished = true;
            File::open(&blobs)?.sync_all()?;
            Ok(Stored {
                file: name,
                size: upload.size,
            })
        })
        .await
    }

    /// Stores content that is at hand.
    pub async fn store(&self, content: Bytes) -> Result<Stored, RegistryError> {
        let mut upload = self.create()?;
        let digest = Digest::of(&content);
        upload.write(&mut upload.open()?, &content)?;
        self.finish(upload, &digest).await
    }

    /// Opens a blob's file; none when it is gone.
    pub async fn read(&self, file: &str) -> io::Result<Option<tokio::fs::File>> {
        match tokio::fs::File::open(self.blobs.join(file)).await {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes files whose rows are gone. Whoever reads one goes on reading.
    pub async fn remove(&self, files: Vec<String>) {
        let blobs = self.blobs.clone();
        let removed = tokio::task::spawn_blocking(move || {
            for file in files {
                // What stays is swept at the next start.
                drop(std::fs::remove_file(blobs.join(file)));
            }
        });
        drop(removed.await);
    }

    /// The names of all files of ours among the blobs.
    pub fn names(&self) -> io::Result<HashSet<String>> {
        own_files(&self.blobs)
    }
}

/// The files in a folder whose names are like those of [`random_name`].
fn own_files(folder: &Path) -> io::Result<HashSet<String>> {
    let mut names = HashSet::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_ours = name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_ours && entry.file_type()?.is_file() {
            names.insert(name);
        }
    }
    Ok(names)
}

impl Session {
    /// How many bytes have arrived.
    pub async fn size(&self) -> Result<u64, RegistryError> {
        let upload = self.upload.lock().await;
        upload
            .as_ref()
            .map(|upload| upload.size)
            .ok_or(RegistryError::UploadUnknown)
    }

    /// Adds a body, whole or not at all; the size from then on. It goes on when the request that
    /// asked for it is dropped, so that the upload is in a known state for the next one.
    pub async fn append(
        self: &Arc<Self>,
        body: Body,
        range: Option<Range>,
    ) -> Result<u64, RegistryError> {
        let session = Arc::clone(self);
        let appended = tokio::spawn(async move {
            let mut place = session.upload.lock().await;
            let upload = place.take().ok_or(RegistryError::UploadUnknown)?;
            let (upload, outcome) = upload.append(body, range).await?;
            let size = upload.size;
            *place = Some(upload);
            *session
                .touched
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Instant::now();
            outcome.map(|()| size)
        });
        appended.await.map_err(Error::internal)?
    }

    /// Takes the upload out, to finish it.
    pub async fn take(&self) -> Result<Upload, RegistryError> {
        self.upload
            .lock()
            .await
            .take()
            .ok_or(RegistryError::UploadUnknown)
    }
}

/// The bytes that a request says it brings: `Content-Range: {first}-{last}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    first: u64,
    length: u64,
}

impl Range {
    /// Reads the header's value.
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let range = text.trim().trim_start_matches("bytes").trim();
        let range = range.split('/').next().unwrap_or_default();
        range
            .split_once('-')
            .and_then(|(first, last)| {
                let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
                let length = last.checked_sub(first)?.checked_add(1)?;
                Some(Self { first, length })
            })
            .ok_or_else(|| {
                RegistryError::RangeInvalid(format!("Content-Range {text:?} must be first-last"))
            })
    }
}

impl Upload {
    async fn append(
        mut self,
        mut body: Body,
        range: Option<Range>,
    ) -> Result<(Self, Result<(), RegistryError>), RegistryError> {
        if let Some(range) = range
            && range.first != self.size
        {
            let reason = format!(
                "the upload goes on at {}, not at {}",
                self.size, range.first
            );
            return Ok((self, Err(RegistryError::RangeInvalid(reason))));
        }
        let (start, hash) = (self.size, self.hash.clone());
        let (pieces, mut waiting) = mpsc::channel::<Bytes>(WAITING_PIECES);
        let writer = tokio::task::spawn_blocking(move || {
            let mut write = || {
                let mut file = self.open()?;
                while let Some(piece) = waiting.blocking_recv() {
                    self.write(&mut file, &piece)?;
                }
                Ok(())
            };
            let written: io::Result<()> = write();
            (self, written)
        });
        let mut received = Ok(());
        loop {
            match tokio::time::timeout(IDLE_IN_REQUEST, body.frame()).await {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => {
                    let Ok(piece) = frame.into_data() else {
                        continue;
                    };
                    if pieces.send(piece).await.is_err() {
                        break;
                    }
                }
                Ok(Some(Err(error))) => {
                    let reason = format!("the body broke off: {error}");
                    received = Err(RegistryError::UploadInvalid(reason));
                    break;
                }
                Err(_) => {
                    let reason = "the body stopped arriving".to_owned();
                    received = Err(RegistryError::UploadInvalid(reason));
                    break;
                }
            }
        }
        drop(pieces);
        let (mut upload, written) = writer.await.map_err(Error::internal)?;
        let mut outcome = written.map_err(RegistryError::from).and(received);
        if let (Ok(()), Some(range)) = (&outcome, range)
            && upload.size - start != range.length
        {
            let reason = format!(
                "Content-Range names {} bytes, the body has {}",
                range.length,
                upload.size - start
            );
            outcome = Err(RegistryError::SizeInvalid(reason));
        }
        if outcome.is_err() {
            upload.cut_back(start, hash)?;
        }
        Ok((upload, outcome))
    }

    /// Opens the file at its end, making it at the first time.
    fn open(&self) -> io::Result<File> {
        File::options().create(true).append(true).open(&self.path)
    }

    fn write(&mut self, file: &mut File, piece: &[u8]) -> io::Result<()> {
        file.write_all(piece)?;
        self.hash.update(piece);
        self.size += piece.len() as u64;
        Ok(())
    }

    fn cut_back(&mut self, size: u64, hash: Sha256) -> io::Result<()> {
        self.open()?.set_len(size)?;
        self.size = size;
        self.hash = hash;
        Ok(())
    }

    /// The content's digest, in the algorithm of an expected one.
    fn digest(&self, expected: &Digest) -> io::Result<Digest> {
        if !expected.is_sha512() {
            return Ok(Digest::from_sha256(self.hash.clone()));
        }
        // Rarely asked for, so it is not computed on the way.
        let mut hash = HashWriter(Sha512::new());
        io::copy(&mut File::open(&self.path)?, &mut hash)?;
        Ok(Digest::from_sha512(hash.0))
    }
}

struct HashWriter(Sha512);

impl Write for HashWriter {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0.update(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs what waits for the disk where it holds up no other request.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, RegistryError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Error::internal)?
}

/// A name that nobody can guess: 32 hex digits.
fn random_name() -> Result<String, RegistryError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(Error::internal)?;
    Ok(hex::encode(random))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn files() -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = Files::open(folder.path()).expect("made");
        (folder, files)
    }

    fn session(files: &Files) -> Arc<Session> {
        let path = ImagePath::parse("g/a").expect("a legal name");
        let id = files.start(path.clone()).expect("started");
        files.session(&path, &id).expect("there")
    }

    fn left(folder: &tempfile::TempDir, name: &str) -> usize {
        std::fs::read_dir(folder.path().join(name))
            .expect("there")
            .count()
    }

    #[tokio::test]
    async fn pieces_become_a_blob_with_their_digest_in_either_algorithm() {
        for sha512 in [false, true] {
            let (folder, files) = files();
            let session = session(&files);
            assert_eq!(
                session
                    .append(Body::from("one "), None)
                    .await
                    .expect("added"),
                4
            );
            let range = Range::parse("4-7").expect("a range");
            assert_eq!(
                session
                    .append(Body::from("two!"), Some(range))
                    .await
                    .expect("added"),
                8
            );
            let digest = if sha512 {
                Digest::from_sha512(Sha512::new_with_prefix("one two!"))
            } else {
                Digest::of(b"one two!")
            };
            let upload = session.take().await.expect("there");
            let stored = files.finish(upload, &digest).await.expect("stored");
            assert_eq!(stored.size, 8);
            let content = std::fs::read(folder.path().join("blobs").join(&stored.file));
            assert_eq!(content.expect("there"), b"one two!");
            assert_eq!(left(&folder, "uploads"), 0);
        }
    }

    #[tokio::test]
    async fn a_wrong_digest_leaves_nothing() {
        let (folder, files) = files();
        let session = session(&files);
        session
            .append(Body::from("content"), None)
            .await
            .expect("added");
        let upload = session.take().await.expect("there");
        let error = files
            .finish(upload, &Digest::of(b"other"))
            .await
            .expect_err("refused");
        assert!(matches!(error, RegistryError::DigestInvalid(_)));
        assert_eq!((left(&folder, "uploads"), left(&folder, "blobs")), (0, 0));
    }

    #[tokio::test]
    async fn what_does_not_arrive_whole_or_in_order_is_not_added() {
        let (_folder, files) = files();
        let session = session(&files);
        session
            .append(Body::from("start"), None)
            .await
            .expect("added");
        let broken = Body::from_stream(stream::iter([
            Ok(Bytes::from_static(b"half")),
            Err(io::Error::other("cut")),
        ]));
        let error = session.append(broken, None).await.expect_err("refused");
        assert!(matches!(error, RegistryError::UploadInvalid(_)), "{error}");
        let range = |text| Some(Range::parse(text).expect("a range"));
        for (body, first_last, is_out_of_order) in [
            ("late", "6-9", true),
            ("early", "0-4", true),
            ("short", "5-10", false),
        ] {
            let error = session.append(Body::from(body), range(first_last)).await;
            let error = error.expect_err("refused");
            assert_eq!(
                matches!(error, RegistryError::RangeInvalid(_)),
                is_out_of_order
            );
            assert_eq!(session.size().await.expect("there"), 5);
        }
        session
            .append(Body::from(" end"), range("5-8"))
            .await
            .expect("added");
        let upload = session.take().await.expect("there");
        files
            .finish(upload, &Digest::of(b"start end"))
            .await
            .expect("nothing else is in it");
    }

    #[test]
    fn a_content_range_has_a_first_and_a_last_byte_in_order() {
        let check = |text: &str, accepted: bool| {
            assert_eq!(Range::parse(text).is_ok(), accepted, "{text}");
        };
        check("0-0", true);
        check("5-10", true);
        check("bytes 5-10/20", true);
        check("10-5", false);
        check("5", false);
        check("-5", false);
        check("a-b", false);
        check("", false);
        check("0-18446744073709551615", false);
    }

    #[tokio::test]
    async fn what_others_keep_in_the_folders_is_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let theirs = ["uploads/photos/a.jpg", "uploads/b.jpg", "blobs/mine.txt"];
        for file in theirs {
            let file = folder.path().join(file);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            std::fs::write(file, "x").expect("written");
        }
        let files = Files::open(folder.path()).expect("opened");
        assert!(files.names().expect("read").is_empty());
        assert!(theirs.iter().all(|file| folder.path().join(file).exists()));
    }

    #[tokio::test]
    async fn unfinished_uploads_are_gone_at_the_next_start() {
        let (folder, files) = files();
        let session = session(&files);
        session.append(Body::from("x"), None).await.expect("added");
        assert_eq!(left(&folder, "uploads"), 1);
        let _again = Files::open(folder.path()).expect("opened");
        assert_eq!(left(&folder, "uploads"), 0);
    }
}
