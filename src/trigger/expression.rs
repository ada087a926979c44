//! Regular expressions of conditions: judged by what they parse to, so that a request costs
//! microseconds whatever it holds. They are compiled where pushes are matched, not here.

use regex_syntax::hir::{Hir, HirKind};

/// The longest expression, in characters.
const MAX_LENGTH: usize = 1024;

/// How many bytes a compiled expression may take: what `RegexBuilder::size_limit` is set to.
pub const COMPILED_SIZE_LIMIT: usize = 64 * 1024 * 1024;

/// The largest parsed form, in the units of [`size`]. What stays below compiles to less than
/// [`COMPILED_SIZE_LIMIT`], as the test `what_is_accepted_compiles` shows.
const MAX_SIZE: u64 = 100_000;

/// A regular expression in the syntax of the `regex` crate (RE2-like, Unicode). It is searched
/// for, not matched as a whole: `^` and `$` anchor it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression(String);

impl Expression {
    /// Checks an expression; the error is the rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, String> {
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
        if size(&parsed) > MAX_SIZE {
            return Err("it is too large once its repetitions are written out".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The expression as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// About how many ranges and bytes the expression has once its repetitions are written out; the
/// compiled form grows with it.
fn size(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => class.ranges().len() as u64,
        HirKind::Class(regex_syntax::hir::Class::Bytes(class)) => class.ranges().len() as u64,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            size(&repetition.sub)
                .saturating_add(1)
                .saturating_mul(u64::from(times))
        }
        HirKind::Capture(capture) => size(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts
            .iter()
            .fold(1, |sum: u64, part| sum.saturating_add(size(part))),
    }
}

#[cfg(test)]
mod tests {
    use regex::RegexBuilder;

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
    fn what_is_accepted_compiles() {
        let largest = [
            r"\w{120}".to_owned(),
            r"\W{130}".to_owned(),
            r"(?i)\w{100}".to_owned(),
            r"\pL{140}".to_owned(),
            r"[^a]{30000}".to_owned(),
            r".{30000}".to_owned(),
            "(a|b|c|d){7000}".to_owned(),
            "a{49000}".to_owned(),
            "(?:){90000}".to_owned(),
            r"\b{4}{4}{4}{4}{4}{4}{4}{4}".to_owned(),
            r"(\w\d\s){90}".to_owned(),
            format!("(?:{}){{90}}", "x".repeat(1000)),
        ];
        let mut accepted = 0;
        for text in largest {
            if Expression::parse(&text).is_ok() {
                accepted += 1;
                let compiled = RegexBuilder::new(&text)
                    .size_limit(COMPILED_SIZE_LIMIT)
                    .build();
                assert!(compiled.is_ok(), "{text:.40}: {:?}", compiled.err());
            }
        }
        assert!(
            accepted >= 8,
            "only {accepted} of the large ones are accepted"
        );
    }
}
