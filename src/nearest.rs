//! Names that somebody misspelt, and the known ones that were meant.

/// How alike two names have to be, from 0 to 1 (Jaro and Winkler).
const ALIKE: f64 = 0.85;
/// The longest text for which a name is looked for.
const MAX_TEXT: usize = 128;

/// The known name that is most like a text, if one is much like it.
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let text = text.to_lowercase();
    let alike = known.into_iter().map(|name| {
        let likeness = strsim::jaro_winkler(&text, &name.to_lowercase());
        (likeness, name)
    });
    alike
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

/// The rule that an unknown name breaks: the name that was meant, or else those that there are.
pub(crate) fn unknown(text: &str, known: &[&str]) -> String {
    match (nearest(text, known.iter().copied()), known) {
        (Some(name), _) => format!("is unknown; did you mean {name}?"),
        (None, []) => "is unknown; no parameters are accepted here".to_owned(),
        (None, known) => format!("is unknown; must be one of {}", known.join(", ")),
    }
}

/// The rule that an unknown name of an operation breaks. There are too many to list.
pub(crate) fn unknown_operation<'a>(
    text: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    match nearest(text, known) {
        Some(name) => format!("is unknown; did you mean {name}?"),
        None => "must name an operation, like CreateTrigger or PutManifest".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_beginning_its_case_and_its_slips() {
        let known = ["operation", "status", "delay_ms", "CreateTrigger", "times"];
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(nearest(text, known), expected, "{text}");
        };
        check("operations", Some("operation"));
        check("state", Some("status"));
        check("delay", Some("delay_ms"));
        check("CreateTriger", Some("CreateTrigger"));
        check("createtrigger", Some("CreateTrigger"));
        check("time", Some("times"));
        check("x", None);
        check("", None);
        check(&"status".repeat(100), None);
    }

    #[test]
    fn an_unknown_name_is_told_the_nearest_one_or_all() {
        let known = ["limit", "marker"];
        let check = |text: &str, known: &[&str], expected: &str| {
            assert_eq!(unknown(text, known), expected);
        };
        check("limits", &known, "is unknown; did you mean limit?");
        check("x", &known, "is unknown; must be one of limit, marker");
        check("x", &[], "is unknown; no parameters are accepted here");
    }
}
