//! Bodies of uploads, gathered into lots: pieces wait beside the network until they are worth a
//! write, or the client pauses.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::http::Pace;
use crate::image::{ImageError, Lots};

/// How much is written at once: so many bytes, in so many pieces of the body.
const LOT: usize = 256 * 1024;
const LOT_PIECES: usize = 64;
/// A piece below this is copied: as it is, it would keep the whole buffer that it came in.
const SMALL_PIECE: usize = 32 * 1024;
/// What has arrived is written when the client pauses this long, so that it takes no memory.
const PAUSE: Duration = Duration::from_millis(100);

/// The lots of a body.
pub(super) fn lots(body: Body) -> Lots {
    let next = async |mut gathering: Gathering| {
        let lot = gathering.next().await?;
        Ok(lot.map(|lot| (lot, gathering)))
    };
    stream::try_unfold(Gathering::of(body), next).boxed()
}

/// A body on its way.
struct Gathering {
    body: Body,
    pace: Pace,
    is_at_end: bool,
}

impl Gathering {
    fn of(body: Body) -> Self {
        Self {
            body,
            pace: Pace::default(),
            is_at_end: false,
        }
    }

    /// The next lot: a full one, or what there is when the client pauses; none at the end.
    async fn next(&mut self) -> Result<Option<Vec<Bytes>>, ImageError> {
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
                    return Err(ImageError::UploadInvalid(reason));
                }
                Err(_) if lot.is_empty() => {
                    let reason = "less than 64 KiB of the body arrived in a minute".to_owned();
                    return Err(ImageError::UploadInvalid(reason));
                }
                Err(_) => break,
            }
        }
        Ok(Some(lot).filter(|lot| !lot.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::image::testing::{all_turns, files, session};

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
        let append = tokio::spawn(async move { session.append(lots(body), None).await });
        // Nothing else is there to run.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(taken.load(Ordering::Relaxed), 2 * LOT);
        drop(turns);
        let size = append.await.expect("ended").expect("added");
        assert_eq!(size, 64 * PIECE as u64);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_ends_its_lots_with_the_reason() {
        let pieces = [
            Ok(Bytes::from_static(b"half")),
            Err(io::Error::other("cut")),
        ];
        let mut lots = lots(Body::from_stream(stream::iter(pieces)));
        let error = lots.next().await.expect("something").expect_err("broken");
        assert!(matches!(error, ImageError::UploadInvalid(_)), "{error}");
        assert_eq!(error.to_string(), "the body was cut short: cut");
    }

    #[tokio::test]
    async fn small_pieces_become_one_lot() {
        let pieces = (0..LOT_PIECES).map(|_| Ok::<_, io::Error>(Bytes::from_static(b"x")));
        let body = Body::from_stream(stream::iter(pieces));
        let all: Vec<_> = lots(body)
            .map(|lot| lot.map(|lot| lot.len()))
            .collect()
            .await;
        let counts: Result<Vec<_>, _> = all.into_iter().collect();
        assert_eq!(counts.expect("whole"), [LOT_PIECES]);
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
        let slow = session(&files).append(lots(trickle(1)), None).await;
        let error = slow.expect_err("too slow");
        assert!(matches!(error, ImageError::UploadInvalid(_)), "{error}");
        let steady = session(&files).append(lots(trickle(40_000)), None).await;
        assert_eq!(steady.expect("fast enough"), 4_000_000);
    }
}
