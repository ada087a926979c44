//! What the tests of this folder share: two repositories, blobs and manifests.

use super::super::Digest;
use super::super::manifest::{ArtifactDescription, Manifest, MediaType};
use super::{LinkUploaded, PutManifest};
use crate::clock::Clock;
use crate::db::testing::TestDb;
use crate::engine::Verdicts;
use crate::tag::TagName;

pub(crate) const NOW: i64 = 1_000_000;

/// A database, and the numbers of its two repositories.
pub(crate) async fn seeded() -> (TestDb, i64, i64) {
    let seed = "organizations: [{name: g, repositories: [{name: a}, {name: b}]}]";
    (TestDb::seeded(seed).await, 1, 2)
}

pub(crate) fn uploaded(repository_id: i64, content: &str, file: &str) -> LinkUploaded {
    LinkUploaded {
        repository_id,
        digest: Digest::of(content.as_bytes()),
        file: file.to_owned(),
        size: content.len() as u64,
        now: NOW,
    }
}

pub(crate) fn manifest(repository_id: i64, blobs: &[&str], tag: Option<&str>) -> PutManifest {
    let content = format!("{blobs:?}").into_bytes();
    PutManifest {
        repository_id,
        manifest: Manifest {
            media_type: MediaType::OciManifest,
            config: None,
            blobs: blobs
                .iter()
                .map(|blob| Digest::of(blob.as_bytes()))
                .collect(),
            foreign: Vec::new(),
            manifests: Vec::new(),
            parts: Vec::new(),
            subject: None,
            description: ArtifactDescription::default(),
        },
        digest: Digest::of(&content),
        content,
        tag: tag.map(|tag| (TagName::parse(tag).expect("a tag"), Verdicts::default())),
        pushed_by: crate::push::PushedBy::user("u"),
        now: Clock::default().now(),
    }
}
