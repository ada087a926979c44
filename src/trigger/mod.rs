//! Triggers: what one is, which pushed tags fire it ([`judge`]), and which workload it updates.
//!
//! `api` is their HTTP, `body` reads the bodies of it, `store` is their SQL, `cluster` says which
//! cluster a trigger means, `expression` checks regular expressions, `lint` says what may not have
//! been meant, and `known` remembers what that depends on.

mod api;
mod body;
mod cluster;
mod expression;
mod known;
pub mod lint;
pub mod store;

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::schema::schema_of;
use crate::tag::TagName;

pub(crate) use api::HistoryView;
pub use api::routes;
pub use body::{FIELDS, read_body};
pub use cluster::{ClusterRef, TriggerMode};
pub use expression::Expression;
pub use known::Known;

/// The name of a trigger (API reference, creating a trigger): 1 to 64 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerName(String);

impl TriggerName {
    const PATTERN: &str = "^[A-Za-z][A-Za-z0-9_-]*$";

    /// Checks a name that stands in `field`.
    pub fn parse(field: &'static str, text: &str) -> Result<Self> {
        static RULE: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(TriggerName::PATTERN).expect("a valid expression"));
        if !(1..=64).contains(&text.len()) {
            return Err(Error::invalid(field, "must have 1 to 64 characters"));
        }
        if !RULE.is_match(text) {
            let rule = "must start with a letter and contain only letters, digits, - and _";
            return Err(Error::invalid(field, rule));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name as it is stored.
impl TryFrom<String> for TriggerName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse("name", &text)
    }
}

impl JsonSchema for TriggerName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TriggerName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "pattern": Self::PATTERN,
            "examples": ["deploy"],
        })
    }
}

/// The kind of workload that a trigger updates.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, sqlx::Type, EnumString, IntoStaticStr, VariantNames,
)]
#[sqlx(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum AppType {
    Deployments,
    StatefulSets,
}

impl AppType {
    /// Reads `app_type`.
    pub fn parse(text: &str) -> Result<Self> {
        let rule = "must be deployments or statefulsets";
        text.parse().map_err(|_| Error::invalid("app_type", rule))
    }

    /// The API's word.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The singular, as the live service has it in `fail to get k8s deployment`.
    pub fn resource(self) -> &'static str {
        self.as_str().trim_end_matches('s')
    }
}

/// How the pushes that fire a trigger are described: `trigger_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, EnumString, IntoStaticStr)]
#[sqlx(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum TriggerType {
    /// Every push.
    All,
    /// Pushes of listed tags.
    Tag,
    /// Pushes of tags that match a regular expression.
    Regular,
}

impl TriggerType {
    /// Reads `trigger_type`.
    pub fn parse(text: &str) -> Result<Self> {
        let rule = "must be all, tag or regular";
        text.parse()
            .map_err(|_| Error::invalid("trigger_type", rule))
    }

    /// The API's word.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Which pushed tags fire a trigger: `trigger_type` with `condition`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Every tag.
    All,
    /// One of these.
    Tags(TagList),
    /// Those that the expression is found in.
    Regular(Expression),
}

impl Condition {
    /// The rule for the conditions of a type, for the document of the API.
    pub fn schema(kind: TriggerType) -> Schema {
        match kind {
            TriggerType::All => json_schema!({"type": "string", "enum": [".*"]}),
            TriggerType::Tag => TagName::schema_of_list(),
            TriggerType::Regular => schema_of::<Expression>(),
        }
    }

    /// Reads `condition` in the way that its type asks for.
    pub fn parse(kind: TriggerType, text: &str) -> Result<Self> {
        let wrong = |rule: String| Error::invalid("condition", rule);
        match kind {
            TriggerType::All if text == ".*" => Ok(Self::All),
            TriggerType::All => Err(wrong("must be .* when trigger_type is all".to_owned())),
            TriggerType::Tag => TagList::parse(text).map(Self::Tags).ok_or_else(|| {
                wrong(
                    "must be one or more tags joined by ; when trigger_type is tag (a tag has \
                         1 to 128 letters, digits, _ . - and does not start with . or -)"
                        .to_owned(),
                )
            }),
            TriggerType::Regular => Expression::parse(text).map(Self::Regular).map_err(|rule| {
                wrong(format!(
                    "must be a regular expression when trigger_type is regular: {rule}"
                ))
            }),
        }
    }

