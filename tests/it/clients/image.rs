//! Images in OCI layouts, made here so that all of their bytes are known.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::OCI_MANIFEST;

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Blobs by their names, manifests among them, with their sizes.
pub(super) type Blobs = BTreeMap<String, u64>;

/// A folder with an OCI layout in it, whose only tag is `v1`.
pub(super) struct Layout {
    folder: PathBuf,
}

impl Layout {
    /// A folder that has, or will have, a layout.
    pub(super) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Makes one small image.
    pub(super) fn of_image(folder: PathBuf) -> Self {
        let layout = Self::empty(folder);
        let image = layout.add_small_image("amd64");
        layout.tag(image)
    }

    /// Makes an index of two small images for different machines.
    pub(super) fn of_index(folder: PathBuf) -> Self {
        let layout = Self::empty(folder);
        let images = ["amd64", "arm64"].map(|architecture| layout.add_small_image(architecture));
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": images});
        let index = layout.add(INDEX, index.to_string().as_bytes());
        layout.tag(index)
    }

    /// Makes one image whose layer is an archive of a file of random bytes.
    pub(super) fn of_random_file(folder: PathBuf, size: u64) -> Self {
        let layout = Self::empty(folder);
        let path = layout.folder.join("layer");
        let mut archive = tar::Builder::new(File::create(&path).expect("created"));
        let random = File::open("/dev/urandom").expect("the tests run on Unix");
        archive
            .append_data(&mut header(size), "random", random.take(size))
            .and_then(|()| archive.finish())
            .expect("written");
        drop(archive);
        let digest = digest_of(&path);
        let layer = layout.adopt(LAYER, &path);
        let image = layout.add_image("amd64", &layer, &digest);
        layout.tag(image)
    }

    fn empty(folder: PathBuf) -> Self {
        std::fs::create_dir_all(folder.join("blobs/sha256")).expect("created");
        let version = json!({"imageLayoutVersion": "1.0.0"}).to_string();
        std::fs::write(folder.join("oci-layout"), version).expect("written");
        Self { folder }
    }

    /// Where it is, as skopeo takes it.
    pub(super) fn reference(&self) -> String {
        format!("oci:{}:v1", self.folder.display())
    }

    /// The digest of what is tagged.
    pub(super) fn digest(&self) -> String {
        let index = std::fs::read(self.folder.join("index.json")).expect("a layout");
        let index: Value = serde_json::from_slice(&index).expect("JSON");
        let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
        digest.to_owned()
    }

    pub(super) fn blobs(&self) -> Blobs {
        checked_blobs(&self.folder.join("blobs/sha256"))
    }

    /// Adds an image with one file, which says for what machine it is.
    fn add_small_image(&self, architecture: &str) -> Value {
        let text = format!("for {architecture}");
        let mut archive = tar::Builder::new(Vec::new());
        let archive = archive
            .append_data(&mut header(text.len() as u64), "machine", text.as_bytes())
            .and_then(|()| archive.into_inner())
            .expect("written to memory");
        let path = self.folder.join("layer");
        std::fs::write(&path, archive).expect("written");
        let diff_id = digest_of(&path);
        // Clients compress what is not, and then the digests would not be ours.
        let status = Command::new("gzip").args(["-n", "-f"]).arg(&path).status();
        assert!(status.expect("gzip is there").success());
        let layer = self.adopt(&format!("{LAYER}+gzip"), &path.with_extension("gz"));
        self.add_image(architecture, &layer, &diff_id)
    }

    /// Adds an image of one layer, which is there already.
    fn add_image(&self, architecture: &str, layer: &Value, diff_id: &str) -> Value {
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        });
        let config = self.add(CONFIG, config.to_string().as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer],
        });
        let mut descriptor = self.add(OCI_MANIFEST, manifest.to_string().as_bytes());
        descriptor["platform"] = json!({"architecture": architecture, "os": "linux"});
        descriptor
    }

    /// Adds a blob; its descriptor.
    fn add(&self, media_type: &str, content: &[u8]) -> Value {
        let path = self.folder.join("blob");
        std::fs::write(&path, content).expect("written");
        self.adopt(media_type, &path)
    }

    /// Makes a file a blob; its descriptor.
    fn adopt(&self, media_type: &str, path: &Path) -> Value {
        let digest = digest_of(path);
        let size = path.metadata().expect("it is there").len();
        let blob = self.folder.join("blobs").join(digest.replace(':', "/"));
        std::fs::rename(path, blob).expect("renamed");
        json!({"mediaType": media_type, "digest": digest, "size": size})
    }

    /// Tags a manifest.
    fn tag(self, mut descriptor: Value) -> Self {
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
        let index = json!({"schemaVersion": 2, "manifests": [descriptor]}).to_string();
        std::fs::write(self.folder.join("index.json"), index).expect("written");
        self
    }
}

/// The files of a folder whose names are digests. Each has the content that its
/// name promises, so that folders with the same names hold the same bytes.
pub(super) fn checked_blobs(folder: &Path) -> Blobs {
    let mut blobs = Blobs::new();
    for entry in folder.read_dir().expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        // The directory format of skopeo keeps other files beside the blobs.
        if name.len() == 64 {
            assert_eq!(digest_of(&path), format!("sha256:{name}"));
            blobs.insert(
                name.into_owned(),
                path.metadata().expect("it is there").len(),
            );
        }
    }
    blobs
}

/// The digest of a file of any size.
fn digest_of(path: &Path) -> String {
    let mut file = File::open(path).expect("it is there");
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece).expect("readable") {
            0 => return format!("sha256:{}", hex::encode(hash.finalize())),
            count => hash.update(&piece[..count]),
        }
    }
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header
}
