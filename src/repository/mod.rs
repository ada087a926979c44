//! Image repositories: their names, their attributes, and which of them a list shows.
//!
//! `api` is their HTTP, that of their lists in `lists`; `store` their SQL.

mod api;
mod lists;
pub mod store;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::auth::User;
use crate::clock::Timestamp;
use crate::error::{Error, Fault, Result};
use crate::namespace::Namespace;
use crate::permission::Permissions;
use crate::schema::schema_of;
use crate::sharing::Shares;

pub use api::routes;

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 30_000;

/// The name of a repository (API reference, creating an image repository): 1 to 128 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepositoryName(String);

impl RepositoryName {
    const PATTERN: &str = "^[a-z0-9]+(?:(?:[./_]|__|-+)[a-z0-9]+)*$";

    /// Checks a name, in which parts are separated by `/`.
    pub fn parse(text: &str) -> Result<Self> {
        static RULE: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(RepositoryName::PATTERN).expect("a valid expression"));
        let wrong = |rule| Err(Error::fault(Fault::RepositoryName, "repository", rule));
        if !(1..=128).contains(&text.len()) {
            return wrong("must have 1 to 128 characters");
        }
        if !RULE.is_match(text) {
            return wrong(
                "must start and end with a lower-case letter or digit, and contain only these, \
                 with single separators (. / _ __ or hyphens) between them",
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// Checks a name as it stands in a path, where `$` is written for `/`.
    pub fn from_path(segment: &str) -> Result<Self> {
        Self::parse(&segment.replace('$', "/"))
    }

    /// The rule of a name as it stands in a path.
    pub fn schema_in_path() -> Schema {
        let mut schema = schema_of::<Self>();
        let pattern = Self::PATTERN.replace('/', "$");
        schema.insert("pattern".to_owned(), pattern.into());
        schema
    }

    /// The name as text, with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl JsonSchema for RepositoryName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RepositoryName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": 128,
            "pattern": Self::PATTERN,
            "examples": ["busybox"],
        })
    }
}

impl std::fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of software a repository holds.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::Type, EnumString, IntoStaticStr, VariantNames,
)]
#[sqlx(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Category {
    AppServer,
    Linux,
    FrameworkApp,
    Database,
    Lang,
    /// `other`, which the service stores when nothing is said.
    #[default]
    Other,
    Windows,
    Arm,
}

impl Category {
    /// Reads the API's word; `fault` says what a wrong one counts as.
    pub fn parse(text: &str, fault: Fault) -> Result<Self> {
        text.parse().map_err(|_| {
            let rule = format!("must be one of {}", Self::VARIANTS.join(", "));
            Error::fault(fault, "category", rule)
        })
    }

    /// The API's word.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The free text that describes a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description(String);

impl Description {
    /// What a longer one is refused with.
    pub fn too_long() -> Error {
        Error::DescriptionTooLong(MAX_DESCRIPTION)
    }

