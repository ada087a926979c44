//! Writes YAML that reads back as what was written: blocks of two spaces, one value a line, and
//! quotes around every text that could be read as something else.

use std::fmt::Write as _;

use serde_json::Value;

/// A value to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Yaml {
    Text(String),
    /// A boolean or a number.
    Plain(String),
    List(Vec<Fields>),
    Map(Fields),
}

/// Keys with their values, in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fields {
    keys: Vec<(&'static str, Yaml)>,
    /// Stands above.
    comment: Option<&'static str>,
}

impl Fields {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The same with a comment above it.
    pub(super) fn with_comment(mut self, comment: &'static str) -> Self {
        self.comment = Some(comment);
        self
    }

    /// How many keys it has.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn text(&mut self, key: &'static str, text: impl Into<String>) {
        self.keys.push((key, Yaml::Text(text.into())));
    }

    /// The text, if there is one.
    pub(super) fn some_text(&mut self, key: &'static str, text: Option<impl Into<String>>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    /// The text, unless it is empty.
    pub(super) fn filled(&mut self, key: &'static str, text: &str) {
        self.some_text(key, (!text.is_empty()).then_some(text));
    }

    /// `true`, unless it is not.
    pub(super) fn yes(&mut self, key: &'static str, is: bool) {
        if is {
            self.plain(key, true);
        }
    }

    /// A boolean or a number.
    pub(super) fn plain(&mut self, key: &'static str, value: impl Into<Value>) {
        self.keys.push((key, Yaml::Plain(value.into().to_string())));
    }

    /// A text, a boolean or a number.
    pub(super) fn value(&mut self, key: &'static str, value: &Value) {
        match value {
            Value::String(text) => self.text(key, text),
            other => self.plain(key, other.clone()),
        }
    }

    /// The list, unless it is empty.
    pub(super) fn list(&mut self, key: &'static str, list: Vec<Fields>) {
        if !list.is_empty() {
            self.keys.push((key, Yaml::List(list)));
        }
    }

    pub(super) fn map(&mut self, key: &'static str, map: Fields) {
        self.keys.push((key, Yaml::Map(map)));
    }

    /// The same where the value is a list that may be empty.
    pub(super) fn any_list(&mut self, key: &'static str, list: Vec<Fields>) {
        self.keys.push((key, Yaml::List(list)));
    }

    /// As a document, or part of one that stands `indent` spaces to the right.
    pub(super) fn write(&self, out: &mut String, indent: usize) {
        for (key, value) in &self.keys {
            pad(out, indent);
            out.push_str(key);
            out.push(':');
            match value {
                Yaml::Text(text) => {
                    out.push(' ');
                    write_text(out, text);
                    out.push('\n');
                }
                Yaml::Plain(text) => {
                    out.push(' ');
                    out.push_str(text);
                    out.push('\n');
                }
                Yaml::List(items) if items.is_empty() => out.push_str(" []\n"),
                Yaml::List(items) => {
                    out.push('\n');
                    for item in items {
                        item.write_item(out, indent + 2);
                    }
                }
                Yaml::Map(fields) => {
                    out.push('\n');
                    fields.write(out, indent + 2);
                }
            }
        }
    }

    /// As an item of a list.
    fn write_item(&self, out: &mut String, indent: usize) {
        if let Some(comment) = self.comment {
            pad(out, indent);
            out.push_str("# ");
            out.push_str(comment);
            out.push('\n');
        }
        let start = out.len();
        self.write(out, indent + 2);
        // In place of the spaces before the first key.
        out.replace_range(start + indent..=start + indent, "-");
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Plain words that YAML, of whichever version, reads as something else than text.
const RESERVED: [&str; 11] = [
    "true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf",
];

fn is_plain(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && text.bytes().all(legal)
        && !RESERVED.contains(&text.to_ascii_lowercase().as_str())
}

fn write_text(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // What YAML does not let stand in a text, ends a line in it, or cannot be seen.
            letter if letter.is_control() || is_special(letter) => {
                let code = u32::from(letter);
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

fn is_special(letter: char) -> bool {
    matches!(
        letter,
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' | '\u{202a}'..='\u{202e}'
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn written(text: &str) -> String {
        let mut fields = Fields::new();
        fields.text("key", text);
        let mut out = String::new();
        fields.write(&mut out, 0);
        out
    }

    fn read(yaml: &str) -> String {
        let read: BTreeMap<String, Value> = serde_saphyr::from_str(yaml).expect("YAML");
        let text = read["key"].as_str();
        text.unwrap_or_else(|| panic!("{yaml} is no text"))
            .to_owned()
    }

    #[test]
    fn every_text_reads_back_as_it_is() {
        for text in [
            "",
            " ",
            " a",
            "a ",
            "yes",
            "No",
            "ON",
            "true",
            "null",
            "~",
            "1.0",
            "1e3",
            "0x10",
            "012",
            "1_000",
            "-",
            "- a",
            "-1",
            "a: b",
            "a #b",
            "#",
            "a:",
            ":",
            "?",
            "!tag",
            "&a",
            "*a",
            "@",
            "`",
            "%",
            "|",
            ">",
            "{a}",
            "{registry}/g/r",
            "[a]",
            "a, b",
            "'",
            "\"",
            "\\",
            "\\n",
            "a\nb",
            "a\r\nb",
            "\t",
            "\0",
            "\u{7f}",
            "\u{85}",
            "\u{a0}",
            "\u{2028}",
            "\u{feff}",
            "\u{ffff}",
            "\u{202e}abc",
            "ä",
            "组织",
            "🦀",
            "\u{10ffff}",
            "2026-01-01",
            "12:30:45",
            ".inf",
            ".NaN",
            "=",
            "<<",
            "---",
            "...",
            "y",
            "N",
            "nan",
            "a/b_c.d-e",
        ] {
            let yaml = written(text);
            assert_eq!(read(&yaml), text, "{yaml}");
            assert_eq!(yaml.lines().count(), 1, "{yaml}");
        }
        let random = &mut fastrand::Rng::with_seed(7);
        for _ in 0..2000 {
            let letter = |random: &mut fastrand::Rng| match random.u8(..4) {
                0 => random.char('\0'..'\u{100}'),
                1 => random.char('\u{2000}'..'\u{2100}'),
                2 => *random
                    .choice(b":-#'\"\\{}[],&*!|>%@`? \n")
                    .map_or(&' ', |_| &':'),
                _ => random.char(..),
            };
            let text: String = (0..random.usize(..12)).map(|_| letter(random)).collect();
            let yaml = written(&text);
            assert_eq!(read(&yaml), text, "{yaml:?}");
        }
    }

    #[test]
    fn a_text_that_can_be_nothing_else_has_no_quotes() {
        assert_eq!(written("team/app-1.x"), "key: team/app-1.x\n");
        assert_eq!(written("yes"), "key: \"yes\"\n");
        assert_eq!(written("1.0"), "key: \"1.0\"\n");
        assert_eq!(written("a: b"), "key: \"a: b\"\n");
        assert_eq!(written("null"), "key: \"null\"\n");
        assert_eq!(written("ä"), "key: \"ä\"\n");
    }

    #[test]
    fn lists_and_maps_are_blocks() {
        let mut inner = Fields::new();
        inner.text("name", "a");
        inner.plain("auth", 3);
        let mut outer = Fields::new();
        outer.text("name", "g");
        outer.list(
            "users",
            vec![inner.clone().with_comment("note"), inner.clone()],
        );
        outer.list("none", Vec::new());
        outer.any_list("empty", Vec::new());
        outer.map("one", inner);
        let mut file = Fields::new();
        file.list("groups", vec![outer]);
        let mut out = String::new();
        file.write(&mut out, 0);
        let expected = "\
groups:
  - name: g
    users:
      # note
      - name: a
        auth: 3
      - name: a
        auth: 3
    empty: []
    one:
      name: a
      auth: 3
";
        assert_eq!(out, expected);
    }
}
