//! The README and the guide tell the truth: the table of operations is the router's own list, with the rights
//! that are enforced and the tests that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use swr_emulator::routes;

use crate::permission::{CONTROL, RIGHTS};

#[test]
fn the_table_of_operations_is_what_the_router_serves() {
    let documented = documented_operations();
    let served: BTreeSet<_> = routes()
        .operations()
        .iter()
        .map(|operation| format!("{} {} {}", operation.name, operation.method, operation.path))
        .collect();
    assert_eq!(documented, served);
}

#[test]
fn the_table_has_all_59_operations_with_their_rights_and_a_test_for_each() {
    let rows: Vec<_> = rows().filter(|row| row.len() == 5).collect();
    assert_eq!(rows.len(), 59);
    let rights: BTreeMap<_, _> = RIGHTS.iter().copied().collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for row in rows {
        let &[name, _, path, right, test] = &row[..] else {
            panic!("{row:?}")
        };
        if path.contains("{namespace}") {
            assert_eq!(rights.get(name), Some(&right), "{name}");
        }
        let test = test.trim_matches('`');
        let (file, function) = test.split_once("::").expect("file::function");
        let text = std::fs::read_to_string(folder.join(format!("{file}.rs")));
        let text = text.unwrap_or_else(|error| panic!("{name}: {test}: {error}"));
        assert!(text.contains(&format!("fn {function}()")), "{name}: {test}");
    }
}

#[test]
fn the_table_says_which_operations_need_control() {
    let own = rows().filter(|row| row[2].starts_with("`/_emulator/"));
    let mut marked = 0;
    for row in own {
        let is_marked = row[3].contains("[control](#control)");
        assert_eq!(is_marked, CONTROL.contains(&row[0]), "{}", row[0]);
        marked += usize::from(is_marked);
    }
    assert_eq!(marked, CONTROL.len());
}

/// The operations of the guide, each as `name method path`.
pub(crate) fn documented_operations() -> BTreeSet<String> {
    rows()
        .map(|row| format!("{} {} {}", row[0], row[1], row[2].trim_matches('`')))
        .collect()
}

/// The rows of all tables of operations: name, method, path and what follows.
fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    let lines = include_str!("../../src/guide/operations.md").lines();
    lines.filter_map(|line| {
        // | CreateTrigger | POST | `/v2/…` | …
        let row = line.strip_prefix('|')?.strip_suffix('|')?;
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let is_operation = cells.get(2).is_some_and(|path| path.starts_with("`/"));
        is_operation.then_some(cells)
    })
}
