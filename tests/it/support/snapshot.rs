//! Answers as snapshots show them: status, headers and body, without what changes from run to run.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::Answer;

/// Headers that say nothing of the answer or change with each.
const LEFT_OUT: [&str; 3] = ["content-length", "date", "x-request-id"];
/// Headers and members that hold something new each time, whatever it looks like.
const NEW: [&str; 5] = [
    "access_token",
    "auth",
    "request_id",
    "token",
    "x-subject-token",
];

/// Parts of a text that change, and what a snapshot shows in their place.
static CHANGING: LazyLock<[(Regex, &str); 6]> = LazyLock::new(|| {
    [
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
        (r"\d{4}-\d\d-\d\d", "[date]"),
        (r"-p \S+", "-p [password]"),
        (r"-u ([\w-]+)@\S+", "-u $1@[access key]"),
        (r"\b[0-9a-f]{64}\b", "[digest]"),
        (r"\b[0-9a-f]{32}\b", "[id]"),
    ]
    .map(|(pattern, instead)| (Regex::new(pattern).expect("an expression"), instead))
});

/// What a snapshot shows of an answer.
pub(crate) fn snapshot(answer: &Answer) -> String {
    let mut lines = vec![answer.status.as_str().to_owned()];
    for (name, value) in &answer.headers {
        if !LEFT_OUT.contains(&name.as_str()) {
            let value = if NEW.contains(&name.as_str()) {
                format!("[{name}]")
            } else {
                redacted(value.to_str().expect("ASCII"))
            };
            lines.push(format!("{name}: {value}"));
        }
    }
    if !answer.body.is_empty() {
        let mut body = answer.json();
        redact(&mut body);
        lines.push(serde_json::to_string_pretty(&body).expect("JSON"));
    }
    lines.join("\n")
}

/// A text without what changes from run to run.
pub(crate) fn redacted(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, instead) in &*CHANGING {
        text = pattern.replace_all(&text, *instead).into_owned();
    }
    text
}

fn redact(value: &mut Value) {
    match value {
        Value::String(text) => *text = redacted(text),
        Value::Array(items) => {
            // Days of a report look alike once their dates are gone.
            items.iter_mut().for_each(redact);
            let before = items.len();
            items.dedup();
            if items.len() < before {
                items.push(json!(format!("[{before} in all]")));
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                if NEW.contains(&name.as_str()) && member.is_string() {
                    *member = json!(format!("[{name}]"));
                } else {
                    redact(member);
                }
            }
        }
        _ => {}
    }
}
