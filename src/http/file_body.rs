//! Bodies that no memory holds as a whole: one that goes to a file as it comes in, and one that
//! goes out from a file.

use std::fs::File;
use std::io;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::stream::try_unfold;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::pace::Pace;
use crate::error::{Error, Result};

/// How much is read from a file at once.
const PIECE: usize = 128 * 1024;

/// Writes a body of at most so many bytes to a file. The other side has to send at a [`Pace`].
pub async fn spool(mut body: Body, most: u64, file: File) -> Result<File> {
    let too_large = || Error::BodyTooLarge(usize::try_from(most).unwrap_or(usize::MAX));
    if http_body::Body::size_hint(&body).lower() > most {
        return Err(too_large());
    }
    let mut file = tokio::fs::File::from_std(file);
    let (mut pace, mut size) = (Pace::default(), 0);
    loop {
        let started = Instant::now();
        let arrived = timeout(pace.left(), body.frame()).await;
        pace.waited(started.elapsed());
        let frame = match arrived {
            Err(_) => return Err(Error::BodyTooSlow("did not arrive in time".into())),
            Ok(None) => break,
            Ok(Some(Err(error))) => return Err(Error::invalid("body", error.to_string())),
            Ok(Some(Ok(frame))) => frame,
        };
        let piece = frame.into_data().unwrap_or_default();
        pace.moved(piece.len());
        size += piece.len() as u64;
        if size > most {
            return Err(too_large());
        }
        file.write_all(&piece).await.map_err(Error::internal)?;
    }
    file.flush().await.map_err(Error::internal)?;
    Ok(file.into_std().await)
}

/// The bytes of a file from where it stands, of which there are so many.
pub fn file_body(file: File, size: u64) -> Body {
    let next = async |(mut file, left): (tokio::fs::File, u64)| -> io::Result<_> {
        if left == 0 {
            return Ok(None);
        }
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await?;
        match left.checked_sub(read as u64) {
            Some(left) if read > 0 => Ok(Some((Bytes::from(piece), (file, left)))),
            _ => Err(io::Error::other("the file has another size")),
        }
    };
    let file = tokio::fs::File::from_std(file);
    Body::from_stream(try_unfold((file, size), next))
}
