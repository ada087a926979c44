//! The order of the house: which rooms of `src` may know of which. `src/lib.rs` tells it to readers;
//! this holds it.

use std::path::{Path, PathBuf};

/// Rooms whose own subject is HTTP, so that their `mod.rs` may know of it.
const HTTP: [&str; 6] = [
    "control/",
    "edge/",
    "guide/",
    "http/",
    "openapi/",
    "registry/api/",
];
/// All that `http/` and `db/` may know of the crate, besides themselves.
const GROUND: [&str; 10] = [
    "clock",
    "data_folder",
    "db",
    "error",
    "excerpt",
    "http",
    "json",
    "nearest",
    "page",
    "schema",
];

/// Rooms that take images from `image/`, and know nothing of the registry that clients see.
const IMAGE_ONLY: [&str; 6] = ["account/", "push/", "retention/", "seed/", "sync/", "tag/"];

/// Every file of `src` with its path there and its code: no comments, no tests.
fn sources() -> Vec<(String, String)> {
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

/// The files whose code has a word.
fn naming(word: &str) -> Vec<String> {
    let files = sources().into_iter();
    files
        .filter(|(_, code)| code.contains(word))
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn rules_and_sql_of_a_chapter_do_not_know_http() {
    for (name, code) in sources() {
        let is_held = name.ends_with("/mod.rs") || name.ends_with("/store.rs");
        if !is_held || HTTP.iter().any(|room| name.starts_with(room)) {
            continue;
        }
        for word in ["axum", "crate::http", "crate::app"] {
            assert!(!code.contains(word), "{name} names {word}");
        }
    }
}

#[test]
fn what_all_share_knows_no_chapter() {
    for (name, code) in sources() {
        if !name.starts_with("http/") && !name.starts_with("db/") {
            continue;
        }
        for (_, rest) in code
            .match_indices("crate::")
            .map(|(at, _)| code.split_at(at + 7))
        {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let room = &rest[..end];
            assert!(GROUND.contains(&room), "{name} names {room}");
        }
    }
}

#[test]
fn images_know_neither_http_nor_the_registry() {
    for (name, code) in sources() {
        let words: &[&str] = if name.starts_with("image/") {
            &["axum", "http::", "crate::app", "crate::registry"]
        } else if IMAGE_ONLY.iter().any(|room| name.starts_with(room)) {
            &["crate::registry"]
        } else {
            continue;
        };
        for word in words {
            assert!(!code.contains(word), "{name} names {word}");
        }
    }
}

#[test]
fn one_file_asks_for_the_time_and_one_room_opens_the_database() {
    assert_eq!(naming("Timestamp::now"), ["clock.rs"]);
    assert_eq!(naming("SystemTime::now"), Vec::<String>::new());
    let opening = naming("SqliteConnectOptions");
    assert!(!opening.is_empty());
    assert!(
        opening.iter().all(|name| name.starts_with("db/")),
        "{opening:?}"
    );
}
