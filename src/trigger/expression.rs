//! Regular expressions of conditions: judged by what they parse to, so that a request costs
//! microseconds whatever it holds. They are compiled where pushes are matched, not here.

use regex_syntax::hir::{Class, Hir, HirKind};
use regex_syntax::utf8::Utf8Sequences;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// The longest expression, in characters.
const MAX_LENGTH: usize = 1024;

/// The largest parsed form, in the units of [`size`]. What stays below compiles within the
/// `regex` crate's own limit of 10 MiB, as the test `what_is_accepted_compiles` shows.
const MAX_SIZE: u64 = 250_000;

/// A regular expression in the syntax of the `regex` crate (RE2-like, Unicode). It is searched
/// for, not matched as a whole: `^` and `$` anchor it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression(String);

impl Expression {
    /// Checks an expression; the error is the rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH || !is_plain(text) {
            Self::size_of(text)?;
        }
        Ok(Self(text.to_owned()))
    }

    /// An expression as it is stored: [`Self::parse`] accepted it when it was written.
    pub(super) fn stored(text: String) -> Self {
        Self(text)
    }

    /// Checks an expression: how large it is once its repetitions are written out, or the rule that
    /// it breaks. Its compiled form takes at most 40 bytes for each.
    pub fn size_of(text: &str) -> Result<u64, String> {
        if text.chars().count() > MAX_LENGTH {
            return Err(format!("at most {MAX_LENGTH} characters"));
        }
        let parsed = regex_syntax::parse(text).map_err(|error| match error {
            regex_syntax::Error::Parse(error) => {
                let at = error.span().start.offset;
                format!("{} at byte {at}", error.kind())
            }
            regex_syntax::Error::Translate(error) => {
                let at = error.span().start.offset;
                format!("{} at byte {at}", error.kind())
            }
            _ => "it cannot be read".to_owned(),
        })?;
        let size = size(&parsed);
        if size > MAX_SIZE {
            return Err("it is too large once its repetitions are expanded".to_owned());
        }
        Ok(size)
    }

    /// The expression as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its size, in the units of [`Self::size_of`]. One that would be refused by now counts as the
    /// largest.
    pub fn size(&self) -> u64 {
        Self::size_of(&self.0).unwrap_or(MAX_SIZE)
    }
}

impl JsonSchema for Expression {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Expression".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_LENGTH})
    }
}

/// Whether a text is an expression as most conditions have it: letters, digits, `_`, `-`, `.`, `\.`
/// and classes of letters and digits, each as it is or with `*`, `+` or `?`, and perhaps between `^`
/// and `$`. Such an expression is legal and small, which parsing it would take far longer to tell.
fn is_plain(text: &str) -> bool {
    let text = text.strip_prefix('^').unwrap_or(text);
    let text = text.strip_suffix('$').unwrap_or(text);
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let after = match first {
            b'_' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => Some(after),
            b'\\' => after.strip_prefix(b"."),
            b'[' => after_class(after),
            _ => None,
        };
        let Some(after) = after else {
            return false;
        };
        rest = match after {
            [b'*' | b'+' | b'?', after @ ..] => after,
            _ => after,
        };
    }
    true
}

/// What comes after a class of letters, digits and ranges of them, whose `[` is behind.
fn after_class(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        rest = match rest {
            [from, b'-', to, rest @ ..] if from.is_ascii_alphanumeric() => {
                (to.is_ascii_alphanumeric() && from <= to).then_some(rest)?
            }
            [one, rest @ ..] if one.is_ascii_alphanumeric() => rest,
            _ => return None,
        };
        if let [b']', rest @ ..] = rest {
            return Some(rest);
        }
    }
}

/// How many bytes and ranges of bytes the expression has once its classes are written in UTF-8
/// and its repetitions written out, with the states that join them: never fewer than the states
/// of the compiled form.
fn size(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64,
        HirKind::Class(Class::Unicode(class)) => class
            .ranges()
            .iter()
            .flat_map(|range| Utf8Sequences::new(range.start(), range.end()))
            .map(|sequence| sequence.len() as u64)
            .fold(1, u64::saturating_add),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            size(&repetition.sub)
                .saturating_add(1)
                .saturating_mul(u64::from(times))
                .saturating_add(3)
        }
        HirKind::Capture(capture) => size(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) => sum(1, parts),
        HirKind::Alternation(parts) => sum(2, parts),
    }
}

