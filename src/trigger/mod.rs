//! Triggers: what one is, which pushes it waits for, and which workload it updates.
//!
//! `api` is their HTTP, `store` their SQL, `expression` judges regular expressions.

mod api;
mod expression;
pub mod store;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::schema::schema_of;
use crate::tag::TagName;

pub(crate) use api::HistoryView;
pub use api::{FIELDS, read_body, routes};
pub use expression::Expression;

/// The longest `cluster_id` and `cluster_name`, in characters.
const MAX_CLUSTER: usize = 128;

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
            let rule = "must start with a letter and hold only letters, digits, - and _";
            return Err(Error::invalid(field, rule));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppType {
    /// A Deployment.
    Deployments,
    /// A StatefulSet.
    StatefulSets,
}

impl AppType {
    /// Reads `app_type`.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "deployments" => Ok(Self::Deployments),
            "statefulsets" => Ok(Self::StatefulSets),
            _ => Err(Error::invalid(
                "app_type",
                "must be deployments or statefulsets",
            )),
        }
    }

    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployments => "deployments",
            Self::StatefulSets => "statefulsets",
        }
    }

    /// The live service's word for one of them, in its sentence about what it could not get.
    pub fn resource(self) -> &'static str {
        self.as_str().trim_end_matches('s')
    }
}

/// How the pushes that fire a trigger are described: `trigger_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        match text {
            "all" => Ok(Self::All),
            "tag" => Ok(Self::Tag),
            "regular" => Ok(Self::Regular),
            _ => Err(Error::invalid(
                "trigger_type",
                "must be all, tag or regular",
            )),
        }
    }

    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Tag => "tag",
            Self::Regular => "regular",
        }
    }
}

/// Which pushed tags fire a trigger: `trigger_type` with `condition`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Every tag.
    All,
    /// One of these.
    Tags(Vec<TagName>),
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
            TriggerType::Tag => {
                let tags: Option<_> = text.split(';').map(TagName::parse).collect();
                tags.map(Self::Tags).ok_or_else(|| {
                    wrong(
                        "must be one or more tags joined by ; when trigger_type is tag (a tag has \
                         1 to 128 letters, digits, _ . - and does not start with . or -)"
                            .to_owned(),
                    )
                })
            }
            TriggerType::Regular => Expression::parse(text).map(Self::Regular).map_err(|rule| {
                wrong(format!(
                    "must be a regular expression when trigger_type is regular: {rule}"
                ))
            }),
        }
    }

    /// The API's word for its type.
    pub fn trigger_type(&self) -> TriggerType {
        match self {
            Self::All => TriggerType::All,
            Self::Tags(_) => TriggerType::Tag,
            Self::Regular(_) => TriggerType::Regular,
        }
    }

    /// The API's text for it.
    pub fn text(&self) -> String {
        match self {
            Self::All => ".*".to_owned(),
            Self::Tags(tags) => {
                let tags: Vec<_> = tags.iter().map(TagName::as_str).collect();
                tags.join(";")
            }
            Self::Regular(expression) => expression.as_str().to_owned(),
        }
    }
}

/// Which cluster runs the workload: `trigger_mode` with `cluster_id` and `cluster_name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cluster {
    /// A CCE cluster. The API lets both be left out; each is `""` then.
    Cce {
        /// The cluster's id.
        id: String,
        /// The cluster's name.
        name: String,
    },
    /// The serverless service CCI: there is no cluster to name.
    Cci,
}

/// What `trigger_mode` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerMode {
    /// Cloud Container Engine.
    Cce,
    /// Cloud Container Instance.
    Cci,
}

impl TriggerMode {
    /// Reads `trigger_mode`; nothing means CCE.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "" | "cce" => Ok(Self::Cce),
            "cci" => Ok(Self::Cci),
            _ => Err(Error::invalid("trigger_mode", "must be cce or cci")),
        }
    }
}

impl Cluster {
    /// The API's word for where it is.
    pub fn trigger_mode(&self) -> &'static str {
        match self {
            Self::Cce { .. } => "cce",
            Self::Cci => "cci",
        }
    }

    /// `cluster_id`
    pub fn id(&self) -> &str {
        match self {
            Self::Cce { id, .. } => id,
            Self::Cci => "",
        }
    }

    /// `cluster_name`
    pub fn name(&self) -> &str {
        match self {
            Self::Cce { name, .. } => name,
            Self::Cci => "",
        }
    }
}

