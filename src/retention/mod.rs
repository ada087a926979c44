//! Retention (aging): which tags the rules of a repository delete.
//!
//! `api` is their HTTP, `notation` how they are written in JSON, `store` their SQL, which also
//! runs them; `daily` sees to it that they run each day.

mod api;
mod daily;
mod notation;
pub mod store;
#[cfg(test)]
mod testing;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::tag::TagName;
use crate::trigger::Expression;

pub use api::routes;
pub use daily::{RetentionScheduler, run_due};
pub use notation::read as read_policy;

/// The most selectors of a rule. The reference names no limit; the rule is read at every push.
const MOST_SELECTORS: usize = 20;

/// How large the expressions of a rule may be together, in the units of [`Expression::size`]: as
/// large as a single one. They are compiled while other writes wait.
const LARGEST_EXPRESSIONS: u64 = 250_000;

/// The number of a repository's retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionId(i64);

impl RetentionId {
    /// Reads `retention_id`.
    pub fn parse(text: &str) -> Result<Self> {
        Some(text)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .map(Self)
            .ok_or_else(|| Error::invalid("retention_id", "must be a whole number"))
    }
}

impl JsonSchema for RetentionId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RetentionId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9]{1,18}$", "examples": ["1"]})
    }
}

/// The retention that a repository has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Its number, never used twice.
    pub id: i64,
    /// What it deletes.
    pub policy: Policy,
}

/// The rules of a retention, combined by `or`: a tag goes when one of them deletes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy(Vec<Rule>);

impl Policy {
    /// One rule or two, of different templates. (The console sets one; two of a kind would say
    /// no more than the stricter of them.)
    pub fn new(rules: Vec<Rule>) -> Result<Self> {
        let wrong = |rule| Err(Error::invalid("rules", rule));
        match rules.as_slice() {
            [] => wrong("must contain a rule"),
            [_] => Ok(Self(rules)),
            [first, second] if first.template.name() != second.template.name() => Ok(Self(rules)),
            _ => wrong("must contain at most one date_rule and one tag_rule"),
        }
    }

    /// Its rules, as they were given.
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// Checks that this one may take the place of another: templates cannot be changed.
    pub fn check_replaces(&self, old: &Self) -> Result<()> {
        let templates = |policy: &Self| -> HashSet<_> {
            policy.0.iter().map(|rule| rule.template.name()).collect()
        };
        if templates(self) == templates(old) {
            return Ok(());
        }
        let rule = "cannot be changed; delete the retention rule and create a new one";
        Err(Error::invalid("template", rule))
    }

    /// Whether any tag may have to go, where there are so many and the oldest is so old; tells
    /// without looking at each.
    pub fn may_delete(&self, tags: usize, oldest: Timestamp, now: Timestamp) -> bool {
        self.0.iter().any(|rule| match rule.template {
            Template::Date { days } => is_older(oldest, days, now),
            Template::Tag { num } => tags > usize::from(num),
        })
    }

    /// The tags that each rule deletes, oldest first. A tag that several delete is the first
    /// one's. `is_match` tells whether an expression is found in a name.
    pub fn deletes<'a>(
        &'a self,
        tags: &'a [AgedTag],
        now: Timestamp,
        is_match: impl Fn(&Expression, &str) -> Result<bool>,
    ) -> Result<Vec<(&'a Rule, Vec<&'a str>)>> {
        let mut newest_first: Vec<_> = tags.iter().collect();
        newest_first.sort_by_key(|tag| Reverse((tag.updated_at, tag.id)));
        let mut gone = HashSet::new();
        let mut deletions = Vec::with_capacity(self.0.len());
        for rule in &self.0 {
            let mut deleted = rule.deletes(&newest_first, now, &is_match)?;
            deleted.reverse();
            deleted.retain(|name| gone.insert(*name));
            deletions.push((rule, deleted));
        }
        Ok(deletions)
    }
}

/// Which tags go, and which are left out of account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    template: Template,
    selectors: Vec<Selector>,
}

