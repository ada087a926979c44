//! The bodies of triggers: `CreateTrigger`'s, also where the seed file has one, and the `enable`
//! that `UpdateTrigger` shares with it.

use schemars::{Schema, json_schema};
use strum::VariantNames;

use super::cluster::{MAX_CLUSTER, parse_cluster_field};
use super::{AppType, ClusterRef, Condition, NewTrigger, TriggerMode, TriggerName, TriggerType};
use crate::error::{Error, Result};
use crate::json::JsonObject;
use crate::schema::{described, schema_of};
use crate::workload::{label_schema, parse_label, parse_subdomain, subdomain_schema};

/// The fields of `CreateTrigger`, in the order of the reference's table, which is also the order
/// in which they are checked.
pub const FIELDS: [&str; 12] = [
    "action",
    "app_type",
    "application",
    "cluster_id",
    "cluster_name",
    "cluster_ns",
    "condition",
    "container",
    "enable",
    "name",
    "trigger_mode",
    "trigger_type",
];

/// Reads the body of `CreateTrigger`, also where the seed file holds one. Of several faults the
/// first in the order of [`FIELDS`] is reported.
pub fn read_body(body: &JsonObject) -> Result<NewTrigger> {
    // These two say how others are to be read; their own faults wait for their turn.
    let mode = body
        .optional_string("trigger_mode")
        .and_then(|text| TriggerMode::parse(text.unwrap_or_default()));
    let kind = body.string("trigger_type").and_then(TriggerType::parse);

    if body.string("action")? != "update" {
        return Err(Error::invalid("action", "must be update"));
    }
    let app_type = AppType::parse(body.string("app_type")?)?;
    let application = parse_subdomain("application", body.string("application")?)?;
    let cluster_field = |field| {
        let text = body.optional_string(field)?.unwrap_or_default();
        // A mode that is wrong is reported in its turn; until then the laxer one counts.
        parse_cluster_field(*mode.as_ref().unwrap_or(&TriggerMode::Cce), field, text)
    };
    let cluster_id = cluster_field("cluster_id")?;
    let cluster_name = cluster_field("cluster_name")?;
    let cluster_ns = parse_label("cluster_ns", body.string("cluster_ns")?)?;
    let condition = body.string("condition")?;
    let condition = match &kind {
        Ok(kind) => Some(Condition::parse(*kind, condition)?),
        Err(_) => None,
    };
    let container = match body.optional_string("container")?.unwrap_or_default() {
        blank if blank.trim().is_empty() => String::new(),
        name => parse_label("container", name)?,
    };
    let enabled = enabled(body)?;
    let name = TriggerName::parse("name", body.string("name")?)?;
    let cluster = ClusterRef::new(mode?, cluster_id, cluster_name);
    kind?;
    let condition = condition.ok_or_else(|| Error::internal("a known type left no condition"))?;
    Ok(NewTrigger {
        name,
        app_type,
        application,
        cluster_ns,
        condition,
        enabled,
        cluster,
        container,
    })
}

/// The bodies that [`read_body`] takes.
pub(super) fn body_schema() -> Schema {
    let kinds = [TriggerType::All, TriggerType::Tag, TriggerType::Regular];
    let cluster = json_schema!({
        "type": "string",
        "minLength": 0,
        "maxLength": MAX_CLUSTER,
        "description": "Blank for `cci`.",
    });
    json_schema!({
        "type": "object",
        "required": [
            "action", "app_type", "application", "cluster_ns", "condition", "enable", "name",
            "trigger_type",
        ],
        "properties": {
            "action": {"type": "string", "enum": ["update"]},
            "app_type": {"type": "string", "enum": AppType::VARIANTS},
            "application": described(subdomain_schema(), "The name of the workload."),
            "cluster_id": cluster,
            "cluster_name": cluster,
            "cluster_ns": described(label_schema(), "The workload's Kubernetes namespace."),
            "condition": {
                "type": "string",
                "minLength": 1,
                "examples": [".*"],
                "description": "`.*` for the type `all`; tags joined by `;` for `tag`; a regular \
                                expression for `regular`.",
            },
            "container": {
                "type": "string",
                "anyOf": [{"type": "string", "enum": [""]}, label_schema()],
                "description": "The container to update; blank for all that use the image.",
            },
            "enable": enable_schema(),
            "name": schema_of::<TriggerName>(),
            "trigger_mode": {"type": "string", "enum": TriggerMode::VARIANTS, "default": "cce"},
            "trigger_type": {"type": "string", "enum": kinds.map(TriggerType::as_str)},
        },
        "anyOf": kinds.map(|kind| json_schema!({
            "type": "object",
            "required": ["trigger_type", "condition"],
            "properties": {
                "trigger_type": {"type": "string", "enum": [kind.as_str()]},
                "condition": Condition::schema(kind),
            },
        })),
    })
}

/// The rule for `enable`, a switch in quotes.
pub(super) fn enable_schema() -> Schema {
    json_schema!({"type": "string", "enum": ["true", "false"]})
}