/// Checks one of the two fields that name a cluster, of which CCI has none.
fn parse_cluster_field(mode: TriggerMode, field: &'static str, text: &str) -> Result<String> {
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    if mode == TriggerMode::Cci {
        return Err(Error::invalid(
            field,
            "must be left blank when trigger_mode is cci",
        ));
    }
    if text.chars().count() > MAX_CLUSTER {
        let rule = format!("must have at most {MAX_CLUSTER} characters");
        return Err(Error::invalid(field, rule));
    }
    Ok(text.to_owned())
}

/// The name of a Kubernetes namespace or container (RFC 1123 label).
const LABEL: &str = "^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$";
/// The name of a workload (RFC 1123 subdomain).
const SUBDOMAIN: &str = "^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$";
/// The longest of each.
const MAX_LABEL: usize = 63;
const MAX_SUBDOMAIN: usize = 253;

/// The rule of [`parse_label`], for the document of the API.
pub(crate) fn label_schema() -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_LABEL,
        "pattern": LABEL,
        "examples": ["default"],
    })
}

/// The rule of [`parse_subdomain`], for the document of the API.
pub(crate) fn subdomain_schema() -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_SUBDOMAIN,
        "pattern": SUBDOMAIN,
        "examples": ["web"],
    })
}

/// Checks the name of a Kubernetes namespace or container (RFC 1123 label).
pub(crate) fn parse_label(field: &'static str, text: &str) -> Result<String> {
    static RULE: LazyLock<Regex> = LazyLock::new(|| Regex::new(LABEL).expect("a valid expression"));
    if text.len() > MAX_LABEL || !RULE.is_match(text) {
        let rule = "must be an RFC 1123 label: at most 63 lower-case letters, digits and hyphens, \
                    starting and ending with a letter or digit";
        return Err(Error::invalid(field, rule));
    }
    Ok(text.to_owned())
}

/// Checks the name of a workload (RFC 1123 subdomain).
pub(crate) fn parse_subdomain(field: &'static str, text: &str) -> Result<String> {
    static RULE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(SUBDOMAIN).expect("a valid expression"));
    if text.len() > MAX_SUBDOMAIN || !RULE.is_match(text) {
        let rule = "must be an RFC 1123 subdomain: at most 253 lower-case letters, digits, \
                    hyphens and dots, each part starting and ending with a letter or digit";
        return Err(Error::invalid(field, rule));
    }
    Ok(text.to_owned())
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
    pub cluster: Cluster,
    /// The container to update; `""` means all that use the image.
    pub container: String,
}

/// A trigger as it is stored, field for field of the API reference's trigger object.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Trigger {
    /// Its number; younger ones have larger ones.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// See [`AppType`].
    pub app_type: String,
    /// The workload's name.
    pub application: String,
    /// The workload's Kubernetes namespace.
    pub cluster_ns: String,
    /// See [`TriggerType`].
    pub trigger_type: String,
    /// See [`Condition`].
    pub condition: String,
    /// Whether it fires.
    pub enabled: bool,
    /// `cce` or `cci`.
    pub trigger_mode: String,
    /// `""` where none is named.
    pub cluster_id: String,
    /// `""` where none is named.
    pub cluster_name: String,
    /// `""` means all that use the image.
    pub container: String,
    /// The name of the user who made it.
    pub creator_name: String,
    /// When it was made.
    pub created_at: Moment,
    /// Whether it has a history; read for a single trigger only.
    #[sqlx(default)]
    pub has_history: bool,
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
    fn kubernetes_names_follow_rfc_1123() {
        let check = |text: &str, label: bool, subdomain: bool| {
            assert_eq!(parse_label("x", text).is_ok(), label, "label {text:?}");
            assert_eq!(
                parse_subdomain("x", text).is_ok(),
                subdomain,
                "subdomain {text:?}"
            );
        };
        check("default", true, true);
        check("a", true, true);
        check("1-a", true, true);
        check("a.b-c", false, true);
        check(&"a".repeat(63), true, true);
        check(&"a".repeat(64), false, true);
        check(&"a".repeat(253), false, true);
        check(&"a".repeat(254), false, false);
        check("", false, false);
        check("-a", false, false);
        check("a-", false, false);
        check("a..b", false, false);
        check("A", false, false);
        check("a_b", false, false);
        check("a\n", false, false);
    }
}
