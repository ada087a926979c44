//! What the tests of files and uploads share.

use futures_util::{StreamExt, stream};

use super::*;
use crate::image::{ImagePath, Lots};

pub(crate) const PREFIX: &str = "swr-test-";

pub(crate) fn files() -> (tempfile::TempDir, Files) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = files_in(folder.path());
    (folder, files)
}

pub(crate) fn files_in(data: &Path) -> Files {
    let folders = Folders::make(data).expect("made");
    Files::open(folders, PREFIX).expect("opened")
}

pub(crate) fn session(files: &Files) -> Arc<Session> {
    let path = ImagePath::parse("g/a").expect("a legal name");
    files.start(path).expect("started").1
}

/// As long as this lives, nobody else writes.
pub(crate) async fn all_turns(files: &Files) -> tokio::sync::SemaphorePermit<'_> {
    let turns = u32::try_from(MOST_WRITING).expect("a few");
    files.writing.acquire_many(turns).await.expect("open")
}

/// How many files are in a folder.
pub(crate) fn left(folder: &tempfile::TempDir, name: &str) -> usize {
    std::fs::read_dir(folder.path().join(name))
        .expect("there")
        .count()
}

/// A body that is one lot.
pub(crate) fn body(content: &'static str) -> Lots {
    stream::iter([Ok(vec![Bytes::from_static(content.as_bytes())])]).boxed()
}