/// Reads `enable`.
pub(super) fn enabled(body: &JsonObject) -> Result<bool> {
    let wrong = || Error::invalid("enable", "must be \"true\" or \"false\", in quotes");
    let is_text = |value: &serde_json::Value| value.is_string() || value.is_null();
    if !body.value("enable").is_none_or(is_text) {
        return Err(wrong());
    }
    match body.string("enable")? {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The reference's own example.
    fn example() -> Value {
        json!({
            "action": "update", "app_type": "deployments", "application": "adsfa",
            "cluster_id": "5b28c12f-dc10-11e9-97b3-0255ac1001b5", "cluster_name": "test",
            "cluster_ns": "default", "condition": ".*", "container": "", "enable": "true",
            "name": "test", "trigger_mode": "cce", "trigger_type": "all"
        })
    }

    fn read(body: &Value) -> Result<NewTrigger> {
        read_body(&JsonObject::parse(body.to_string().as_bytes())?)
    }

    /// The example with some fields set, or left out where the value is `Absent`.
    fn changed(changes: &[(&str, Option<Value>)]) -> Value {
        let mut body = example();
        let fields = body.as_object_mut().expect("an object");
        for (field, value) in changes {
            match value {
                Some(value) => fields.insert((*field).to_owned(), value.clone()),
                None => fields.remove(*field),
            };
        }
        body
    }

    #[test]
    fn the_example_of_the_reference_is_accepted() {
        let trigger = read(&example()).expect("accepted");
        assert_eq!(trigger.condition, Condition::All);
        assert_eq!(trigger.cluster.id(), "5b28c12f-dc10-11e9-97b3-0255ac1001b5");
    }

    #[test]
    fn optional_fields_may_be_null_absent_or_blank() {
        let optional = ["cluster_id", "cluster_name", "container", "trigger_mode"];
        for value in [None, Some(Value::Null), Some(json!(""))] {
            let changes: Vec<_> = optional
                .iter()
                .map(|field| (*field, value.clone()))
                .collect();
            let trigger = read(&changed(&changes)).expect("accepted");
            assert_eq!(trigger.cluster.trigger_mode(), TriggerMode::Cce);
            assert_eq!((trigger.cluster.id(), trigger.container.as_str()), ("", ""));
        }
    }

    #[test]
    fn unknown_fields_are_ignored() {
        assert!(read(&changed(&[("colour", Some(json!({"a": [1]})))])).is_ok());
    }

    #[test]
    fn each_faulty_field_is_named_with_its_rule() {
        let check = |field: &'static str, value: Option<Value>, rule: &str| {
            let error = read(&changed(&[(field, value.clone())])).expect_err("refused");
            assert!(
                error.to_string().starts_with(&format!("{field}: {rule}")),
                "{field} {value:?}: {error}"
            );
            assert_eq!(error.code("-"), "SVCSTG.SWR.4000014");
        };
        let mandatory = [
            "action",
            "app_type",
            "application",
            "cluster_ns",
            "condition",
            "enable",
            "name",
            "trigger_type",
        ];
        for field in mandatory {
            check(field, None, "is mandatory");
            check(field, Some(Value::Null), "must not be null");
            check(field, Some(json!("")), "must not be empty");
            for value in [json!(true), json!(1), json!([]), json!({})] {
                let rule = match field {
                    "enable" => "must be \"true\" or \"false\", in quotes",
                    _ => "must be a string",
                };
                check(field, Some(value), rule);
            }
        }
        for field in ["cluster_id", "cluster_name", "container", "trigger_mode"] {
            check(field, Some(json!(7)), "must be a string");
        }
        check("action", Some(json!("Update")), "must be update");
        check(
            "app_type",
            Some(json!("daemonsets")),
            "must be deployments or",
        );
        check(
            "application",
            Some(json!("Web")),
            "must be an RFC 1123 subdomain",
        );
        check(
            "cluster_id",
            Some(json!("x".repeat(129))),
            "must have at most 128",
        );
        check(
            "cluster_name",
            Some(json!("x".repeat(129))),
            "must have at most 128",
        );
        check(
            "cluster_ns",
            Some(json!("a.b")),
            "must be an RFC 1123 label",
        );
        check(
            "condition",
            Some(json!("v1")),
            "must be .* when trigger_type is all",
        );
        check("container", Some(json!("a_b")), "must be an RFC 1123 label");
        check(
            "enable",
            Some(json!("True")),
            "must be \"true\" or \"false\", in quotes",
        );
        check("name", Some(json!("1")), "must start with a letter");
        check("trigger_mode", Some(json!("CCE")), "must be cce or cci");
        check(
            "trigger_type",
            Some(json!("regex")),
            "must be all, tag or regular",
        );
    }

    #[test]
    fn cci_has_no_cluster_to_name() {
        let check = |field: &'static str, value: &str, accepted: bool| {
            let mut changes = vec![
                ("trigger_mode", Some(json!("cci"))),
                ("cluster_id", None),
                ("cluster_name", None),
            ];
            changes.push((field, Some(json!(value))));
            let result = read(&changed(&changes));
            assert_eq!(result.is_ok(), accepted, "{field} {value:?}: {result:?}");
        };
        for field in ["cluster_id", "cluster_name"] {
            check(field, "", true);
            check(field, " ", true);
            check(field, "x", false);
        }
    }

    #[test]
    fn of_several_faults_the_first_in_the_order_of_the_reference_is_reported() {
        let mut faulty = Vec::new();
        for field in FIELDS.iter().rev() {
            faulty.push((*field, Some(json!(1))));
            let error = read(&changed(&faulty)).expect_err("refused");
            assert!(
                error.to_string().starts_with(&format!("{field}: ")),
                "{field}: {error}"
            );
        }
    }
}
