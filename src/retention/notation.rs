//! How rules are written in JSON: the same in requests, answers, rows and histories.

use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;
use serde_json::Value;

use super::{MOST_SELECTORS, Policy, Rule, Selector, Template};
use crate::error::{Error, Result};
use crate::json::JsonObject;
use crate::schema::schema_of;
use crate::tag::TagName;

/// The most days of a `date_rule`, and numbers from 1 to it as text.
const DAYS: (u16, &str) = (365, "^(?:[1-9][0-9]?|[12][0-9]{2}|3[0-5][0-9]|36[0-5])$");
/// The most tags of a `tag_rule`, and numbers from 1 to it as text.
const NUM: (u16, &str) = (1000, "^(?:[1-9][0-9]{0,2}|1000)$");

/// Expressions that are legal beyond doubt. That a text is any legal one cannot be said in JSON
/// Schema.
const PLAIN_EXPRESSION: &str = r"^\^?(?:(?:[A-Za-z0-9_-]|\\?\.)[*+?]?){1,64}\$?$";

/// The bodies that [`read`] takes.
pub(super) fn schema() -> Schema {
    json_schema!({
        "type": "object",
        "required": ["algorithm", "rules"],
        "properties": {
            "algorithm": {"type": "string", "enum": ["or"]},
            "rules": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1,
                "items": {"anyOf": [
                    rule_schema("date_rule", "days", DAYS),
                    rule_schema("tag_rule", "num", NUM),
                ]},
                "description": "One rule. (Two are accepted if they are a `date_rule` and a \
                                `tag_rule`.)",
            },
        },
    })
}

fn rule_schema(template: &str, param: &str, (most, as_text): (u16, &str)) -> Schema {
    let expression = json_schema!({
        "type": "string",
        "pattern": PLAIN_EXPRESSION,
        "examples": ["^v2.*"],
        "description": "A regular expression; any valid one is accepted, even if it does not match \
                        this schema's pattern.",
    });
    json_schema!({
        "type": "object",
        "required": ["template", "params", "tag_selectors"],
        "properties": {
            "template": {"type": "string", "enum": [template]},
            "params": {
                "type": "object",
                "required": [param],
                "properties": {
                    param: {"anyOf": [
                        {"type": "string", "pattern": as_text},
                        {"type": "integer", "minimum": 1, "maximum": most},
                    ]},
                },
            },
            "tag_selectors": {
                "type": "array",
                "minItems": 0,
                "maxItems": MOST_SELECTORS,
                "items": {"anyOf": [
                    selector_schema("label", &schema_of::<TagName>()),
                    selector_schema("regexp", &expression),
                ]},
                "description": "The tags that the rule neither counts nor deletes.",
            },
        },
    })
}

fn selector_schema(kind: &str, pattern: &Schema) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["kind", "pattern"],
        "properties": {
            "kind": {"type": "string", "enum": [kind]},
            "pattern": pattern,
        },
    })
}

/// The errors with which [`read`] refuses a value inside `rules`.
pub(super) fn refusals() -> impl Iterator<Item = Error> {
    let fields = [
        "template",
        "params",
        "days",
        "num",
        "tag_selectors",
        "kind",
        "pattern",
    ];
    fields.into_iter().map(|field| Error::invalid(field, ""))
}

/// Reads `algorithm` and `rules`.
pub fn read(body: &JsonObject) -> Result<Policy> {
    if body.string("algorithm")? != "or" {
        return Err(Error::invalid("algorithm", "must be \"or\""));
    }
    let rules = body.objects("rules")?;
    Policy::new(rules.iter().map(read_rule).collect::<Result<_>>()?)
}

fn read_rule(rule: &JsonObject) -> Result<Rule> {
    // A parameter of the other template is passed over, as unknown fields are.
    let template = match rule.string("template")? {
        "date_rule" => Template::Date {
            days: read_number(&rule.object("params")?, "days", DAYS.0)?,
        },
        "tag_rule" => Template::Tag {
            num: read_number(&rule.object("params")?, "num", NUM.0)?,
        },
        _ => {
            let rule = "must be date_rule or tag_rule";
            return Err(Error::invalid("template", rule));
        }
    };
    let selectors = rule.objects("tag_selectors")?;
    let selectors = selectors
        .iter()
        .map(|selector| Selector::parse(selector.string("kind")?, selector.string("pattern")?))
        .collect::<Result<_>>()?;
    Rule::new(template, selectors)
}

/// A number from 1, as text or as a JSON number: clients send either.
fn read_number(params: &JsonObject, name: &'static str, most: u16) -> Result<u16> {
    let number = match params.value(name) {
        None | Some(Value::Null) => return Err(Error::invalid(name, "is mandatory")),
        Some(Value::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().ok()
        }
        Some(Value::Number(number)) => number.as_u64().and_then(|n| u16::try_from(n).ok()),
        Some(_) => None,
    };
    number
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| {
            let rule = format!("must be a whole number from 1 to {most}");
            Error::invalid(name, rule)
        })
}

