//! The order of the house: which rooms of `src` may know of which. `src/lib.rs` tells it to readers;
//! this holds it.

use crate::support::sources;

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
