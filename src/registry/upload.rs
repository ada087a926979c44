//! Uploads on their way to become a blob: what arrives, piece by piece, in a file of its own.
//!
//! What waits for a client holds no thread and little memory. Pieces are gathered beside the
//! network, and each lot goes to a short piece of blocking work, which writes and hashes it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use sha2::{Digest as _, Sha256, Sha512};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::error::RegistryError;
use super::reference::{Digest, ImagePath};
use crate::data_folder::private_file;
use crate::error::Error;
use crate::http::Pace;

/// How much is written at once: so many bytes, in so many pieces of the body.
const LOT: usize = 256 * 1024;
const LOT_PIECES: usize = 64;
/// A piece below this is copied: as it is, it would keep the whole buffer that it came in.
const SMALL_PIECE: usize = 32 * 1024;
/// What has arrived is written when the client pauses this long, so that it takes no memory.
const PAUSE: Duration = Duration::from_millis(100);

/// An upload between its requests.
#[derive(Debug)]
pub struct Session {
    /// The repository it is for.
    pub path: ImagePath,
    /// None while a request works on it, and after the last one.
    upload: tokio::sync::Mutex<Option<Upload>>,
    /// How many bytes its finished requests have brought; none once there is nothing to add to.
    size: Mutex<Option<u64>>,
    touched: Mutex<Instant>,
    /// Whoever writes has one of these.
    turns: Arc<Semaphore>,
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

impl Session {
    pub(super) fn new(path: ImagePath, upload: Upload, turns: Arc<Semaphore>) -> Self {
        Self {
            path,
            upload: tokio::sync::Mutex::new(Some(upload)),
            size: Mutex::new(Some(0)),
            touched: Mutex::new(Instant::now()),
            turns,
        }
    }

    /// When a client last did something with it.
    pub(super) fn touched(&self) -> Instant {
        *lock(&self.touched)
    }

    pub(super) fn touch(&self) {
        *lock(&self.touched) = Instant::now();
    }