fn sum(joints: u64, parts: &[Hir]) -> u64 {
    parts
        .iter()
        .fold(joints, |sum, part| sum.saturating_add(size(part)))
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn an_expression_is_bounded_in_length_and_in_size() {
        let check = |text: &str, accepted: bool| {
            let parsed = Expression::parse(text);
            assert_eq!(parsed.is_ok(), accepted, "{text:.40}: {parsed:?}");
        };
        check("^v2.*", true);
        check(r"^v[0-9]+\.[0-9]+\.[0-9]+$", true);
        check(r"^release-\w{1,40}$", true);
        check("^(dev|test|prod)-.*$", true);
        check("(?i)^RC", true);
        check(&"a".repeat(MAX_LENGTH), true);
        check(&"a".repeat(MAX_LENGTH + 1), false);
        check("(", false);
        check("*", false);
        check("a{2,1}", false);
        check(r"(a)\1", false);
        check("(?=a)", false);
        check(r"\p{Nonsense}", false);
        check("(((a{1000}){1000}){1000})", false);
        check("((((((a{9}){9}){9}){9}){9}){9}){9}", false);
        check(r"\w{1000}", false);
        check(&"(".repeat(1000), false);
    }

    #[test]
    fn what_is_plain_is_an_expression_and_small() {
        let mut plain = 0;
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            let longer = |text: &String| {
                let characters = "a9-_.\\[]*+?^$(|{".chars();
                let text = text.clone();
                characters.map(move |character| format!("{text}{character}"))
            };
            texts = texts.iter().flat_map(longer).collect();
            for text in texts.iter().filter(|text| is_plain(text)) {
                let size = Expression::size_of(text);
                assert!(size.is_ok(), "{text}: {size:?}");
                plain += 1;
            }
        }
        assert!(plain > 3000, "{plain}");
        for part in [".", ".*", ".+", ".?", "[0-9A-Za-z]*", r"\."] {
            let largest = part.repeat(MAX_LENGTH / part.len());
            assert!(is_plain(&largest) && Expression::size_of(&largest).is_ok());
        }
        for (text, expected) in [
            (".*", true),
            ("^v2.*", true),
            (r"^v[0-9]+\.[0-9]+\.[0-9]+$", true),
            ("^release-[0-9A-Fa-f]+", true),
            ("[9-0]", false),
            ("[a-9]", false),
            ("[a-]", false),
            ("a**", false),
            ("^*", false),
            ("a{2}", false),
            (r"\d", false),
            (r"a\$", false),
            ("é", false),
        ] {
            assert_eq!(is_plain(text), expected, "{text}");
        }
    }

    /// How often a part can be repeated before the expression is refused, at the most.
    fn most_accepted(part: &str) -> (u32, String) {
        let repeated = |times: u32| format!("(?:{part}){{{times}}}");
        let (mut accepted, mut refused) = (0, 300_000);
        while refused - accepted > 1 {
            let times = u32::midpoint(accepted, refused);
            if Expression::parse(&repeated(times)).is_ok() {
                accepted = times;
            } else {
                refused = times;
            }
        }
        (accepted, repeated(accepted))
    }

    #[test]
    fn what_is_accepted_compiles() {
        for part in [
            r"\w",
            r"\W",
            r"(?i)\w",
            r"\pL",
            "[^a]",
            ".",
            "(?:a|b|c|d)",
            "a",
            r"\b",
            r"\w\d\s",
            "[a-z0-9]",
            "(?i:abc)",
            "é",
            "(a)",
            r"\d",
            "a?",
            "a*",
            "(a)?",
            "(?:a|)",
            "(?:a|b?|c*)",
            "(?:a?b?c?)?",
            "(?:a{0,3}b)*",
            "(?:a{0,3}){0,3}",
            "(?:ab|cd|ef|gh)?",
            "(?:a?b?|c?d?)?",
            r"(?:\b|a)",
            r"(?:\w?)*",
            "[α-ω]?",
            "[αγε]*",
            r"[\x{80}-\x{10FFFF}]",
            r"(?:\pL|ab)",
            "((a)?(b)?)?",
            "((((a))))*",
        ] {
            let (times, largest) = most_accepted(part);
            assert!(times >= 60, "{part} is accepted {times} times");
            let compiled = Regex::new(&largest);
            assert!(compiled.is_ok(), "{largest}: {:?}", compiled.err());
        }
    }
}
