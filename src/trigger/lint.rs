//! What the maker of a trigger may not have meant. A hint never refuses anything.

use regex_syntax::hir::{Class, Hir, HirKind, Look, LookSet};

use super::{ClusterRef, Condition, NewTrigger, TagList};
use crate::excerpt::excerpt;

/// The longest line of hints, in bytes.
const MAX_LINE: usize = 512;
/// How many characters of a text of the client a hint repeats.
const MAX_REPEATED: usize = 80;
/// The longest example of a tag.
const MAX_EXAMPLE: usize = 40;

/// What stands before and after the example of a tag that an expression is found in.
const BEFORE: &str = "old-";
const AFTER: &str = "-rc1";

/// The characters of tags.
const OF_TAGS: &str = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/// What is around a trigger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// Another trigger of the repository that updates the same container of the same workload.
    pub rival: Option<String>,
    /// Whether there is no cluster like the one that it names.
    pub lacks_cluster: bool,
}

/// The hints for a trigger, each `field: hint`.
pub fn hints(trigger: &NewTrigger, surroundings: &Surroundings) -> Vec<String> {
    let mut hints = of_condition(&trigger.condition);
    if surroundings.lacks_cluster {
        hints.push(match &trigger.cluster {
            ClusterRef::Cce { id, .. } if !id.is_empty() => {
                format!("cluster_id: there is no cluster with the id {}", short(id))
            }
            cluster => {
                let name = short(cluster.name());
                format!("cluster_name: there is no cluster named {name}")
            }
        });
    }
    if let Some(rival) = &surroundings.rival {
        let (kind, name) = (trigger.app_type.as_str(), short(&trigger.application));
        hints.push(format!(
            "application: the trigger {rival} updates the same container of {kind}/{name}"
        ));
    }
    hints
}

/// The hints in one line of printable ASCII; none where there are none.
pub fn line(hints: &[String]) -> Option<String> {
    if hints.is_empty() {
        return None;
    }
    let mut line = String::new();
    for letter in hints.join("; ").chars() {
        if letter == ' ' || letter.is_ascii_graphic() {
            line.push(letter);
        } else {
            line.extend(letter.escape_default());
        }
    }
    if line.len() > MAX_LINE {
        line.truncate(MAX_LINE - 3);
        line.push_str("...");
    }
    Some(line)
}

/// The hints for a condition.
pub fn of_condition(condition: &Condition) -> Vec<String> {
    match condition {
        Condition::All => Vec::new(),
        Condition::Tags(tags) => of_tags(tags).into_iter().collect(),
        Condition::Regular(expression) => of_expression(expression.as_str()).into_iter().collect(),
    }
}

/// Tags may hold no `*`, but a part like `x` is how versions are written that stand for others.
fn of_tags(tags: &TagList) -> Option<String> {
    let is_wildcard = |part: &str| part.eq_ignore_ascii_case("x") || part.is_empty();
    let pattern = tags.names().find(|tag| {
        let mut parts = tag.split('.').skip(1);
        parts.any(is_wildcard)
    })?;
    Some(format!(
        "condition: the tag {} is compared as it is; a pattern needs trigger_type regular",
        short(pattern)
    ))
}

fn of_expression(text: &str) -> Option<String> {
    let hir = regex_syntax::parse(text).ok()?;
    let shown = short(text);
    if matches_every_tag(&hir) {
        return Some(format!(
            "condition: {shown} matches every tag; trigger_type all says so plainly"
        ));
    }
    if is_anchored(&hir) {
        return None;
    }
    let hint = format!("condition: {shown} is not anchored");
    Some(match example(&hir) {
        Some(tag) => format!("{hint}, so it also matches {tag}; ^ and $ anchor it"),
        None => format!("{hint}; ^ and $ anchor it"),
    })
}

fn short(text: &str) -> std::borrow::Cow<'_, str> {
    excerpt(text, MAX_REPEATED)
}

/// Whether each match is at the start of a tag.
fn is_anchored(hir: &Hir) -> bool {
    is_start(hir.properties().look_set_prefix())
}

fn is_start(looks: LookSet) -> bool {
    let starts = [Look::Start, Look::StartLF, Look::StartCRLF];
    starts.into_iter().any(|look| looks.contains(look))
}

