//! The tests of uploads and their files.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use sha2::{Digest as _, Sha512};

use super::*;
use crate::image::digest::Digest;
use crate::image::files::testing::{body, files, left, session};

#[tokio::test]
async fn pieces_become_a_blob_with_their_digest_in_either_algorithm() {
    for sha512 in [false, true] {
        let (folder, files) = files();
        let session = session(&files);
        assert_eq!(session.append(body("one "), None).await.expect("added"), 4);
        let range = Range::new(4, 7).expect("a range");
        assert_eq!(
            session
                .append(body("two!"), Some(range))
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
    session.append(body("content"), None).await.expect("added");
    let upload = session.take().await.expect("there");
    let error = files
        .finish(upload, &Digest::of(b"other"))
        .await
        .expect_err("refused");
    assert!(matches!(error, ImageError::DigestInvalid(_)));
    assert_eq!((left(&folder, "uploads"), left(&folder, "blobs")), (0, 0));
}

#[tokio::test]
async fn what_does_not_arrive_whole_or_in_order_is_not_added() {
    let (_folder, files) = files();
    let session = session(&files);
    session.append(body("start"), None).await.expect("added");
    let broken = stream::iter([
        Ok(vec![Bytes::from_static(b"half")]),
        Err(ImageError::UploadInvalid("cut".to_owned())),
    ])
    .boxed();
    let error = session.append(broken, None).await.expect_err("refused");
    assert!(matches!(error, ImageError::UploadInvalid(_)), "{error}");
    let range = |first, last| Some(Range::new(first, last).expect("in order"));
    for (content, (first, last), is_out_of_order) in [
        ("late", (6, 9), true),
        ("early", (0, 4), true),
        ("short", (5, 10), false),
    ] {
        let error = session.append(body(content), range(first, last)).await;
        let error = error.expect_err("refused");
        assert_eq!(
            matches!(error, ImageError::OutOfOrder { .. }),
            is_out_of_order
        );
        assert_eq!(session.size().expect("there"), 5);
    }
    session
        .append(body(" end"), range(5, 8))
        .await
        .expect("added");
    let upload = session.take().await.expect("there");
    files
        .finish(upload, &Digest::of(b"start end"))
        .await
        .expect("nothing else is in it");
}

/// A body whose first lot arrives and whose second never does.
fn standing() -> (Lots, tokio::sync::oneshot::Receiver<()>) {
    let (arrived, told) = tokio::sync::oneshot::channel();
    let first = body("first");
    let rest = stream::once(async move {
        let _ = arrived.send(());
        std::future::pending().await
    });
    (first.chain(rest).boxed(), told)
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
            let (lots, arrived) = standing();
            appends.spawn(async move { session.append(lots, None).await });
            arrived.await.expect("the first lot was taken");
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
async fn a_file_that_lost_bytes_on_the_way_becomes_no_blob() {
    for is_cut_back in [false, true] {
        let (folder, files) = files();
        let session = session(&files);
        session.append(body("first "), None).await.expect("added");
        let file = std::fs::read_dir(folder.path().join("uploads")).expect("there");
        let file = file.last().expect("one").expect("an entry").path();
        std::fs::remove_file(file).expect("removed");
        if is_cut_back {
            // What was added is taken back, which must not fill the file up.
            let cut = Err(ImageError::UploadInvalid("cut".to_owned()));
            let broken = stream::iter([cut]).boxed();
            session.append(broken, None).await.expect_err("refused");
        }
        let added = session.append(body("second"), None).await;
        let outcome = match session.take().await {
            Ok(upload) => files.finish(upload, &Digest::of(b"first second")).await,
            Err(error) => Err(error),
        };
        outcome.expect_err("never a blob");
        assert!(added.is_err());
        assert_eq!((left(&folder, "uploads"), left(&folder, "blobs")), (0, 0));
    }
}