impl Rule {
    /// A rule whose selectors are not too many and not too large.
    pub fn new(template: Template, selectors: Vec<Selector>) -> Result<Self> {
        if selectors.len() > MOST_SELECTORS {
            let rule = format!("must contain at most {MOST_SELECTORS} selectors");
            return Err(Error::invalid("tag_selectors", rule));
        }
        let size: u64 = selectors.iter().map(Selector::size).sum();
        if size > LARGEST_EXPRESSIONS {
            let rule = "the expressions are too large in total once their repetitions are expanded";
            return Err(Error::invalid("tag_selectors", rule));
        }
        Ok(Self {
            template,
            selectors,
        })
    }

    /// Which tags go.
    pub fn template(&self) -> Template {
        self.template
    }

    /// Which tags are left out of account.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    fn deletes<'a>(
        &self,
        newest_first: &[&'a AgedTag],
        now: Timestamp,
        is_match: &impl Fn(&Expression, &str) -> Result<bool>,
    ) -> Result<Vec<&'a str>> {
        let mut deleted = Vec::new();
        match self.template {
            Template::Date { days } => {
                for tag in newest_first {
                    if is_older(tag.updated_at, days, now) && !self.leaves_out(tag, is_match)? {
                        deleted.push(tag.name.as_str());
                    }
                }
            }
            Template::Tag { num } => {
                let mut kept = 0;
                for tag in newest_first {
                    if self.leaves_out(tag, is_match)? {
                        continue;
                    }
                    if kept < num {
                        kept += 1;
                    } else {
                        deleted.push(tag.name.as_str());
                    }
                }
            }
        }
        Ok(deleted)
    }

    fn leaves_out(
        &self,
        tag: &AgedTag,
        is_match: &impl Fn(&Expression, &str) -> Result<bool>,
    ) -> Result<bool> {
        for selector in &self.selectors {
            let selects = match selector {
                Selector::Label(name) => name.as_str() == tag.name,
                Selector::Expression(expression) => is_match(expression, &tag.name)?,
            };
            if selects {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Which tags a rule deletes: `template` with `params`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// Those that were last pushed more than `days` times 24 hours ago.
    Date {
        /// 1 to 365.
        days: u16,
    },
    /// All but the `num` that were pushed last.
    Tag {
        /// 1 to 1000.
        num: u16,
    },
}

impl Template {
    /// The API's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Date { .. } => "date_rule",
            Self::Tag { .. } => "tag_rule",
        }
    }
}

fn is_older(updated_at: Timestamp, days: u16, now: Timestamp) -> bool {
    updated_at.plus_hours(24 * i64::from(days)) < now
}

/// Tags that a rule leaves out of account: it neither counts nor deletes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// `label`: the one with this name.
    Label(TagName),
    /// `regexp`: those that the expression is found in; `^` and `$` anchor it, as in the
    /// reference's example `^123$`.
    Expression(Expression),
}

impl Selector {
    /// Reads `pattern` in the way that `kind` asks for.
    pub fn parse(kind: &str, pattern: &str) -> Result<Self> {
        match kind {
            "label" => TagName::parse_field("pattern", pattern).map(Self::Label),
            "regexp" => Expression::parse(pattern)
                .map(Self::Expression)
                .map_err(|rule| {
                    let rule = format!("must be a regular expression when kind is regexp: {rule}");
                    Error::invalid("pattern", rule)
                }),
            _ => Err(Error::invalid("kind", "must be label or regexp")),
        }
    }

    /// The API's word for what it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Label(_) => "label",
            Self::Expression(_) => "regexp",
        }
    }

    /// The API's text for it.
    pub fn pattern(&self) -> &str {
        match self {
            Self::Label(name) => name.as_str(),
            Self::Expression(expression) => expression.as_str(),
        }
    }

    fn size(&self) -> u64 {
        match self {
            Self::Label(_) => 0,
            Self::Expression(expression) => expression.size(),
        }
    }
}

/// What rules look at in a tag.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct AgedTag {
    /// Its number; of two that were pushed at once the larger one is the newer.
    pub id: i64,
    pub name: String,
    /// When it was last pushed.
    pub updated_at: Timestamp,
}

/// A tag that a rule deleted.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct HistoryEntry {
    /// Its number, never used twice.
    pub id: i64,
    /// The number of the retention.
    pub retention_id: i64,
    /// The rule as it was then, in JSON.
    pub rule: String,
    /// The name of the tag.
    pub tag: String,
    pub created_at: Timestamp,
}

