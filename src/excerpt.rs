//! Texts that somebody else wrote, cut before they are repeated: in an answer, in the log, in what
//! is remembered of a request. Nothing that is echoed is longer than it is useful.

use std::borrow::Cow;

/// The first characters of a text, `most` of them at the most.
pub(crate) fn beginning(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    match text.char_indices().nth(most) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// A text, or its beginning with a sign that there was more.
pub(crate) fn excerpt(text: &str, most: usize) -> Cow<'_, str> {
    let beginning = beginning(text, most);
    if beginning.len() == text.len() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{beginning}…"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_a_character() {
        let check = |text: &str, expected: &str| assert_eq!(beginning(text, 3), expected);
        check("", "");
        check("abc", "abc");
        check("abcd", "abc");
        check("äöü", "äöü");
        check("äöüß", "äöü");
    }

    #[test]
    fn an_excerpt_tells_that_there_was_more() {
        assert_eq!(excerpt("äöü", 3), "äöü");
        assert_eq!(excerpt("äöüß", 3), "äöü…");
    }
}
