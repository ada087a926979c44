//! A tree for people.

use std::fmt;

use swr_emulator::internal::one_line;

/// A line, and those that belong to it.
#[derive(Debug, Default)]
pub(super) struct Tree {
    line: String,
    branches: Vec<Tree>,
}

impl Tree {
    /// A tree of one line. What others wrote in it does not command the terminal.
    pub(super) fn new(line: impl AsRef<str>) -> Self {
        Self {
            line: one_line(line.as_ref()),
            branches: Vec::new(),
        }
    }

    /// The same tree with another branch.
    #[must_use]
    pub(super) fn with(mut self, branch: impl Into<Tree>) -> Self {
        self.branches.push(branch.into());
        self
    }

    /// The same tree with more branches.
    #[must_use]
    pub(super) fn with_all(mut self, branches: impl IntoIterator<Item = impl Into<Tree>>) -> Self {
        self.branches.extend(branches.into_iter().map(Into::into));
        self
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, indent: &str) -> fmt::Result {
        writeln!(f, "{}", self.line)?;
        for (at, branch) in self.branches.iter().enumerate() {
            let (mark, below) = if at + 1 == self.branches.len() {
                ("└── ", "    ")
            } else {
                ("├── ", "│   ")
            };
            write!(f, "{indent}{mark}")?;
            branch.write(f, &format!("{indent}{below}"))?;
        }
        Ok(())
    }
}

impl From<String> for Tree {
    fn from(line: String) -> Self {
        Self::new(line)
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_stands_below_the_one_that_it_belongs_to() {
        let inner = Tree::new("b").with_all(["c".to_owned(), "d\u{1b}[2J\n".to_owned()]);
        let tree = Tree::new("a").with(inner).with("e".to_owned());
        let expected = "a\n├── b\n│   ├── c\n│   └── d\\u{1b}[2J\\n\n└── e\n";
        assert_eq!(tree.to_string(), expected);
    }
}