fn is_end(looks: LookSet) -> bool {
    let ends = [Look::End, Look::EndLF, Look::EndCRLF];
    ends.into_iter().any(|look| looks.contains(look))
}

/// Whether an expression is found in all tags, as far as that can be seen.
fn matches_every_tag(hir: &Hir) -> bool {
    let looks = hir.properties();
    let is_whole = is_start(looks.look_set_prefix()) && is_end(looks.look_set_suffix());
    let parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    let inner = parts
        .iter()
        .filter(|part| !matches!(part.kind(), HirKind::Look(look) if is_end_or_start(*look)));
    let inner: Vec<_> = inner.collect();
    if inner
        .iter()
        .any(|part| !part.properties().look_set().is_empty())
    {
        return false;
    }
    let may_be_empty = |part: &&Hir| part.properties().minimum_len() == Some(0);
    match inner[..] {
        _ if !is_whole && inner.iter().all(may_be_empty) => true,
        [one] => is_any_text(one, is_whole),
        _ => false,
    }
}

fn is_end_or_start(look: Look) -> bool {
    let looks = LookSet::singleton(look);
    is_start(looks) || is_end(looks)
}

/// Whether an expression is found in all texts of a tag's characters; `is_whole` where it has to be
/// all of the text.
fn is_any_text(hir: &Hir, is_whole: bool) -> bool {
    match hir.kind() {
        HirKind::Capture(capture) => is_any_text(&capture.sub, is_whole),
        HirKind::Class(class) => !is_whole && OF_TAGS.chars().all(|letter| holds(class, letter)),
        HirKind::Repetition(repetition) => {
            let is_enough = repetition.max.is_none() || !is_whole;
            repetition.min <= 1 && is_enough && is_any_text(&repetition.sub, false)
        }
        _ => false,
    }
}

fn holds(class: &Class, letter: char) -> bool {
    match class {
        Class::Unicode(class) => {
            let mut ranges = class.ranges().iter();
            ranges.any(|range| (range.start()..=range.end()).contains(&letter))
        }
        Class::Bytes(class) => {
            let mut ranges = class.ranges().iter();
            ranges.any(|range| (range.start()..=range.end()).contains(&(letter as u8)))
        }
    }
}

/// A tag that an expression without `^` is found in, and that its maker may not have meant.
fn example(hir: &Hir) -> Option<String> {
    let ends = is_end(hir.properties().look_set_suffix());
    let found = sample(hir).filter(|text| !text.is_empty())?;
    let after = if ends { "" } else { AFTER };
    let tag = format!("{BEFORE}{found}{after}");
    let is_tag = tag.chars().all(|letter| OF_TAGS.contains(letter));
    (is_tag && tag.len() <= MAX_EXAMPLE).then_some(tag)
}

