//! What is kept of a request's body for `/_emulator/requests`: JSON only, without the values of
//! fields whose names tell that they are secret, and no more than a few KiB.

use std::sync::Arc;

use serde::de::IgnoredAny;

use super::log::is_secret;

/// How many bytes of a body are kept.
const MOST: usize = 4096;
/// The sign that there was more.
const MORE: &str = "…";

/// What is kept of a body; nothing where it is not JSON. It is masked as a whole before it is cut.
pub(super) fn recorded(content: &[u8]) -> Option<Arc<str>> {
    let text = std::str::from_utf8(content).ok()?;
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let mut text = masked(text);
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST - MORE.len()));
        text.push_str(MORE);
    }
    Some(text.into())
}

/// A JSON text without the values of secret fields; of a long one, more than is kept and not all.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('"') {
        let end = at + string_length(&rest[at..]);
        let string = &rest[at..end];
        masked.push_str(&rest[..end]);
        if masked.len() > MOST {
            return masked;
        }
        rest = &rest[end..];
        // Nothing but the name of a field has a colon after it.
        let value = rest.trim_start().strip_prefix(':').map(str::trim_start);
        if let Some(value) = value.filter(|_| names_secret(string)) {
            masked.push_str(&rest[..rest.len() - value.len()]);
            masked.push_str("\"***\"");
            rest = &value[value_length(value)..];
        }
    }
    masked.push_str(rest);
    masked
}

/// Whether a field's name, in its quotes, tells that its value is secret. One that cannot be read
/// might.
fn names_secret(string: &str) -> bool {
    match serde_json::from_str::<String>(string) {
        Ok(name) => is_secret(&name),
        Err(_) => true,
    }
}

/// How long the string is that a JSON text begins with, its quotes included.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

/// How long the value is that a JSON text begins with.
fn value_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let Some(&byte) = rest.as_bytes().first()
    {
        match byte {
            b'"' => at += string_length(rest),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ => {
                // A number or a word, or what is between values.
                let plain = |byte: &u8| !matches!(byte, b'"' | b'{' | b'[' | b'}' | b']' | b',');
                let length = rest.bytes().take_while(plain).count();
                at += length.max(1);
            }
        }
        if depth == 0 {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_body_is_kept_as_it_was_sent_but_for_secrets() {
        let check = |sent: &str, expected: &str| {
            let kept = recorded(sent.as_bytes());
            assert_eq!(kept.as_deref(), Some(expected), "{sent}");
        };
        for same in [
            r#"{"name": "t",  "enable":"true", "condition":"\"password\": x"}"#,
            r#"[{"user_id":"a","auth":7}, {"user_id":"b"}]"#,
            r#" {"a": [1, -2.50e3, true, null, "\\"], "b": {}} "#,
            "[]",
            "\"password\"",
        ] {
            check(same, same);
        }
        check(r#"{"password":"p","a":1}"#, r#"{"password":"***","a":1}"#);
        check(
            r#"{"a":{"X-Auth-Token" : "t" , "b":"c"}}"#,
            r#"{"a":{"X-Auth-Token" : "***" , "b":"c"}}"#,
        );
        check(
            r#"{"my_secrets":{"a":["}","\"]"],"b":[{}]},"c":1}"#,
            r#"{"my_secrets":"***","c":1}"#,
        );
        check(r#"{"tokens":[1,[2,3]]}"#, r#"{"tokens":"***"}"#);
        check(r#"{"token":12 ,"a":1}"#, r#"{"token":"***","a":1}"#);
        check(r#"{"token":null}"#, r#"{"token":"***"}"#);
        check(
            r#"{"token":"a","token":"b"}"#,
            r#"{"token":"***","token":"***"}"#,
        );
        check(
            r#"{"p\u0061ssword":"p","\ud800":"q"}"#,
            r#"{"p\u0061ssword":"***","\ud800":"***"}"#,
        );
    }

    #[test]
    fn what_is_not_json_is_not_kept() {
        for sent in [
            "",
            "password=p",
            r#"{"password":"p""#,
            r#"{"password":"p"} x"#,
            "{'a': 1}",
        ] {
            assert_eq!(recorded(sent.as_bytes()), None, "{sent}");
        }
        assert_eq!(recorded(b"\"\xff\""), None);
    }

    #[test]
    fn a_long_body_is_masked_before_it_is_cut() {
        let check = |body: Value| {
            let kept = recorded(body.to_string().as_bytes()).expect("JSON");
            assert!(
                kept.len() <= MOST && kept.len() > MOST - 8,
                "{}",
                kept.len()
            );
            assert!(kept.ends_with(MORE) && !kept.contains("hidden"), "{kept}");
        };
        let secret = "hidden".repeat(1000);
        check(json!({"a": "x".repeat(MOST - 30), "password": secret, "z": "z".repeat(50)}));
        check(json!({"a": "\u{e9}".repeat(MOST), "token": secret}));
        check(json!({"a": "x".repeat(100_000)}));
        check(json!(vec!["abc"; MOST]));
        check(json!(vec![12345; MOST]));

        let just = json!("x".repeat(MOST - 2)).to_string();
        assert_eq!(recorded(just.as_bytes()).as_deref(), Some(&*just));
    }
}
