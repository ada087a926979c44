//! Seed files: the same text gives the same result, an error is one line, and nothing is written.

#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use regex::Regex;
use swr_emulator::config::SeedSource;
use swr_emulator::internal::read_seed;
use swr_emulator::internal::Condition;

fuzz_target!(|text: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("seed.yaml");
    std::fs::write(&path, text).expect("written");
    let first = read_seed(&SeedSource::File(path.clone()), "home");
    let second = read_seed(&SeedSource::File(path.clone()), "home");

    assert_eq!(std::fs::read(&path).expect("read"), text);
    assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 1);
    let ((directory, seed), (_, again)) = match (first, second) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(first), Err(second)) => {
            let error = first.to_string();
            assert_eq!(error, second.to_string());
            assert!(
                error.starts_with(&path.display().to_string())
                    || std::str::from_utf8(text).is_err()
            );
            assert!(!error.chars().any(char::is_control), "{error:?}");
            return;
        }
        (first, second) => panic!("{:?}, then {:?}", first.err(), second.err()),
    };
    assert_eq!(format!("{seed:?}"), format!("{again:?}"));
    assert_eq!(seed.accounts, directory.accounts());
    let names = seed.namespaces.iter();
    let names: HashSet<_> = names.map(|entry| (&entry.region, &entry.name)).collect();
    assert_eq!(names.len(), seed.namespaces.len());
    let repositories = seed.namespaces.iter().flat_map(|entry| &entry.repositories);
    for trigger in repositories.flat_map(|entry| &entry.triggers) {
        if let Condition::Regular(expression) = &trigger.new.condition {
            assert!(Regex::new(expression.as_str()).is_ok(), "{expression:?}");
        }
    }
});
