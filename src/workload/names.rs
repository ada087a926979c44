//! The names of Kubernetes' objects (RFC 1123), as triggers, the seed file and `/_emulator/` take
//! them.

use std::sync::LazyLock;

use regex::Regex;
use schemars::{Schema, json_schema};

use crate::error::{Error, Result};

/// The name of a Kubernetes namespace or container (RFC 1123 label).
const LABEL: &str = "^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$";
/// The name of a workload (RFC 1123 subdomain).
const SUBDOMAIN: &str = "^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$";
/// The longest of each.
const MAX_LABEL: usize = 63;
const MAX_SUBDOMAIN: usize = 253;

/// The rule of [`parse_label`], for the document of the API.
pub fn label_schema() -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_LABEL,
        "pattern": LABEL,
        "examples": ["default"],
    })
}

/// The rule of [`parse_subdomain`], for the document of the API.
pub fn subdomain_schema() -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_SUBDOMAIN,
        "pattern": SUBDOMAIN,
        "examples": ["web"],
    })
}

/// Checks the name of a Kubernetes namespace or container (RFC 1123 label).
pub fn parse_label(field: &'static str, text: &str) -> Result<String> {
    static RULE: LazyLock<Regex> = LazyLock::new(|| Regex::new(LABEL).expect("a valid expression"));
    if text.len() > MAX_LABEL || !RULE.is_match(text) {
        let rule = "must be an RFC 1123 label: at most 63 lower-case letters, digits and hyphens, \
                    starting and ending with a letter or digit";
        return Err(Error::invalid(field, rule));
    }
    Ok(text.to_owned())
}

/// Checks the name of a workload (RFC 1123 subdomain).
pub fn parse_subdomain(field: &'static str, text: &str) -> Result<String> {
    static RULE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(SUBDOMAIN).expect("a valid expression"));
    if text.len() > MAX_SUBDOMAIN || !RULE.is_match(text) {
        let rule = "must be an RFC 1123 subdomain: at most 253 lower-case letters, digits, \
                    hyphens and dots, each part starting and ending with a letter or digit";
        return Err(Error::invalid(field, rule));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
