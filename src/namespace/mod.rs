//! Organizations, which the API calls namespaces: their names and what they are.
//!
//! `api` is their HTTP, `store` their SQL.

mod api;
pub mod store;

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::clock::Timestamp;
use crate::error::{Error, Fault, Result};
use crate::permission::Permissions;

pub use api::routes;

/// Organization names that SWR keeps for itself, and the one under which the management API of
/// the registry's own address lives.
const RESERVED: [&str; 2] = ["library", "manage"];

/// The name of an organization (API reference, creating an organization): 1 to 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamespaceName(String);

impl NamespaceName {
    const PATTERN: &str = "^[a-z][a-z0-9]*(?:(?:\\.|_|__|-+)[a-z0-9]+)*$";

    /// Checks a name.
    pub fn parse(text: &str) -> Result<Self> {
        static RULE: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(NamespaceName::PATTERN).expect("a valid expression"));
        let wrong = |rule| Err(Error::fault(Fault::NamespaceName, "namespace", rule));
        if !(1..=64).contains(&text.len()) {
            return wrong("must have 1 to 64 characters");
        }
        if RESERVED.contains(&text) {
            return wrong("must not be library or manage, which are reserved");
        }
        if !RULE.is_match(text) {
            return wrong(
                "must start with a lower-case letter, end with a lower-case letter or digit, and \
                 contain only these, with single separators (. _ __ or hyphens) between them",
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl JsonSchema for NamespaceName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "NamespaceName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "pattern": Self::PATTERN,
            "not": {"enum": RESERVED},
            "examples": ["group"],
        })
    }
}

impl std::fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An organization.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// Its number, never used twice.
    pub id: i64,
    /// The region it is in.
    pub region: String,
    /// Its name, unique in the region across accounts.
    pub name: NamespaceName,
    /// The account that holds it.
    pub account_id: String,
    /// The name of the user who made it.
    pub creator_name: String,
    /// Who may do what in it.
    pub permissions: Permissions,
}

/// An organization that is to be made.
#[derive(Debug, Clone)]
pub struct NewNamespace {
    /// Where.
    pub region: String,
    pub name: NamespaceName,
    /// The account that will hold it.
    pub account_id: String,
    /// The id of the user who makes it.
    pub creator_id: String,
    /// That user's name.
    pub creator_name: String,
    pub created_at: Timestamp,
}

/// Which organizations a list shows.
#[derive(Debug, Clone, Default)]
pub struct NamespaceFilter {
    /// Where.
    pub region: String,
    /// Of which account.
    pub account_id: String,
    /// Those in which this user has a right; none for those who have all.
    pub user_id: Option<String>,
    /// Those, too, in which the user has a right for a repository only.
    pub is_visible: bool,
    /// With exactly this name.
    pub name: Option<String>,
    /// With this text in the name.
    pub name_part: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_follows_the_rule_of_the_reference() {
        let check = |name: &str, accepted: bool| {
            assert_eq!(NamespaceName::parse(name).is_ok(), accepted, "{name:?}");
        };
        check("group", true);
        check("g", true);
        check("a1.b_c__d-e--f", true);
        check(&"a".repeat(64), true);
        check("manager", true);
        check("", false);
        check(&"a".repeat(65), false);
        check("1a", false);
        check("Group", false);
        check("a.", false);
        check("a-", false);
        check("-a", false);
        check("a..b", false);
        check("a___b", false);
        check("a._b", false);
        check("a b", false);
        check("a/b", false);
        check("a\n", false);
        check("ä", false);
        check("library", false);
        check("manage", false);
    }
}