    /// A condition as it is stored: [`Self::parse`] accepted it when it was written, and a push
    /// reads too many to parse each of them again.
    pub fn stored(kind: TriggerType, text: String) -> Self {
        match kind {
            TriggerType::All => Self::All,
            TriggerType::Tag => Self::Tags(TagList(text)),
            TriggerType::Regular => Self::Regular(Expression::stored(text)),
        }
    }

    /// Its `trigger_type`.
    pub fn trigger_type(&self) -> TriggerType {
        match self {
            Self::All => TriggerType::All,
            Self::Tags(_) => TriggerType::Tag,
            Self::Regular(_) => TriggerType::Regular,
        }
    }

    /// The API's text for it.
    pub fn text(&self) -> &str {
        match self {
            Self::All => ".*",
            Self::Tags(tags) => &tags.0,
            Self::Regular(expression) => expression.as_str(),
        }
    }
}

/// The tags that a condition lists: one or more, joined by `;`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagList(String);

impl TagList {
    /// Checks the tags; none when one of them breaks its rule.
    pub fn parse(text: &str) -> Option<Self> {
        let mut tags = text.split(';');
        let are_tags = tags.all(|tag| TagName::parse(tag).is_some());
        are_tags.then(|| Self(text.to_owned()))
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split(';')
    }

    fn contains(&self, tag: &TagName) -> bool {
        self.names().any(|name| name == tag.as_str())
    }
}

/// Whether a pushed tag fires a trigger: an enabled one, if its condition describes the tag.
/// `is_match` tells whether an expression is found in the tag.
pub fn judge<'a>(
    enabled: bool,
    condition: &'a Condition,
    tag: &'a TagName,
    is_match: impl FnOnce(&Expression) -> Result<bool>,
) -> Result<Verdict<'a>> {
    if !enabled {
        return Ok(Verdict::Disabled);
    }
    let fires = match condition {
        Condition::All => true,
        Condition::Tags(tags) => tags.contains(tag),
        Condition::Regular(expression) => is_match(expression)?,
    };
    Ok(Verdict::Compared {
        condition,
        tag,
        fires,
    })
}

/// Whether a pushed tag fires a trigger, and what that depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It does not: the trigger is disabled.
    Disabled,
    /// The tag was compared with the condition.
    Compared {
        condition: &'a Condition,
        tag: &'a TagName,
        /// Whether the condition describes the tag.
        fires: bool,
    },
}

impl<'a> Verdict<'a> {
    /// Whether the trigger fires.
    pub fn fires(&self) -> bool {
        matches!(self, Self::Compared { fires: true, .. })
    }

    /// The expression that the tag does not match, if that is the reason.
    pub fn missed(&self) -> Option<&'a Expression> {
        match self {
            Self::Compared {
                condition: Condition::Regular(expression),
                fires: false,
                ..
            } => Some(expression),
            _ => None,
        }
    }

    /// The reason, which names what was compared.
    pub fn reason(&self) -> String {
        let Self::Compared {
            condition,
            tag,
            fires,
        } = self
        else {
            return "the trigger is disabled".to_owned();
        };
        let tag = tag.as_str();
        match condition {
            Condition::All => "every tag matches .*".to_owned(),
            Condition::Tags(tags) => {
                let verb = if *fires { "is" } else { "is not" };
                let names = tags.0.replace(';', ", ");
                ["tag ", tag, " ", verb, " one of ", &names].concat()
            }
            Condition::Regular(expression) => {
                let verb = if *fires { "matches" } else { "does not match" };
                [expression.as_str(), " ", verb, " ", tag].concat()
            }
        }
    }
}

/// A trigger as a client asks for it, every rule checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTrigger {
    /// Its name, unique in the repository.
    pub name: TriggerName,
    /// The kind of workload it updates.
    pub app_type: AppType,
    /// The workload's name.
    pub application: String,
    /// The workload's Kubernetes namespace.
    pub cluster_ns: String,
    /// What fires it.
    pub condition: Condition,
    /// Whether it fires at all.
    pub enabled: bool,
    /// Where the workload runs.
    pub cluster: ClusterRef,
    /// The container to update; `""` means all that use the image.
    pub container: String,
}

