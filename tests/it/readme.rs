//! The README tells the truth: its table of operations is the router's own list.

use std::collections::BTreeSet;

use swr_emulator::routes;

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

/// The operations that the README says work, each as `name method path`.
pub(crate) fn documented_operations() -> BTreeSet<String> {
    let readme = include_str!("../../README.md");
    readme
        .lines()
        .filter_map(|line| {
            // | CreateTrigger | POST | `/v2/…` | …
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            let name = cells.next()?;
            let method = cells.next()?;
            let path = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
            let works = path.starts_with('/') && !cells.next()?.starts_with("not yet");
            works.then(|| format!("{name} {method} {path}"))
        })
        .collect()
}