    /// Checks the length: at most 30,000 characters.
    pub fn parse(text: &str) -> Result<Self> {
        if text.chars().count() > MAX_DESCRIPTION {
            return Err(Self::too_long());
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl JsonSchema for Description {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Description".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 0, "maxLength": MAX_DESCRIPTION})
    }
}

/// A repository as far as every operation on it has to know it.
#[derive(Debug, Clone)]
pub struct RepositoryRef {
    /// Its number, never used twice.
    pub id: i64,
    pub name: RepositoryName,
    /// The organization it is in.
    pub namespace: Arc<Namespace>,
    /// Whether anyone may pull from it.
    pub is_public: bool,
    /// Who may do what with it.
    pub permissions: Permissions,
    /// What other accounts may pull from it.
    pub shares: Shares,
}

/// A repository with all it shows.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Its number, never used twice.
    pub id: i64,
    /// The number of its organization.
    pub namespace_id: i64,
    /// The name of its organization.
    pub namespace: String,
    pub name: String,
    /// Whether anyone may pull from it.
    pub is_public: bool,
    /// What kind of software it holds.
    pub category: Category,
    /// What its owner says about it.
    pub description: String,
    /// The account that holds it.
    pub account_id: String,
    /// That account's name.
    pub account_name: String,
    /// The id of the user who made it.
    pub creator_id: String,
    /// That user's name.
    pub creator_name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it, or a tag of it, was last changed.
    pub updated_at: Timestamp,
    /// The names of its tags, newest push first.
    pub tags: Vec<String>,
    /// How many tags it has.
    pub num_images: i64,
    /// How many bytes its blobs and manifests take.
    pub size: i64,
    /// How often it was pulled from.
    pub num_download: i64,
    /// Whether another account shares it, and that has not ended; false in lists of other kinds.
    pub is_shared: bool,
}

/// A repository that is to be made.
#[derive(Debug, Clone)]
pub struct NewRepository {
    /// The organization it will be in.
    pub namespace_id: i64,
    pub name: RepositoryName,
    /// Whether anyone may pull from it.
    pub is_public: bool,
    /// See [`Category`].
    pub category: Category,
    /// What its owner says about it.
    pub description: Description,
    /// The id of the user who makes it.
    pub creator_id: String,
    /// That user's name.
    pub creator_name: String,
    pub created_at: Timestamp,
}

impl NewRepository {
    /// The repository that a push makes, where there is none (as the live service does): private,
    /// of the default category.
    pub fn by_push(
        namespace: &Namespace,
        name: &RepositoryName,
        creator: &User,
        created_at: Timestamp,
    ) -> Self {
        Self {
            namespace_id: namespace.id,
            name: name.clone(),
            is_public: false,
            category: Category::default(),
            description: Description::default(),
            creator_id: creator.id.clone(),
            creator_name: creator.name.clone(),
            created_at,
        }
    }
}

/// What of a repository is to be changed; what is absent stays as it is.
#[derive(Debug, Clone)]
pub struct RepositoryChange {
    /// Whether anyone may pull from it.
    pub is_public: bool,
    /// See [`Category`].
    pub category: Option<Category>,
    /// What its owner says about it.
    pub description: Option<Description>,
}

/// Whose repositories a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Those of the account.
    #[default]
    Own,
    /// Those of the account that it shares.
    SharedByMe,
    /// Those that others share with the account.
    SharedWithMe,
}

/// Which repositories a list shows.
#[derive(Debug, Clone, Default)]
pub struct RepositoryFilter {
    /// Where.
    pub region: String,
    /// For which account.
    pub account_id: String,
    /// Those of the own account which this user may see; none for those who see all.
    pub user_id: Option<String>,
    /// Whose.
    pub scope: Scope,
    /// When: shares end.
    pub now: Timestamp,
    /// Whether the share still counts.
    pub is_shared: Option<bool>,
    /// Of the account with this text in its name.
    pub account_part: Option<String>,
    /// In the organization with exactly this name.
    pub namespace: Option<String>,
    /// In organizations with this text in the name.
    pub namespace_part: Option<String>,
    /// With this text in the name.
    pub name_part: Option<String>,
    pub category: Option<Category>,
    /// Public ones, or private ones.
    pub is_public: Option<bool>,
}

/// What a list of repositories can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderColumn {
    Name,
    /// `updated_time`, or `updated_at` as older pages call it.
    UpdatedTime,
    TagCount,
    Namespace,
    IsPublic,
    /// `domain_name`, in lists of shared repositories.
    AccountName,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::testing::TestDb;

    #[test]
    fn a_name_follows_the_rule_of_the_reference() {
        let check = |name: &str, accepted: bool| {
            assert_eq!(RepositoryName::parse(name).is_ok(), accepted, "{name:?}");
        };
        check("busybox", true);
        check("1", true);
        check("team/app", true);
        check("a.b/c_d/e__f/g--h", true);
        check(&"a".repeat(128), true);
        check("", false);
        check(&"a".repeat(129), false);
        check("/a", false);
        check("a/", false);
        check("a//b", false);
        check("a/./b", false);
        check("..", false);
        check("A", false);
        check("a$b", false);
        check("a\n", false);
    }

    #[test]
    fn in_a_path_a_dollar_sign_stands_for_a_slash() {
        let check = |segment: &str, expected: Option<&str>| {
            let name = RepositoryName::from_path(segment);
            assert_eq!(name.ok().as_ref().map(RepositoryName::as_str), expected);
        };
        check("library$nginx", Some("library/nginx"));
        check("library/nginx", Some("library/nginx"));
        check("a$b$c", Some("a/b/c"));
        check("$a", None);
    }

    #[test]
    fn a_description_is_counted_in_characters() {
        assert!(Description::parse(&"漢".repeat(MAX_DESCRIPTION)).is_ok());
        assert!(Description::parse(&"a".repeat(MAX_DESCRIPTION + 1)).is_err());
    }

    #[test]
    fn a_category_is_one_of_the_words_of_the_reference() {
        let words = "app_server linux framework_app database lang other windows arm";
        assert_eq!(Category::VARIANTS.join(" "), words);
        for word in Category::VARIANTS {
            let category = Category::parse(word, Fault::Query).expect("a category");
            assert_eq!(category.as_str(), *word);
        }
        assert!(Category::parse("Linux", Fault::Query).is_err());
    }

    #[tokio::test]
    async fn a_category_is_stored_under_the_word_of_the_reference() {
        let test = TestDb::seeded("").await;
        for word in Category::VARIANTS {
            let category = Category::parse(word, Fault::Query).expect("a category");
            let stored: String = sqlx::query_scalar("SELECT ?")
                .bind(category)
                .fetch_one(test.db.lookups())
                .await
                .expect("read");
            assert_eq!(stored, *word);
        }
    }
}
