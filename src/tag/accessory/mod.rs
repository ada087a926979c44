//! Accessories of an image: signatures and other manifests that are about it. Two ways say so: the
//! name of a tag, as cosign writes it (`sha256-….sig`), and `subject` in a manifest (OCI
//! referrers).
//!
//! `api` is their HTTP, `store` their SQL.

mod api;
mod store;

use super::TagName;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::image::Digest;
use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

pub use api::{instead_of, or_accessories, routes};

/// Endings of tags in cosign's convention, and the `type` of the accessories that they name. The
/// reference knows the first type only; the others are named after it.
const KINDS: [(&str, &str); 3] = [
    (".sig", "signature.cosign"),
    (".att", "attestation.cosign"),
    (".sbom", "sbom.cosign"),
];

/// The names of the tags that would hold accessories of a manifest.
fn tag_names(target: &Digest) -> [String; KINDS.len()] {
    let stem = target.as_str().replace(':', "-");
    KINDS.map(|(ending, _)| format!("{stem}{ending}"))
}

/// The manifest that a tag's name says it is about, and the type of accessory that it is.
fn parse_name(name: &str) -> Option<(Digest, &'static str)> {
    KINDS.iter().find_map(|(ending, kind)| {
        let digest = name.strip_suffix(ending)?.replacen('-', ":", 1);
        Some((Digest::parse(&digest).ok()?, *kind))
    })
}

/// A tag whose name says that it signs a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureTag {
    pub name: TagName,
    /// What it signs.
    pub target: Digest,
}

impl SignatureTag {
    /// Reads a name of the form `sha256-….sig`.
    pub fn parse(name: TagName) -> Result<Self> {
        match parse_name(name.as_str()) {
            Some((target, "signature.cosign")) => Ok(Self { name, target }),
            _ => {
                let rule = "must be the tag of a signature, sha256-{64 hex digits}.sig";
                Err(Error::invalid("tag", rule))
            }
        }
    }

    /// Whether a name has that form.
    pub fn is_one(name: &str) -> bool {
        parse_name(name).is_some_and(|(_, kind)| kind == "signature.cosign")
    }
}

impl JsonSchema for SignatureTag {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SignatureTag".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let example = format!("sha256-{}.sig", "0".repeat(64));
        json_schema!({
            "type": "string",
            "pattern": "^sha256-[0-9a-f]{64}\\.sig$",
            "examples": [example],
        })
    }
}

/// A manifest that is about another one.
#[derive(Debug, sqlx::FromRow)]
pub struct Accessory {
    id: i64,
    /// Empty where it was pushed by digest.
    tag: String,
    digest: String,
    artifact_type: String,
    size: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Accessory {
    /// What it is: by its tag's name, else what it says of itself.
    fn kind(&self) -> String {
        match parse_name(&self.tag) {
            Some((_, kind)) => kind.to_owned(),
            None => self.artifact_type.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_cosigns_form_says_what_it_is_about() {
        let digest = Digest::of(b"x");
        let stem = format!("sha256-{}", digest.hex());
        let check = |name: &str, kind: Option<&'static str>| {
            let expected = kind.map(|kind| (digest.clone(), kind));
            assert_eq!(parse_name(name), expected, "{name}");
            let is_signature = kind == Some("signature.cosign");
            assert_eq!(SignatureTag::is_one(name), is_signature, "{name}");
            let tag = TagName::parse(name).expect("a tag");
            assert_eq!(SignatureTag::parse(tag).is_ok(), is_signature, "{name}");
        };
        check(&format!("{stem}.sig"), Some("signature.cosign"));
        check(&format!("{stem}.att"), Some("attestation.cosign"));
        check(&format!("{stem}.sbom"), Some("sbom.cosign"));
        check(&stem, None);
        check(&format!("{stem}.sig.sig"), None);
        check(&format!("{stem}0.sig"), None);
        check(&format!("{}.sig", stem.to_uppercase()), None);
        check("v1.sig", None);
        check("v1", None);
        for (name, (ending, _)) in tag_names(&digest).iter().zip(KINDS) {
            assert_eq!(*name, format!("{stem}{ending}"));
        }
    }
}
