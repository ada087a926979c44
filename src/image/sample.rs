//! A small real image, for tests that need a push and have no image: one layer with one file,
//! whose content is a nonce. The same nonce makes the same image.

use bytes::Bytes;
use serde_json::json;

use super::digest::Digest;
use super::manifest::MediaType;
use crate::error::{Error, Result};

/// The parts of an image.
#[derive(Debug)]
pub struct SampleImage {
    /// An uncompressed tar archive.
    pub layer: Bytes,
    /// The image's configuration.
    pub config: Bytes,
    /// The manifest that names both.
    pub manifest: Bytes,
}

impl SampleImage {
    /// The image of a nonce.
    pub fn new(nonce: &str) -> Result<Self> {
        let mut header = tar::Header::new_ustar();
        header.set_size(nonce.len() as u64);
        header.set_mode(0o644);
        let mut archive = tar::Builder::new(Vec::new());
        let layer = archive
            .append_data(&mut header, "nonce", nonce.as_bytes())
            .and_then(|()| archive.into_inner())
            .map_err(Error::internal)?;
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer).as_str()]},
        })
        .to_string();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OciManifest.as_str(),
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": Digest::of(config.as_bytes()).as_str(),
                "size": config.len(),
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": Digest::of(&layer).as_str(),
                "size": layer.len(),
            }],
        })
        .to_string();
        Ok(Self {
            layer: layer.into(),
            config: config.into(),
            manifest: manifest.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_follows_from_the_nonce() {
        let manifest = |nonce| SampleImage::new(nonce).expect("made").manifest;
        assert_eq!(manifest("a"), manifest("a"));
        assert_ne!(manifest("a"), manifest("b"));
    }
}
