//! The console: a page that shows what an instance remembers, push by push, and lets people try
//! and change things.
//!
//! `page/` has its text: modules and styles as browsers read them, without a step that builds them.
//! `api` serves them, `file` puts them with the record of a run into one file.

mod api;
mod file;

use crate::guide::BASE_STYLE;

pub use api::{frame, routes};
pub(crate) use file::{About, report_file};

/// The page without scripts and styles.
const FRAME: &str = include_str!("page/index.html");

/// A file that the page consists of.
struct Asset {
    name: &'static str,
    content: &'static [u8],
}

impl Asset {
    fn is_script(&self) -> bool {
        self.name
            .rsplit_once('.')
            .is_some_and(|(_, kind)| kind == "js")
    }

    fn text(&self) -> &'static str {
        std::str::from_utf8(self.content).unwrap_or_default()
    }
}

/// The files by their names.
macro_rules! assets {
    ($($name:literal)*) => {
        &[
            Asset { name: "base.css", content: BASE_STYLE.as_bytes() },
            $(Asset { name: $name, content: include_bytes!(concat!("page/", $name)) }),*
        ]
    };
}

/// Styles, then modules; one stands after those that it imports.
const ASSETS: &[Asset] = assets! {
    "console.css"
    "dom.js"
    "api.js"
    "run.js"
    "list.js"
    "samples.js"
    "requests.js"
    "activity.js"
    "push.js"
    "trigger.js"
    "registry.js"
    "clusters.js"
    "world.js"
    "main.js"
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_at_most_120_kb() {
        let files = ASSETS.iter().map(|asset| asset.content.len());
        let size = FRAME.len() + files.sum::<usize>();
        assert!(size <= 120 * 1024, "{size} bytes");
    }

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console/page");
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let name = entry.expect("an entry").file_name();
            let name = name.to_str().expect("UTF-8");
            let is_known = ASSETS.iter().any(|asset| asset.name == name);
            assert!(is_known || name == "index.html", "{name}");
        }
        assert!(ASSETS.iter().all(|asset| !asset.text().is_empty()));
    }

    #[test]
    fn values_become_text_and_never_markup() {
        for asset in ASSETS.iter().filter(|asset| asset.is_script()) {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
            ] {
                assert!(!asset.text().contains(word), "{}: {word}", asset.name);
            }
        }
    }
}
