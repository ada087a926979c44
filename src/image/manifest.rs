//! Manifests: what one names, and which of that must be there before it is stored.

use serde::Deserialize;
use serde_json::{Map, Value};
use strum::{EnumString, IntoStaticStr};

use super::digest::Digest;
use super::error::ImageError;

/// The largest manifest (OCI distribution specification: registries should take 4 MiB).
pub const MAX_MANIFEST_SIZE: usize = 4 * 1024 * 1024;
/// The longest artifact type, which is a media type (RFC 6838), and the largest annotations as
/// JSON, that lists of manifests show.
const MAX_ARTIFACT_TYPE: usize = 255;
const MAX_ANNOTATIONS: usize = 16 * 1024;

/// The kinds of manifests that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
pub enum MediaType {
    /// An image (OCI).
    #[strum(serialize = "application/vnd.oci.image.manifest.v1+json")]
    OciManifest,
    /// An image index (OCI).
    #[strum(serialize = "application/vnd.oci.image.index.v1+json")]
    OciIndex,
    /// An image (Docker).
    #[strum(serialize = "application/vnd.docker.distribution.manifest.v2+json")]
    DockerManifest,
    /// A manifest list (Docker).
    #[strum(serialize = "application/vnd.docker.distribution.manifest.list.v2+json")]
    DockerList,
}

impl MediaType {
    /// Reads a media type, whatever its parameters.
    pub fn parse(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default();
        essence.trim().parse().ok()
    }

    /// The media type as text.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether it lists other manifests instead of blobs.
    pub fn is_index(self) -> bool {
        matches!(self, Self::OciIndex | Self::DockerList)
    }
}

/// A media type as it is stored.
impl TryFrom<String> for MediaType {
    type Error = strum::ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A manifest as far as the registry has to understand it.
#[derive(Debug)]
pub struct Manifest {
    /// What it is.
    pub media_type: MediaType,
    /// The digest of the image's configuration.
    pub config: Option<Digest>,
    /// The blobs that must be there: configuration and layers, but for foreign ones.
    pub blobs: Vec<Digest>,
    /// The foreign layers, which need not be there, but are kept where they are.
    pub foreign: Vec<Digest>,
    /// The manifests that must be there, where it is an index.
    pub manifests: Vec<Digest>,
    /// All manifests that an index lists, also those that are kept elsewhere.
    pub parts: Vec<Digest>,
    /// The manifest that it is about.
    pub subject: Option<Digest>,
    /// What it says of itself.
    pub description: ArtifactDescription,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u8,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: Option<String>,
    digest: String,
    size: i64,
    urls: Option<Vec<String>>,
}

impl Descriptor {
    /// Foreign layers are kept elsewhere and never pushed.
    fn is_foreign(&self) -> bool {
        let media_type = self.media_type.as_deref().unwrap_or_default();
        self.urls.as_ref().is_some_and(|urls| !urls.is_empty())
            || media_type.contains(".nondistributable.")
            || media_type.contains(".foreign.")
    }

    fn digest(&self) -> Result<Digest, ImageError> {
        if self.size < 0 {
            let rule = "a descriptor's size must not be negative".to_owned();
            return Err(ImageError::ManifestInvalid(rule));
        }
        Digest::parse(&self.digest).map_err(|error| ImageError::ManifestInvalid(error.to_string()))
    }
}

/// What a manifest says of itself to those who list it. What is too large to be listed is left
/// out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArtifactDescription {
    /// What kind of artifact it is; empty where it does not say.
    pub artifact_type: String,
    /// Whatever else, as a JSON object.
    pub annotations: Option<String>,
}

impl ArtifactDescription {
    /// The configuration's media type stands in for an artifact type.
    fn of(document: &Document) -> Self {
        let named = document.artifact_type.as_deref();
        let of_config = || document.config.as_ref()?.media_type.as_deref();
        let artifact_type = named.filter(|text| !text.is_empty()).or_else(of_config);
        let annotations = document.annotations.as_ref();
        let annotations = annotations.and_then(|map| serde_json::to_string(map).ok());
        Self {
            artifact_type: artifact_type
                .filter(|text| text.len() <= MAX_ARTIFACT_TYPE)
                .unwrap_or_default()
                .to_owned(),
            annotations: annotations.filter(|text| text.len() <= MAX_ANNOTATIONS),
        }
    }
}