/// A short text that an expression is found in, whatever is around it.
fn sample(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Empty => Some(String::new()),
        HirKind::Look(look) if is_end_or_start(*look) => Some(String::new()),
        HirKind::Look(_) => None,
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            Some(text.to_owned())
        }
        HirKind::Class(class) => {
            // A digit or letter that looks like one of a tag, where there is one.
            let letter = "1aA".chars().chain(OF_TAGS.chars());
            let mut letters = letter.filter(|letter| holds(class, *letter));
            letters.next().map(String::from)
        }
        HirKind::Repetition(repetition) => {
            let once = sample(&repetition.sub)?;
            let times = usize::try_from(repetition.min).ok()?;
            (once.len() * times <= MAX_EXAMPLE).then(|| once.repeat(times))
        }
        HirKind::Capture(capture) => sample(&capture.sub),
        HirKind::Concat(parts) => {
            let mut text = String::new();
            for part in parts {
                text.push_str(&sample(part)?);
                if text.len() > MAX_EXAMPLE {
                    return None;
                }
            }
            Some(text)
        }
        HirKind::Alternation(parts) => sample(parts.iter().find(|part| !is_anchored(part))?),
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;
    use crate::trigger::{AppType, TriggerName, TriggerType};

    fn of(kind: TriggerType, text: &str) -> Option<String> {
        let condition = Condition::parse(kind, text).expect("a condition");
        let hints = of_condition(&condition);
        assert!(hints.len() <= 1, "{hints:?}");
        hints.into_iter().next()
    }

    #[test]
    fn an_expression_that_is_not_anchored_gets_an_example_that_it_really_matches() {
        let check = |text: &str, example: Option<&str>| {
            let hint = of(TriggerType::Regular, text).expect("a hint");
            let start = format!("condition: {text} is not anchored");
            assert!(hint.starts_with(&start), "{hint}");
            let expected = match example {
                Some(tag) => {
                    assert!(Regex::new(text).expect("legal").is_match(tag), "{text}");
                    format!("{start}, so it also matches {tag}; ^ and $ anchor it")
                }
                None => format!("{start}; ^ and $ anchor it"),
            };
            assert_eq!(hint, expected);
        };
        check(r"v\d+", Some("old-v1-rc1"));
        check("v1", Some("old-v1-rc1"));
        check("v1$", Some("old-v1"));
        check("^v1|v2", Some("old-v2-rc1"));
        check("(release|rc)-[a-f]{2}", Some("old-release-aa-rc1"));
        check("v[^0-9]", Some("old-va-rc1"));
        check(r"\bv1", None);
        check("v é", None);
        check("a{400}", None);
    }

    #[test]
    fn an_expression_with_a_start_gets_no_hint_unless_it_matches_everything() {
        for text in [
            "^v", "^v2.*", r"^v\d+$", "^(a|b)", "^a|^b", "^.{2,}$", "^v*$", "^.$",
        ] {
            assert_eq!(of(TriggerType::Regular, text), None, "{text}");
        }
        for text in [
            ".*", ".", ".+", "^", "$", "^.*$", "^.+$", "(.*)", "v*", "^v*", r"[\w.-]+", "",
        ] {
            if text.is_empty() {
                continue;
            }
            let hint = of(TriggerType::Regular, text).expect("a hint");
            assert!(hint.contains("matches every tag"), "{hint}");
            for tag in ["v1", "_", "latest", "A.b-c"] {
                assert!(
                    Regex::new(text).expect("legal").is_match(tag),
                    "{text} {tag}"
                );
            }
        }
        assert_eq!(of(TriggerType::All, ".*"), None);
    }

    #[test]
    fn tags_that_look_like_a_pattern_get_a_hint() {
        for text in ["v1.x", "latest;1.X.x", "v1..", "v1."] {
            let hint = of(TriggerType::Tag, text).expect("a hint");
            assert!(hint.contains("is compared as it is"), "{hint}");
        }
        for text in ["v1", "x", "v1.0;v2.0-x", "1.xy"] {
            assert_eq!(of(TriggerType::Tag, text), None, "{text}");
        }
    }

    #[test]
    fn a_rival_and_a_missing_cluster_are_told() {
        let trigger = |cluster| NewTrigger {
            name: TriggerName::parse("name", "t").expect("legal"),
            app_type: AppType::Deployments,
            application: "web".to_owned(),
            cluster_ns: "default".to_owned(),
            condition: Condition::All,
            enabled: true,
            cluster,
            container: String::new(),
        };
        let cce = |id: &str, name: &str| ClusterRef::Cce {
            id: id.to_owned(),
            name: name.to_owned(),
        };
        let surroundings = Surroundings {
            rival: Some("other".to_owned()),
            lacks_cluster: true,
        };
        let rival = "application: the trigger other updates the same container of deployments/web";
        assert_eq!(
            hints(&trigger(cce("c9", "test")), &surroundings),
            ["cluster_id: there is no cluster with the id c9", rival]
        );
        assert_eq!(
            hints(&trigger(cce("", "tset")), &surroundings),
            ["cluster_name: there is no cluster named tset", rival]
        );
        let none = Surroundings::default();
        assert_eq!(hints(&trigger(cce("c", "")), &none), Vec::<String>::new());
    }

    #[test]
    fn a_line_of_hints_is_printable_ascii_of_a_bounded_length() {
        assert_eq!(line(&[]), None);
        let told = line(&["a: é\r\n\u{1b}[1m".to_owned(), "b".to_owned()]);
        assert_eq!(told.as_deref(), Some(r"a: \u{e9}\r\n\u{1b}[1m; b"));
        let long = line(&["é".repeat(1000)]).expect("a line");
        assert!(long.len() == MAX_LINE && long.ends_with("..."), "{long}");
    }
}
