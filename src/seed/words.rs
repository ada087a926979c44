//! What is said of a file that is not YAML, or has another form than a seed file, in place of the
//! parser's words for programmers.

use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

/// How many values a file may have: keys, texts, lists and what is in braces.
pub(super) const MOST_VALUES: usize = 3_000_000;
/// The rule for booleans.
pub(super) const BOOLEAN: &str = "true or false, without quotes";

/// The rule that a file breaks.
pub(super) fn of(error: &Error) -> String {
    match error {
        Error::Budget {
            breach: BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. },
            ..
        } => format!(
            "must have at most {MOST_VALUES} values, enough for 100,000 triggers; create the rest \
             through the API"
        ),
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "the file is too large, too deep or has too many aliases".to_owned()
        }
        Error::AliasError { error, .. } => of(error),
        Error::Eof { .. } => "the file ends unexpectedly".to_owned(),
        Error::MultipleDocuments { .. } => "must be one YAML document".to_owned(),
        Error::UnknownAnchor { .. } => "the alias has no preceding anchor".to_owned(),
        Error::DuplicateMappingKey { key, .. } => match key {
            Some(key) => format!("the key {key} appears twice"),
            None => "a key appears twice".to_owned(),
        },
        Error::SerdeUnknownField {
            field, expected, ..
        } => format!(
            "{field}: is unknown here; must be one of {}",
            expected.join(", ")
        ),
        Error::SerdeMissingField { field, .. } => format!("{field}: is mandatory"),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            let form = match expected.as_str() {
                "a string" => "a string",
                "u64" => "a whole number",
                "a sequence" => "a list",
                other if other.starts_with("struct ") => KEYS,
                other => other,
            };
            format!("must be {form}")
        }
        Error::Unexpected { expected, .. } if expected.contains("mapping") => {
            format!("must be {KEYS}")
        }
        Error::Unexpected { expected, .. } if expected.contains("sequence") => {
            "must be a list".to_owned()
        }
        Error::Unexpected { expected, .. } if expected.contains("string") => {
            "must be a string".to_owned()
        }
        Error::NullIntoString { .. } => "must be a string, not null".to_owned(),
        Error::InvalidScalar { .. } => "must be a whole number".to_owned(),
        Error::Message { msg, .. } => format!("is not YAML: {msg}"),
        _ => "is not a valid seed file".to_owned(),
    }
}

const KEYS: &str = "a mapping of keys to values, like name: value";
