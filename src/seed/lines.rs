//! Where in a seed file a field is. The file is read once more for that, when it breaks a rule.

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::file::limits;
use super::words::MOST_VALUES;

/// The line of a field like `clusters[0].name`: that of its key, of what should have the key, or of
/// the alias that brought it there.
pub(super) fn line_of(text: &str, field: &str) -> u64 {
    let root = serde_saphyr::from_str_with_options::<Spanned<Node>>(text, limits(MOST_VALUES));
    root.map_or(0, |root| descend(&root, 1, field))
}

enum Node {
    Leaf,
    List(Vec<Spanned<Node>>),
    Keys(Vec<(Spanned<String>, Spanned<Node>)>),
}

/// The line of what is at `rest` in a node that stands at `line`.
fn descend(node: &Spanned<Node>, line: u64, rest: &str) -> u64 {
    let used = node.referenced.line();
    if used != node.defined.line() {
        return used;
    }
    match &node.value {
        Node::Leaf => line,
        Node::List(nodes) => {
            let index = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            let found = index.and_then(|(at, rest)| {
                let node = nodes.get(at.parse::<usize>().ok()?)?;
                Some((node, rest))
            });
            found.map_or(line, |(node, rest)| {
                descend(
                    node,
                    node.referenced.line(),
                    rest.strip_prefix('.').unwrap_or(rest),
                )
            })
        }
        Node::Keys(nodes) => {
            let found = nodes.iter().filter_map(|(key, node)| {
                let rest = rest.strip_prefix(key.value.as_str())?;
                let is_whole = rest.is_empty() || rest.starts_with(['.', '[']);
                is_whole.then_some((key, node, rest))
            });
            // The longest key, since a key may hold a dot.
            let found = found.min_by_key(|(_, _, rest)| rest.len());
            found.map_or(line, |(key, node, rest)| {
                let line = key.referenced.line();
                descend(node, line, rest.strip_prefix('.').unwrap_or(rest))
            })
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = access.next_element()? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(entry) = access.next_entry()? {
            nodes.push(entry);
        }
        Ok(Node::Keys(nodes))
    }
}