    /// How many bytes have arrived with requests that are over. It does not wait for one that is
    /// under way.
    pub fn size(&self) -> Result<u64, RegistryError> {
        lock(&self.size).ok_or(RegistryError::UploadUnknown)
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
            let appended = upload.append(body, range, &session.turns).await;
            session.touch();
            let (upload, outcome) = appended.inspect_err(|_| *lock(&session.size) = None)?;
            let size = upload.size;
            *lock(&session.size) = Some(size);
            *place = Some(upload);
            outcome.map(|()| size)
        });
        appended.await.map_err(Error::internal)?
    }

    /// Takes the upload out, to finish it.
    pub async fn take(&self) -> Result<Upload, RegistryError> {
        let upload = self.upload.lock().await.take();
        *lock(&self.size) = None;
        upload.ok_or(RegistryError::UploadUnknown)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// One that will be in this file.
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            size: 0,
            hash: Sha256::new(),
            is_finished: false,
        }
    }

    /// How many bytes it has.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The outer error is for an upload that is lost.
    async fn append(
        mut self,
        body: Body,
        range: Option<Range>,
        turns: &Arc<Semaphore>,
    ) -> Result<(Self, Result<(), RegistryError>), RegistryError> {
        if let Some(range) = range
            && range.first != self.size
        {
            let reason = format!(
                "the upload continues at byte {}, not at byte {}",
                self.size, range.first
            );
            return Ok((self, Err(RegistryError::RangeInvalid(reason))));
        }
        let (start, hash) = (self.size, self.hash.clone());
        let mut lots = Lots::of(body);
        let mut next = lots.next().await;
        let mut outcome = loop {
            let lot = match next {
                Ok(Some(lot)) => lot,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            // The next lot arrives while this one is written.
            let (gathered, written) = tokio::join!(lots.next(), self.write(lot, turns));
            let (upload, written) = written?;
            self = upload;
            if let Err(error) = written {
                break Err(error.into());
            }
            next = gathered;
        };
        if let (Ok(()), Some(range)) = (&outcome, range)
            && self.size - start != range.length
        {
            let reason = format!(
                "Content-Range covers {} bytes, but the body has {}",
                range.length,
                self.size - start
            );
            outcome = Err(RegistryError::SizeInvalid(reason));
        }
        let is_there = self.size > 0;
        if outcome.is_err() && is_there {
            self = self.cut_back(start, hash).await?;
        }
        Ok((self, outcome))
    }

    async fn write(
        mut self,
        lot: Vec<Bytes>,
        turns: &Arc<Semaphore>,
    ) -> Result<(Self, io::Result<()>), RegistryError> {
        let turn = Arc::clone(turns).acquire_owned().await;
        let turn = turn.map_err(Error::internal)?;
        let written = tokio::task::spawn_blocking(move || {
            let written = self.write_now(&lot);
            drop(turn);
            (self, written)
        });
        written.await.map_err(|error| Error::internal(error).into())
    }

    /// Adds pieces to the file; blocks.
    pub(super) fn write_now(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        let mut file = self.open()?;
        for piece in pieces {
            // What is counted is what may have to be taken back.
            self.size += piece.len() as u64;
            file.write_all(piece)?;
            self.hash.update(piece);
        }
        Ok(())
    }

    /// Opens the file at its end, making it at the first time. It has to be as we left it:
    /// whatever took bytes away, the hash of what arrived does not tell.
    fn open(&self) -> io::Result<File> {
        let file = private_file()
            .create(self.size == 0)
            .append(true)
            .open(&self.path)?;
        let length = file.metadata()?.len();
        if length != self.size {
            let reason = format!(
                "the file of an upload has {length} bytes instead of {}",
                self.size
            );
            return Err(io::Error::other(reason));
        }
        Ok(file)
    }

    /// Takes back what was added beyond a size.
    async fn cut_back(mut self, size: u64, hash: Sha256) -> Result<Self, RegistryError> {
        blocking(move || {
            let file = File::options().write(true).open(&self.path)?;
            if file.metadata()?.len() < size {
                let reason = "the file of an upload lost bytes";
                return Err(io::Error::other(reason).into());
            }
            file.set_len(size)?;
            self.size = size;
            self.hash = hash;
            Ok(self)
        })
        .await
    }

    /// Moves the file, once it is whole and on disk, to its place among the blobs, if it has this
    /// digest; blocks.
    pub(super) fn finish(mut self, digest: &Digest, place: &Path) -> Result<(), RegistryError> {
        let file = self.open()?;
        let actual = self.digest(digest)?;
        if actual != *digest {
            let reason = format!("the content has the digest {actual}, not {digest}");
            return Err(RegistryError::DigestInvalid(reason));
        }
        file.sync_all()?;
        std::fs::rename(&self.path, place)?;
        self.is_finished = true;
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

/// A body, gathered into lots that are worth a write.
struct Lots {
    body: Body,
    pace: Pace,
    is_at_end: bool,
}

impl Lots {
    fn of(body: Body) -> Self {
        Self {
            body,
            pace: Pace::default(),
            is_at_end: false,
        }
    }

    /// The next lot: a full one, or what there is when the client pauses; none at the end.
    async fn next(&mut self) -> Result<Option<Vec<Bytes>>, RegistryError> {
        let (mut lot, mut size) = (Vec::new(), 0);
        while size < LOT && lot.len() < LOT_PIECES && !self.is_at_end {
            let patience = if lot.is_empty() {
                self.pace.left()
            } else {
                self.pace.left().min(PAUSE)
            };
            let started = Instant::now();
            let arrived = tokio::time::timeout(patience, self.body.frame()).await;
            self.pace.waited(started.elapsed());
            match arrived {
                Ok(None) => self.is_at_end = true,
                Ok(Some(Ok(frame))) => {
                    let piece = frame.into_data().unwrap_or_default();
                    self.pace.moved(piece.len());
                    size += piece.len();
                    if piece.len() >= SMALL_PIECE {
                        lot.push(piece);
                    } else if !piece.is_empty() {
                        lot.push(Bytes::copy_from_slice(&piece));
                    }
                }
                Ok(Some(Err(error))) => {
                    let reason = format!("the body was cut short: {error}");
                    return Err(RegistryError::UploadInvalid(reason));
                }
                Err(_) if lot.is_empty() => {
                    let reason = "less than 64 KiB of the body arrived in a minute".to_owned();
                    return Err(RegistryError::UploadInvalid(reason));
                }
                Err(_) => break,
            }
        }
        Ok(Some(lot).filter(|lot| !lot.is_empty()))
    }
}

/// Runs what waits for the disk where it holds up no other request.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, RegistryError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Error::internal)?
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::blob::testing::{all_turns, files, left, session};
    use super::*;

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
            assert_eq!(stored.size(), 8);
            let content = std::fs::read(folder.path().join("blobs").join(stored.name()));
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
            assert_eq!(session.size().expect("there"), 5);
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

    /// A body whose first piece arrives and whose second never does.
    fn standing() -> (Body, tokio::sync::oneshot::Receiver<()>) {
        let (arrived, told) = tokio::sync::oneshot::channel();
        let first = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"first"))]);
        let rest = stream::once(async move {
            let _ = arrived.send(());
            std::future::pending().await
        });
        (Body::from_stream(first.chain(rest)), told)
    }

    #[test]
    fn uploads_that_stand_still_hold_no_thread() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let done = runtime.block_on(async {
            let (_folder, files) = files();
            let mut appends = tokio::task::JoinSet::new();
            for _ in 0..50 {
                let session = session(&files);
                let (body, arrived) = standing();
                appends.spawn(async move { session.append(body, None).await });
                arrived.await.expect("the first piece was taken");
            }
            let beside = async {
                let stored = files.store(Bytes::from_static(b"beside")).await;
                let stored = stored.expect("stored");
                let read = files.read(stored.name(), 6).await.expect("readable");
                assert!(read.is_some());
            };
            tokio::time::timeout(Duration::from_secs(5), beside).await
        });
        // Threads that are held would keep a runtime that is dropped in order.
        runtime.shutdown_background();
        done.expect("there is a thread for others");
    }

    #[tokio::test]
    async fn an_upload_that_waits_for_its_turn_to_write_takes_in_two_lots_at_the_most() {
        const PIECE: usize = 64 * 1024;
        let (_folder, files) = files();
        let turns = all_turns(&files).await;
        let taken = Arc::new(AtomicUsize::new(0));
        let body = {
            let taken = Arc::clone(&taken);
            Body::from_stream(stream::iter(0..64).map(move |_| {
                taken.fetch_add(PIECE, Ordering::Relaxed);
                Ok::<_, io::Error>(Bytes::from(vec![7; PIECE]))
            }))
        };
        let session = session(&files);
        let append = tokio::spawn(async move { session.append(body, None).await });
        // Nothing else is there to run.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(taken.load(Ordering::Relaxed), 2 * LOT);
        drop(turns);
        let size = append.await.expect("ended").expect("added");
        assert_eq!(size, 64 * PIECE as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_moves_too_little_in_a_minute_ends() {
        let (_folder, files) = files();
        let trickle = |length: usize| {
            let pieces = stream::iter(0..100).then(move |_| async move {
                tokio::time::sleep(Duration::from_secs(29)).await;
                Ok::<_, io::Error>(Bytes::from(vec![7; length]))
            });
            Body::from_stream(pieces)
        };
        let slow = session(&files).append(trickle(1), None).await;
        let error = slow.expect_err("too slow");
        assert!(matches!(error, RegistryError::UploadInvalid(_)), "{error}");
        let steady = session(&files).append(trickle(40_000), None).await;
        assert_eq!(steady.expect("fast enough"), 4_000_000);
    }

    #[tokio::test]
    async fn a_file_that_lost_bytes_on_the_way_becomes_no_blob() {
        for is_cut_back in [false, true] {
            let (folder, files) = files();
            let session = session(&files);
            session
                .append(Body::from("first "), None)
                .await
                .expect("added");
            let file = std::fs::read_dir(folder.path().join("uploads")).expect("there");
            let file = file.last().expect("one").expect("an entry").path();
            std::fs::remove_file(file).expect("removed");
            if is_cut_back {
                // What was added is taken back, which must not fill the file up.
                let broken =
                    Body::from_stream(stream::iter([Err::<Bytes, _>(io::Error::other("cut"))]));
                session.append(broken, None).await.expect_err("refused");
            }
            let added = session.append(Body::from("second"), None).await;
            let outcome = match session.take().await {
                Ok(upload) => files.finish(upload, &Digest::of(b"first second")).await,
                Err(error) => Err(error),
            };
            outcome.expect_err("never a blob");
            assert!(added.is_err());
            assert_eq!((left(&folder, "uploads"), left(&folder, "blobs")), (0, 0));
        }
    }
}
