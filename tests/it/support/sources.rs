//! The source of the program, for tests that hold its order and its statements.

use std::path::{Path, PathBuf};

/// Every file of `src` with its path there and its code: no comments, no tests.
pub(crate) fn sources() -> Vec<(String, String)> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    assert!(files.len() > 100);
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let code = without_tests(&text)
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let name = path
            .strip_prefix(&root)
            .expect("below")
            .to_str()
            .expect("UTF-8");
        (name.to_owned(), code.collect::<Vec<_>>().join("\n"))
    };
    files.into_iter().map(read).collect()
}

/// A file up to its tests. A line that names them, or what only they use, is not yet where they are.
fn without_tests(text: &str) -> &str {
    let mut marks = text.match_indices("#[cfg(test)]\n");
    let begins = |(at, mark): &(usize, &str)| {
        let item = text[at + mark.len()..].lines().next();
        item.is_some_and(|item| item.ends_with('{'))
    };
    marks.find(begins).map_or(text, |(at, _)| &text[..at])
}