/// A trigger as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Trigger {
    /// Its number; younger ones have larger ones.
    pub id: i64,
    #[sqlx(try_from = "String")]
    pub name: TriggerName,
    /// The kind of workload it updates.
    pub app_type: AppType,
    /// The workload's name.
    pub application: String,
    /// The workload's Kubernetes namespace.
    pub cluster_ns: String,
    /// The tags that fire it.
    #[sqlx(flatten)]
    pub condition: Condition,
    /// Whether it fires at all.
    pub enabled: bool,
    /// Where the workload runs.
    #[sqlx(flatten)]
    pub cluster: ClusterRef,
    /// The container to update; `""` means all that use the image.
    pub container: String,
    /// The name of the user who made it.
    pub creator_name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it has a history; read for a single trigger only.
    #[sqlx(default)]
    pub has_history: bool,
}

/// As much of a trigger as a push has to know to decide whether it fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its number.
    pub id: i64,
    /// The tags that fire it; none where it is too long to be read with those of many others.
    pub condition: Option<Condition>,
    /// Whether it fires at all.
    pub enabled: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_follows_the_rule_of_the_reference() {
        let check = |name: &str, accepted: bool| {
            assert_eq!(
                TriggerName::parse("name", name).is_ok(),
                accepted,
                "{name:?}"
            );
        };
        check("t", true);
        check("Trigger_1-a", true);
        check("a--b__c-", true);
        check(&"a".repeat(64), true);
        check("", false);
        check(&"a".repeat(65), false);
        check("1a", false);
        check("_a", false);
        check("a.b", false);
        check("a b", false);
        check("a\n", false);
        check("ä", false);
    }

    #[test]
    fn a_condition_is_read_as_its_type_asks() {
        let check = |kind: TriggerType, text: &str, accepted: bool| {
            let condition = Condition::parse(kind, text);
            assert_eq!(condition.is_ok(), accepted, "{kind:?} {text:?}");
            if let Ok(condition) = condition {
                assert_eq!(condition.text(), text);
                assert_eq!(condition.trigger_type(), kind);
            }
        };
        check(TriggerType::All, ".*", true);
        check(TriggerType::All, ".", false);
        check(TriggerType::All, ".* ", false);
        check(TriggerType::Tag, "v1", true);
        check(TriggerType::Tag, "v1;v2;latest", true);
        check(TriggerType::Tag, "v1;", false);
        check(TriggerType::Tag, ";v1", false);
        check(TriggerType::Tag, "v1;;v2", false);
        check(TriggerType::Tag, "v1; v2", false);
        check(TriggerType::Tag, ".*", false);
        check(TriggerType::Regular, "^v2.*", true);
        check(TriggerType::Regular, ".*", true);
        check(TriggerType::Regular, "(", false);
    }

    #[test]
    fn a_verdict_says_whether_a_tag_fires_a_trigger_and_why() {
        let check = |kind, text: &str, enabled, tag: &str, expected: (bool, &str)| {
            let condition = Condition::parse(kind, text).expect("a condition");
            let name = TagName::parse(tag).expect("a tag");
            let is_match = |expression: &Expression| {
                let expression = Regex::new(expression.as_str()).map_err(Error::internal)?;
                Ok(expression.is_match(tag))
            };
            let verdict = judge(enabled, &condition, &name, is_match).expect("judged");
            let told = verdict.reason();
            assert_eq!((verdict.fires(), told.as_str()), expected, "{text} {tag}");
            let missed = enabled && kind == TriggerType::Regular && !expected.0;
            assert_eq!(verdict.missed().is_some(), missed, "{text} {tag}");
            assert_eq!(Condition::stored(kind, text.to_owned()), condition);
        };
        let (all, tag, regular) = (TriggerType::All, TriggerType::Tag, TriggerType::Regular);
        let disabled = (false, "the trigger is disabled");
        check(all, ".*", true, "v1", (true, "every tag matches .*"));
        check(all, ".*", false, "v1", disabled);
        check(tag, "v1", true, "v1", (true, "tag v1 is one of v1"));
        let one_of = (true, "tag v2 is one of v1, v2");
        check(tag, "v1;v2", true, "v2", one_of);
        let none_of = (false, "tag v is not one of v1, v2");
        check(tag, "v1;v2", true, "v", none_of);
        let case = (false, "tag V1 is not one of v1");
        check(tag, "v1", true, "V1", case);
        check(tag, "v1;v2", false, "v1", disabled);
        check(regular, "^v2.*", true, "v20", (true, "^v2.* matches v20"));
        let missed = (false, "^v2.* does not match w");
        check(regular, "^v2.*", true, "w", missed);
        check(regular, "2", true, "v1.2", (true, "2 matches v1.2"));
        check(regular, "^v2.*", false, "v2", disabled);
    }
}