/// The days since 1970 (UTC) at a moment.
fn day(moment: Timestamp) -> i64 {
    moment.as_seconds().div_euclid(24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn date(days: u16, selectors: &[(&str, &str)]) -> Rule {
        rule(Template::Date { days }, selectors)
    }

    fn newest(num: u16, selectors: &[(&str, &str)]) -> Rule {
        rule(Template::Tag { num }, selectors)
    }

    fn rule(template: Template, selectors: &[(&str, &str)]) -> Rule {
        let selectors = selectors
            .iter()
            .map(|(kind, pattern)| Selector::parse(kind, pattern).expect("legal"));
        Rule::new(template, selectors.collect()).expect("legal")
    }

    fn now() -> Timestamp {
        Timestamp::from_microseconds(1_700_000_000_000_000)
    }

    /// Tags by name and the seconds since their last push.
    fn aged(tags: &[(&str, i64)]) -> Vec<AgedTag> {
        (1..)
            .zip(tags)
            .map(|(id, (name, seconds))| AgedTag {
                id,
                name: (*name).to_owned(),
                updated_at: now().plus_seconds(-seconds),
            })
            .collect()
    }

    fn deletions(policy: &Policy, tags: &[AgedTag]) -> Vec<Vec<String>> {
        let is_match = |expression: &Expression, name: &str| {
            let expression = Regex::new(expression.as_str()).map_err(Error::internal)?;
            Ok(expression.is_match(name))
        };
        let deletions = policy.deletes(tags, now(), is_match).expect("they compile");
        deletions
            .into_iter()
            .map(|(_, names)| names.into_iter().map(str::to_owned).collect())
            .collect()
    }

    const DAY: i64 = 24 * 60 * 60;

    #[test]
    fn a_date_rule_deletes_what_is_older_than_its_days_oldest_first() {
        let check = |rule: Rule, tags: &[(&str, i64)], expected: &[&str]| {
            let policy = Policy::new(vec![rule]).expect("legal");
            assert_eq!(deletions(&policy, &aged(tags)), [expected], "{policy:?}");
        };
        let tags = [("fresh", 0), ("old", 3 * DAY), ("older", 9 * DAY)];
        check(date(1, &[]), &tags, &["older", "old"]);
        check(date(3, &[]), &tags, &["older"]);
        check(date(9, &[]), &tags, &[]);
        check(date(1, &[]), &[], &[]);
        // Whole days: a second less than one is not older, a second more is.
        check(date(2, &[]), &[("a", 2 * DAY)], &[]);
        check(date(2, &[]), &[("a", 2 * DAY + 1)], &["a"]);
        check(date(365, &[]), &[("a", 366 * DAY)], &["a"]);
        // A tag from the future, after the clock was set back.
        check(date(1, &[]), &[("a", -9 * DAY)], &[]);
        check(date(1, &[("label", "old")]), &tags, &["older"]);
        check(date(1, &[("label", "ol")]), &tags, &["older", "old"]);
        check(date(1, &[("regexp", "ol")]), &tags, &[]);
        check(date(1, &[("regexp", "^old$")]), &tags, &["older"]);
    }

    #[test]
    fn a_tag_rule_keeps_the_newest_and_does_not_count_what_a_selector_matches() {
        let check = |rule: Rule, tags: &[(&str, i64)], expected: &[&str]| {
            let policy = Policy::new(vec![rule]).expect("legal");
            assert_eq!(deletions(&policy, &aged(tags)), [expected], "{policy:?}");
        };
        let tags = [("v1", 40), ("v2.0", 30), ("v2.1", 20), ("v3", 10)];
        check(newest(1, &[]), &tags, &["v1", "v2.0", "v2.1"]);
        check(newest(3, &[]), &tags, &["v1"]);
        check(newest(4, &[]), &tags, &[]);
        check(newest(1000, &[]), &tags, &[]);
        // Not in the order of their numbers: v1 was pushed again.
        check(newest(1, &[]), &[("v1", 5), ("v2", 10)], &["v2"]);
        // At the same moment the later number is the newer tag.
        check(newest(1, &[]), &[("a", 5), ("b", 5)], &["a"]);
        check(newest(1, &[("label", "v3")]), &tags, &["v1", "v2.0"]);
        check(newest(1, &[("regexp", "^v2.*")]), &tags, &["v1"]);
        check(newest(1, &[("regexp", "^v2"), ("label", "v1")]), &tags, &[]);
        check(
            newest(1, &[("label", "v2")]),
            &tags,
            &["v1", "v2.0", "v2.1"],
        );
    }

    #[test]
    fn a_tag_goes_when_one_of_two_rules_deletes_it_and_is_the_first_ones() {
        let rules = vec![date(5, &[("label", "a")]), newest(2, &[])];
        let policy = Policy::new(rules).expect("legal");
        let tags = aged(&[("a", 9 * DAY), ("b", 8 * DAY), ("c", 2), ("d", 1), ("e", 0)]);
        assert_eq!(deletions(&policy, &tags), [vec!["b"], vec!["a", "c"]]);
    }

    #[test]
    fn nothing_can_go_where_no_tag_is_old_and_there_are_few() {
        let check = |rules: Vec<Rule>, tags, oldest: i64, expected| {
            let policy = Policy::new(rules).expect("legal");
            let oldest = now().plus_seconds(-oldest);
            assert_eq!(policy.may_delete(tags, oldest, now()), expected);
        };
        check(vec![date(2, &[])], 5000, 2 * DAY, false);
        check(vec![date(2, &[])], 1, 2 * DAY + 1, true);
        check(vec![newest(3, &[])], 3, 999 * DAY, false);
        check(vec![newest(3, &[])], 4, 0, true);
        check(vec![newest(3, &[]), date(2, &[])], 1, 3 * DAY, true);
        check(vec![newest(3, &[]), date(2, &[])], 3, DAY, false);
    }

    #[test]
    fn a_policy_has_a_rule_of_each_template_at_the_most() {
        let check = |rules: Vec<Rule>, accepted: bool| {
            assert_eq!(Policy::new(rules.clone()).is_ok(), accepted, "{rules:?}");
        };
        check(vec![], false);
        check(vec![date(1, &[])], true);
        check(vec![newest(1, &[]), date(1, &[])], true);
        check(vec![date(1, &[]), date(2, &[])], false);
        check(vec![date(1, &[]), newest(1, &[]), date(2, &[])], false);
    }

    #[test]
    fn a_policy_replaces_one_of_the_same_templates() {
        let check = |old: Vec<Rule>, new: Vec<Rule>, accepted: bool| {
            let [old, new] = [old, new].map(|rules| Policy::new(rules).expect("legal"));
            assert_eq!(new.check_replaces(&old).is_ok(), accepted);
        };
        let both = || vec![date(1, &[]), newest(1, &[])];
        check(vec![date(1, &[])], vec![date(2, &[("label", "a")])], true);
        check(vec![date(1, &[])], vec![newest(1, &[])], false);
        check(vec![date(1, &[])], both(), false);
        check(both(), vec![newest(1, &[])], false);
        check(both(), both().into_iter().rev().collect(), true);
    }

    #[test]
    fn the_selectors_of_a_rule_are_bounded_in_number_and_in_size() {
        let check = |pattern: &str, count: usize, accepted: bool| {
            let selector = Selector::parse("regexp", pattern).expect("legal");
            let rule = Rule::new(Template::Tag { num: 1 }, vec![selector; count]);
            assert_eq!(rule.is_ok(), accepted, "{count} times {pattern}");
        };
        check("^v2.*", MOST_SELECTORS, true);
        check("^v2.*", MOST_SELECTORS + 1, false);
        check(r"^\w{40}$", 1, true);
        check(r"^\w{40}$", 3, false);
    }

    #[test]
    fn a_selector_is_the_name_of_a_tag_or_an_expression() {
        let check = |kind: &str, pattern: &str, accepted: bool| {
            let parsed = Selector::parse(kind, pattern);
            assert_eq!(parsed.is_ok(), accepted, "{kind} {pattern}");
        };
        check("label", "v1.2", true);
        check("label", "v*", false);
        check("regexp", "v*", true);
        check("regexp", "*", false);
        check("glob", "v", false);
    }

    #[test]
    fn a_number_has_digits_only() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(
                RetentionId::parse(text).ok(),
                expected.map(RetentionId),
                "{text:?}"
            );
        };
        check("1", Some(1));
        check("+1", None);
        check("-1", None);
        check("", None);
        check("1a", None);
        check("99999999999999999999", None);
    }
}