impl Manifest {
    /// Reads a manifest that was sent with a content type.
    pub fn parse(content: &[u8], content_type: Option<&str>) -> Result<Self, ImageError> {
        let invalid = |rule: String| ImageError::ManifestInvalid(rule);
        let not_one = |error| invalid(format!("not a valid manifest: {error}"));
        let document: Document = serde_json::from_slice(content).map_err(not_one)?;
        // What the document leaves out was skipped, not read. Those who read all of it, SQLite
        // among them, need UTF-8 and a bounded depth there too.
        serde_json::from_slice::<Value>(content).map_err(not_one)?;
        if document.schema_version != 2 {
            return Err(invalid("schemaVersion must be 2".to_owned()));
        }
        let media_type = match (content_type, &document.media_type) {
            (Some(sent), _) => MediaType::parse(sent)
                .ok_or_else(|| invalid(format!("the media type {sent} is not supported")))?,
            (None, Some(named)) => MediaType::parse(named)
                .ok_or_else(|| invalid(format!("the media type {named} is not supported")))?,
            (None, None) if document.manifests.is_some() => MediaType::OciIndex,
            (None, None) => MediaType::OciManifest,
        };
        if document
            .media_type
            .as_deref()
            .is_some_and(|named| named != media_type.as_str())
        {
            let rule = "mediaType must match the request's Content-Type".to_owned();
            return Err(invalid(rule));
        }
        let digests = |descriptors: Option<&[Descriptor]>, wanted: fn(&Descriptor) -> bool| {
            let mut digests = descriptors
                .unwrap_or_default()
                .iter()
                .filter(|descriptor| wanted(descriptor))
                .map(Descriptor::digest)
                .collect::<Result<Vec<_>, _>>()?;
            digests.sort_unstable();
            digests.dedup();
            Ok::<_, ImageError>(digests)
        };
        let is_here = |descriptor: &Descriptor| !descriptor.is_foreign();
        let description = ArtifactDescription::of(&document);
        let subject = document
            .subject
            .as_ref()
            .map(Descriptor::digest)
            .transpose()?;
        if media_type.is_index() {
            if document.manifests.is_none() || document.layers.is_some() {
                return Err(invalid(
                    "an index must have manifests and no layers".to_owned(),
                ));
            }
            return Ok(Self {
                media_type,
                config: None,
                blobs: Vec::new(),
                foreign: Vec::new(),
                manifests: digests(document.manifests.as_deref(), is_here)?,
                parts: digests(document.manifests.as_deref(), |_| true)?,
                subject,
                description,
            });
        }
        if document.config.is_none() || document.layers.is_none() || document.manifests.is_some() {
            let rule = "a manifest must have config and layers and no manifests".to_owned();
            return Err(invalid(rule));
        }
        let config = document
            .config
            .as_ref()
            .map(Descriptor::digest)
            .transpose()?;
        let layers = document.layers.as_deref();
        let mut blobs = digests(layers, is_here)?;
        blobs.extend(config.clone().filter(|config| !blobs.contains(config)));
        Ok(Self {
            media_type,
            config,
            blobs,
            foreign: digests(layers, Descriptor::is_foreign)?,
            manifests: Vec::new(),
            parts: Vec::new(),
            subject,
            description,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    fn descriptor(content: &str) -> Value {
        let digest = Digest::of(content.as_bytes());
        json!({"mediaType": "x/y", "digest": digest.as_str(), "size": content.len()})
    }

    #[test]
    fn a_manifest_names_its_configuration_and_layers_but_no_foreign_ones() {
        let mut foreign = descriptor("far away");
        foreign["urls"] = json!(["http://elsewhere.test/layer"]);
        let mut nondistributable = descriptor("also far");
        nondistributable["mediaType"] =
            json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
        let document = json!({
            "schemaVersion": 2, "mediaType": OCI, "config": descriptor("config"),
            "layers": [descriptor("layer"), foreign, nondistributable, descriptor("layer")],
            "subject": descriptor("subject")
        });
        let manifest = Manifest::parse(document.to_string().as_bytes(), Some(OCI));
        let manifest = manifest.expect("a manifest");
        let expected = [Digest::of(b"layer"), Digest::of(b"config")];
        assert_eq!(manifest.blobs, expected);
        assert_eq!(manifest.foreign.len(), 2);
        assert_eq!(manifest.config, Some(Digest::of(b"config")));
        assert_eq!(manifest.subject, Some(Digest::of(b"subject")));
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        let check = |document: Value, content_type: Option<&str>, accepted: bool| {
            let parsed = Manifest::parse(document.to_string().as_bytes(), content_type);
            assert_eq!(
                parsed.is_ok(),
                accepted,
                "{document} {content_type:?} {parsed:?}"
            );
        };
        let image = json!({"schemaVersion": 2, "config": descriptor("c"), "layers": []});
        let index = json!({"schemaVersion": 2, "manifests": [descriptor("m")]});
        check(image.clone(), Some(OCI), true);
        check(image.clone(), None, true);
        check(
            image.clone(),
            Some("application/vnd.oci.image.manifest.v1+json; x=y"),
            true,
        );
        check(index.clone(), Some(INDEX), true);
        check(index.clone(), None, true);
        check(image.clone(), Some(INDEX), false);
        check(index, Some(OCI), false);
        check(image.clone(), Some("application/json"), false);
        check(image.clone(), Some("text/plain"), false);
        let with = |key: &str, value: Value| {
            let mut changed = image.clone();
            changed[key] = value;
            changed
        };
        check(with("mediaType", json!(INDEX)), Some(OCI), false);
        check(with("schemaVersion", json!(1)), Some(OCI), false);
        check(
            with("config", json!({"digest": "x", "size": 1})),
            Some(OCI),
            false,
        );
        check(
            with("layers", json!([{"digest": "sha256:x", "size": 1}])),
            Some(OCI),
            false,
        );
        check(with("layers", json!(null)), Some(OCI), false);
        let mut negative = descriptor("c");
        negative["size"] = json!(-1);
        check(with("config", negative), Some(OCI), false);
        check(json!([]), Some(OCI), false);
        check(json!({}), Some(OCI), false);
    }

    #[test]
    fn what_is_read_by_nobody_here_must_be_readable_too() {
        let check = |ignored: &[u8], accepted: bool| {
            let front = json!({"schemaVersion": 2, "config": descriptor("c"), "layers": []});
            let front = front.to_string();
            let front = front.strip_suffix('}').expect("an object").as_bytes();
            let content = [front, br#","ignored":"#, ignored, b"}"].concat();
            let parsed = Manifest::parse(&content, Some(OCI));
            assert_eq!(parsed.is_ok(), accepted, "{parsed:?}");
        };
        let nested = |depth| ["[".repeat(depth), "]".repeat(depth)].concat();
        check(nested(100).as_bytes(), true);
        // Deeper than SQLite reads, which looks for the parts of an index.
        check(nested(1001).as_bytes(), false);
        check("\"é\"".as_bytes(), true);
        check(b"\"\xff\"", false);
    }

    #[test]
    fn the_artifact_type_is_the_one_named_or_that_of_the_configuration() {
        let mut document = json!({"schemaVersion": 2, "config": descriptor("c"), "layers": []});
        let of = |document: &Value| {
            let manifest = Manifest::parse(document.to_string().as_bytes(), Some(OCI));
            manifest.expect("a manifest").description.artifact_type
        };
        assert_eq!(of(&document), "x/y");
        document["artifactType"] = json!("");
        assert_eq!(of(&document), "x/y");
        document["artifactType"] = json!("a/b");
        assert_eq!(of(&document), "a/b");
        document["artifactType"] = json!("a".repeat(MAX_ARTIFACT_TYPE + 1));
        assert_eq!(of(&document), "");
    }

    #[test]
    fn annotations_that_are_too_large_for_a_list_are_left_out_of_it() {
        let of = |length: usize| {
            let annotations = json!({"a": "x".repeat(length)});
            let document = json!({"schemaVersion": 2, "config": descriptor("c"), "layers": [],
                                  "annotations": annotations});
            let manifest = Manifest::parse(document.to_string().as_bytes(), Some(OCI));
            manifest.expect("a manifest").description.annotations
        };
        assert_eq!(of(1).as_deref(), Some(r#"{"a":"x"}"#));
        assert!(of(MAX_ANNOTATIONS - 8).is_some());
        assert_eq!(of(MAX_ANNOTATIONS - 7), None);
    }
}
