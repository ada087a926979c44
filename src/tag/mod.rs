//! Tags of images. So far only their names, which conditions of triggers hold.

use std::sync::LazyLock;

use regex::Regex;

/// The name of a tag: 1 to 128 characters by the OCI rule (distribution specification, pulling
/// manifests).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagName(String);

impl TagName {
    /// Checks a name; none when it breaks the rule.
    pub fn parse(text: &str) -> Option<Self> {
        static RULE: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$").expect("a valid expression")
        });
        RULE.is_match(text).then(|| Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::TagName;

    #[test]
    fn a_name_follows_the_oci_rule() {
        let check = |name: &str, accepted: bool| {
            assert_eq!(TagName::parse(name).is_some(), accepted, "{name:?}");
        };
        check("v1.2", true);
        check("V1", true);
        check("_", true);
        check(&"a".repeat(128), true);
        check("", false);
        check(&"a".repeat(129), false);
        check(".a", false);
        check("-a", false);
        check("a b", false);
        check("a;b", false);
        check("a\n", false);
    }
}