/// `algorithm` and `rules`.
#[derive(Debug, Serialize)]
pub(super) struct PolicyView<'a> {
    pub(super) algorithm: &'static str,
    pub(super) rules: Vec<RuleView<'a>>,
}

impl<'a> From<&'a Policy> for PolicyView<'a> {
    fn from(policy: &'a Policy) -> Self {
        Self {
            algorithm: "or",
            rules: policy.rules().iter().map(RuleView::from).collect(),
        }
    }
}

/// An entry of `rules`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RetentionRuleView")]
pub(super) struct RuleView<'a> {
    template: &'static str,
    params: ParamsView,
    tag_selectors: Vec<SelectorView<'a>>,
}

/// Always strings: Terraform crashes on numbers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RetentionParamsView")]
#[serde(untagged)]
enum ParamsView {
    Date { days: String },
    Tag { num: String },
}

#[derive(Debug, Serialize, JsonSchema)]
struct SelectorView<'a> {
    kind: &'static str,
    pattern: &'a str,
}

impl<'a> From<&'a Rule> for RuleView<'a> {
    fn from(rule: &'a Rule) -> Self {
        let selectors = rule.selectors().iter();
        Self {
            template: rule.template().name(),
            params: match rule.template() {
                Template::Date { days } => ParamsView::Date {
                    days: days.to_string(),
                },
                Template::Tag { num } => ParamsView::Tag {
                    num: num.to_string(),
                },
            },
            tag_selectors: selectors
                .map(|selector| SelectorView {
                    kind: selector.kind(),
                    pattern: selector.pattern(),
                })
                .collect(),
        }
    }
}

/// As text.
pub(super) fn write(view: &impl Serialize) -> Result<String> {
    serde_json::to_string(view).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use regex::Regex;
    use serde_json::json;

    use super::*;

    fn read_value(body: &Value) -> Result<Policy> {
        read(&JsonObject::parse(body.to_string().as_bytes())?)
    }

    #[test]
    fn a_policy_reads_back_as_it_was_written() {
        let body = json!({"algorithm": "or", "rules": [
            {"template": "date_rule", "params": {"days": "30"},
             "tag_selectors": [{"kind": "label", "pattern": "v1"}]},
            {"template": "tag_rule", "params": {"num": "10"},
             "tag_selectors": [{"kind": "regexp", "pattern": "^v2.*"}]},
        ]});
        let policy = read_value(&body).expect("legal");
        let written = write(&PolicyView::from(&policy)).expect("JSON");
        let again = JsonObject::parse(written.as_bytes()).expect("an object");
        assert_eq!(read(&again).expect("legal"), policy);
        assert_eq!(serde_json::from_str::<Value>(&written).ok(), Some(body));
    }

    #[test]
    fn what_the_document_promises_of_texts_is_read() {
        for (most, as_text) in [DAYS, NUM] {
            let promised = Regex::new(as_text).expect("a valid expression");
            for number in 0..=2 * most {
                let is_legal = (1..=most).contains(&number);
                assert_eq!(promised.is_match(&number.to_string()), is_legal, "{number}");
            }
        }
        let promised = Regex::new(PLAIN_EXPRESSION).expect("a valid expression");
        let check = |text: &str, is_promised: bool| {
            assert_eq!(promised.is_match(text), is_promised, "{text}");
            assert!(
                !is_promised || Selector::parse("regexp", text).is_ok(),
                "{text}"
            );
        };
        check("^v2.*", true);
        check("^123$", true);
        check(r"v1\.+-?_*", true);
        check(&format!("^{}$", ".*".repeat(64)), true);
        check("", false);
        check("*", false);
        check("(", false);
        check("a**", false);
    }

    #[test]
    fn a_number_is_text_or_a_number_within_its_bounds() {
        let check = |template: &str, params: Value, accepted: bool| {
            let rule = json!({"template": template, "params": params, "tag_selectors": []});
            let read = read_value(&json!({"algorithm": "or", "rules": [rule]}));
            assert_eq!(read.is_ok(), accepted, "{template} {params}");
        };
        check("date_rule", json!({"days": "1"}), true);
        check("date_rule", json!({"days": 365}), true);
        check("date_rule", json!({"days": "30", "num": "x"}), true);
        check("date_rule", json!({"days": "0"}), false);
        check("date_rule", json!({"days": 366}), false);
        check("date_rule", json!({"days": "366"}), false);
        check("date_rule", json!({"days": ""}), false);
        check("date_rule", json!({"days": "+3"}), false);
        check("date_rule", json!({"days": " 3"}), false);
        check("date_rule", json!({"days": 1.5}), false);
        check("date_rule", json!({"days": -1}), false);
        check("date_rule", json!({"days": null}), false);
        check("date_rule", json!({"days": ["3"]}), false);
        check("date_rule", json!({"num": "3"}), false);
        check("tag_rule", json!({"num": "1000"}), true);
        check("tag_rule", json!({"num": 1}), true);
        check("tag_rule", json!({"num": "1001"}), false);
        check("tag_rule", json!({"num": "65537"}), false);
        check("tag_rule", json!({"num": 65_537}), false);
        check("tag_rule", json!({"days": "3"}), false);
    }
}
