//! The SQL of images, a file for each subject. `links` is which repository has which blob,
//! `blob_files` the files that blobs are in; `put` stores a manifest, `manifests` finds and removes
//! them, `parts` are those of an index, `referrers` the manifests about another one; `describe`
//! catches up with an earlier version, `garbage` removes blobs that nothing uses.

mod blob_files;
mod describe;
mod garbage;
mod links;
mod manifests;
mod parts;
mod put;
mod referrers;
#[cfg(test)]
mod testing;

pub use blob_files::{
    BlobFile, MarkBlobs, SweepFiles, file_prefix, find_file, list_blob_files, list_unnamed,
};
pub use describe::{DescribeStored, Described, MeasureStored, has_undescribed};
pub use garbage::CollectGarbage;
pub use links::{Blob, LinkFrom, LinkUploaded, UnlinkBlob, find_blob};
pub use manifests::{DeleteManifest, find_content_slice, find_manifest, list_contents};
pub(super) use parts::WITH_PARTS;
pub use put::{PutManifest, PutOutcome};
pub use referrers::{Referrer, list_referrers};

use super::Digest;
use crate::error::{Error, Result};

/// Digests as a JSON array.
fn json(digests: &[Digest]) -> Result<String> {
    let digests: Vec<_> = digests.iter().map(Digest::as_str).collect();
    serde_json::to_string(&digests).map_err(Error::internal)
}
