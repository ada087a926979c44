//! Tags of images: their names, what they show, and how one comes to be.
//!
//! `api` is their HTTP in the management API, `manifest_text` writes what is long in its answers,
//! `store` their SQL, `accessory` what is about the image of a tag. Pushing and pulling is the business of `registry`.

pub mod accessory;
mod api;
mod manifest_text;
pub mod store;

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::image::MediaType;

pub use api::routes;

/// The name of a tag: 1 to 128 characters by the OCI rule (distribution specification, pulling
/// manifests).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagName(String);

impl TagName {
    /// The rule, as refusals state it.
    pub const RULE: &str = "must have 1 to 128 letters, digits, _ . - and not start with . or -";

    const PATTERN: &str = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$";

    /// The rule of names that are joined by `;`.
    pub fn schema_of_list() -> Schema {
        let name = Self::PATTERN.trim_matches(['^', '$']);
        json_schema!({"type": "string", "pattern": format!("^{name}(?:;{name})*$")})
    }

    /// Checks a name; none when it breaks the rule.
    pub fn parse(text: &str) -> Option<Self> {
        static RULE: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(TagName::PATTERN).expect("a valid expression"));
        RULE.is_match(text).then(|| Self(text.to_owned()))
    }

    /// Checks a name that stands in `field`.
    pub fn parse_field(field: &'static str, text: &str) -> Result<Self> {
        Self::parse(text).ok_or_else(|| Error::invalid(field, Self::RULE))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl JsonSchema for TagName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TagName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": Self::PATTERN, "examples": ["v1"]})
    }
}

/// A tag with what it shows of its image.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Tag {
    /// Its number, never used twice.
    pub id: i64,
    /// The number of its repository.
    pub repository_id: i64,
    pub name: String,
    /// The digest of its manifest.
    pub digest: String,
    /// What that manifest is.
    #[sqlx(try_from = "String")]
    pub media_type: MediaType,
    /// How many bytes that manifest has.
    pub content_size: i64,
    /// The digest of the image's configuration; empty for a list of images.
    pub config: String,
    /// How many bytes the image takes: manifest, configuration and layers, of all images of a
    /// list.
    pub size: i64,
    /// When the tag was first pushed.
    pub created_at: Timestamp,
    /// When it was last pushed.
    pub updated_at: Timestamp,
}

/// What a list of tags can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderColumn {
    /// `updated_at`
    UpdatedAt,
    /// `tag`
    Name,
}

#[cfg(test)]
mod tests {
    use super::TagName;

    #[test]
    fn a_name_follows_the_oci_rule() {
        let check = |name: &str, accepted: bool| {
            assert_eq!(TagName::parse(name).is_some(), accepted, "{name:?}");
        };
        check("v1.2", true);
        check("V1", true);
        check("_", true);
        check(&"a".repeat(128), true);
        check("", false);
        check(&"a".repeat(129), false);
        check(".a", false);
        check("-a", false);
        check("a b", false);
        check("a;b", false);
        check("a\n", false);
    }
}
