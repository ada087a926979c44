//! The file of an upload.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use sha2::{Digest as _, Sha256, Sha512};
use tokio::sync::Semaphore;

use super::{Lots, Range, blocking};
use crate::data_folder::private_file;
use crate::error::Error;
use crate::image::digest::Digest;
use crate::image::error::ImageError;

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

impl Upload {
    /// One that will be in this file.
    pub(in crate::image) fn new(path: PathBuf) -> Self {
        Self {
            path,
            size: 0,
            hash: Sha256::new(),
            is_finished: false,
        }
    }

    /// How many bytes it has.
    pub(in crate::image) fn size(&self) -> u64 {
        self.size
    }

    /// The outer error is for an upload that is lost.
    pub(super) async fn append(
        mut self,
        mut lots: Lots,
        range: Option<Range>,
        turns: &Arc<Semaphore>,
    ) -> Result<(Self, Result<(), ImageError>), ImageError> {
        if let Some(range) = range
            && range.first != self.size
        {
            let out_of_order = ImageError::OutOfOrder {
                size: self.size,
                first: range.first,
            };
            return Ok((self, Err(out_of_order)));
        }
        let (start, hash) = (self.size, self.hash.clone());
        let mut next = lots.try_next().await;
        let mut outcome = loop {
            let lot = match next {
                Ok(Some(lot)) => lot,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            // The next lot arrives while this one is written.
            let (gathered, written) = tokio::join!(lots.try_next(), self.write(lot, turns));
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
            outcome = Err(ImageError::OtherLength {
                announced: range.length,
                brought: self.size - start,
            });
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
    ) -> Result<(Self, io::Result<()>), ImageError> {
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
    pub(in crate::image) fn write_now(&mut self, pieces: &[Bytes]) -> io::Result<()> {
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
    async fn cut_back(mut self, size: u64, hash: Sha256) -> Result<Self, ImageError> {
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
    pub(in crate::image) fn finish(
        mut self,
        digest: &Digest,
        place: &Path,
    ) -> Result<(), ImageError> {
        let file = self.open()?;
        let actual = self.digest(digest)?;
        if actual != *digest {
            let reason = format!("the content has the digest {actual}, not {digest}");
            return Err(ImageError::DigestInvalid(reason));
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
