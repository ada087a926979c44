//! The body of `CreateTrigger`: what is accepted can be compiled, and is read again from what it
//! was understood as.
//!
//! The input is a body, or, where it is no JSON object, the expression of a body that is right
//! otherwise.

#![no_main]

use libfuzzer_sys::fuzz_target;
use regex::Regex;
use serde_json::json;
use swr_emulator::internal::JsonObject;
use swr_emulator::internal::TagName;
use swr_emulator::internal::{Condition, NewTrigger, TriggerName, read_body};

fuzz_target!(|body: &[u8]| {
    let fields = JsonObject::parse(body).or_else(|error| {
        let condition = std::str::from_utf8(body).map_err(|_| error)?;
        let body = json!({
            "action": "update", "app_type": "deployments", "application": "adsfa",
            "cluster_ns": "default", "condition": condition, "enable": "true", "name": "test",
            "trigger_type": "regular"
        });
        JsonObject::parse(body.to_string().as_bytes())
    });
    let Ok(trigger) = fields.and_then(|fields| read_body(&fields)) else {
        return;
    };

    let name = TriggerName::parse("name", trigger.name.as_str());
    assert_eq!(name.ok().as_ref(), Some(&trigger.name));
    match &trigger.condition {
        Condition::All => {}
        Condition::Tags(tags) => {
            let mut names = tags.names();
            assert!(names.all(|name| TagName::parse(name).is_some()));
        }
        Condition::Regular(expression) => {
            let compiled = Regex::new(expression.as_str());
            assert!(compiled.is_ok(), "{compiled:?}");
        }
    }
    let again = JsonObject::parse(&written(&trigger)).and_then(|fields| read_body(&fields));
    assert_eq!(again.ok(), Some(trigger));
});

/// The trigger as the API writes one.
fn written(trigger: &NewTrigger) -> Vec<u8> {
    let body = json!({
        "action": "update",
        "app_type": trigger.app_type.as_str(),
        "application": trigger.application,
        "cluster_id": trigger.cluster.id(),
        "cluster_name": trigger.cluster.name(),
        "cluster_ns": trigger.cluster_ns,
        "condition": trigger.condition.text(),
        "container": trigger.container,
        "enable": if trigger.enabled { "true" } else { "false" },
        "name": trigger.name.as_str(),
        "trigger_mode": trigger.cluster.trigger_mode().as_str(),
        "trigger_type": trigger.condition.trigger_type().as_str(),
    });
    body.to_string().into_bytes()
}
