//! How close a tag came to a regular expression that it does not match.

use regex::RegexBuilder;
use regex_automata::Input;
use regex_automata::hybrid::dfa::DFA;
use regex_automata::util::start;

/// What would have made the tag match, where it can be told.
pub(super) fn hint(expression: &str, tag: &str) -> Option<String> {
    let any_case = RegexBuilder::new(expression).case_insensitive(true).build();
    if any_case.is_ok_and(|any_case| any_case.is_match(tag)) {
        return Some("it would match if case were ignored".to_owned());
    }
    let automaton = DFA::new(expression).ok()?;
    let mut cache = automaton.create_cache();
    let config = start::Config::from_input_forward(&Input::new(tag));
    let mut state = automaton.start_state(&mut cache, &config).ok()?;
    for (at, byte) in tag.bytes().enumerate() {
        state = automaton.next_state(&mut cache, state, byte).ok()?;
        if state.is_dead() {
            let rest = &tag[at..];
            return Some(match at {
                0 => format!("a match cannot start with {}", first_of(rest)),
                _ => format!("after {} a match cannot continue with {rest}", &tag[..at]),
            });
        }
    }
    // An expression that is searched for anywhere never gives up, and so tells nothing.
    let is_anchored = expression.starts_with('^');
    is_anchored.then(|| format!("after {tag} a match needs more characters"))
}

fn first_of(text: &str) -> String {
    text.chars().take(1).collect()
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn the_place_where_a_tag_left_the_expression_is_told() {
        let check = |expression: &str, tag: &str, expected: Option<&str>| {
            assert_eq!(
                hint(expression, tag).as_deref(),
                expected,
                "{expression} {tag}"
            );
        };
        check("^v2", "v3", Some("after v a match cannot continue with 3"));
        check("^v2", "x2", Some("a match cannot start with x"));
        check(
            r"^v\d+$",
            "v2-rc1",
            Some("after v2 a match cannot continue with -rc1"),
        );
        check(
            r"^v\d+\.\d+$",
            "v2",
            Some("after v2 a match needs more characters"),
        );
        check(
            "^RELEASE-",
            "release-1",
            Some("it would match if case were ignored"),
        );
        check("beta", "v2", None);
    }
}
