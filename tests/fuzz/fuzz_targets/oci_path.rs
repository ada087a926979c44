//! Paths of the registry: what one is read as is written as that path again, and no name in it
//! leads out of its folder.

#![no_main]

use libfuzzer_sys::fuzz_target;
use swr_emulator::internal::{Digest, ImagePath, Reference, Target};

fuzz_target!(|path: &[u8]| {
    let Ok(path) = std::str::from_utf8(path) else {
        return;
    };
    if let Ok(image) = ImagePath::parse(path) {
        assert_eq!(image.to_string(), path);
    }
    if let Ok(digest) = Digest::parse(path) {
        assert_eq!(digest.to_string(), path);
        assert!(path.ends_with(digest.hex()));
    }
    let Ok(Some(target)) = Target::parse(path) else {
        return;
    };

    let written = match &target {
        Target::Base => String::new(),
        // With and without the slash at its end.
        Target::Uploads(_) if !path.ends_with('/') => {
            let image = target.path().expect("a repository");
            format!("{image}/blobs/uploads")
        }
        Target::Uploads(image) => format!("{image}/blobs/uploads/"),
        Target::Upload(image, id) => format!("{image}/blobs/uploads/{id}"),
        Target::Blob(image, digest) => format!("{image}/blobs/{digest}"),
        Target::Manifest(image, Reference::Tag(tag)) => {
            format!("{image}/manifests/{}", tag.as_str())
        }
        Target::Manifest(image, Reference::Digest(digest)) => {
            format!("{image}/manifests/{digest}")
        }
        Target::Tags(image) => format!("{image}/tags/list"),
        Target::Referrers(image, digest) => format!("{image}/referrers/{digest}"),
    };
    assert_eq!(written, path);
    if let Some(image) = target.path() {
        let again = ImagePath::parse(&image.to_string());
        assert_eq!(again.ok().as_ref(), Some(image));
        let mut parts = path.split('/').take(image.to_string().split('/').count());
        assert!(
            parts.all(|part| !["", ".", ".."].contains(&part)),
            "{path:?}"
        );
    }
});
