//! Manifests: one that is accepted names nothing but valid digests, each once, what it is
//! decides which, and all of it can be read.
//!
//! The input is the content type (none where it is empty), a line feed and the manifest.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use swr_emulator::internal::{Digest, Manifest, MediaType};

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (content_type, content) = input.split_at(end);
    let Ok(content_type) = std::str::from_utf8(content_type) else {
        return;
    };
    let content_type = Some(content_type).filter(|text| !text.is_empty());
    let Ok(manifest) = Manifest::parse(content, content_type) else {
        return;
    };

    let Manifest {
        media_type,
        config,
        blobs,
        foreign,
        manifests,
        subject,
        ..
    } = &manifest;
    assert_eq!(MediaType::parse(media_type.as_str()), Some(*media_type));
    let text = std::str::from_utf8(content).expect("UTF-8");
    let whole = serde_json::from_str::<Value>(text);
    assert!(whole.is_ok(), "{whole:?}");
    for digest in [blobs, foreign, manifests]
        .into_iter()
        .flatten()
        .chain(config)
        .chain(subject)
    {
        assert_eq!(Digest::parse(digest.as_str()).ok().as_ref(), Some(digest));
        assert!(
            text.contains(digest.hex()) || text.contains('\\'),
            "{digest} is not in it"
        );
    }
    for digests in [blobs, foreign, manifests] {
        let mut distinct = digests.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), digests.len(), "{digests:?}");
    }
    if media_type.is_index() {
        assert!(config.is_none() && blobs.is_empty());
    } else {
        assert!(config.as_ref().is_some_and(|config| blobs.contains(config)));
        assert!(manifests.is_empty());
    }
});
