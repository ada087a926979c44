#![doc = include_str!("rustdoc-links.md")]
#![doc = include_str!("index.md")]
//
// One text in three places: a checkout, rustdoc, and the program, which `render` makes HTML for
// and `api` serves below `/_emulator/docs/`. `html_page` is any page that the program serves.
//
// A link to another page is written `[text][page.md#heading]`, and the page defines that label at
// its end. In rustdoc, where pages are modules, the definitions of `rustdoc-links.md` come first
// and therefore win.
#![expect(
    clippy::doc_markdown,
    reason = "names of operations are words of the guide, not code"
)]

mod api;
mod html_page;
mod render;

pub use api::routes;
pub(crate) use html_page::{BASE_STYLE, HtmlPage, Site, site_links};

/// A page of the guide.
struct Page {
    /// The last segment of its path.
    name: &'static str,
    /// Its Markdown.
    text: &'static str,
}

/// The pages in the order of the navigation, each also a module for rustdoc.
macro_rules! pages {
    ($($module:ident $name:literal)*) => {
        $(
            #[doc = include_str!("rustdoc-links.md")]
            #[doc = include_str!(concat!($name, ".md"))]
            pub mod $module {}
        )*

        const PAGES: &[Page] = &[$(Page {
            name: $name,
            text: include_str!(concat!($name, ".md")),
        }),*];
    };
}

pages! {
    testing "testing"
    console "console"
    seed_file "seed-file"
    clients "clients"
    real_clusters "real-clusters"
    mistakes "mistakes"
    settings "settings"
    operations "operations"
    differences "differences"
    performance "performance"
}

/// A picture on a page.
struct Picture {
    name: &'static str,
    content: &'static [u8],
}

/// All pictures.
macro_rules! pictures {
    ($($name:literal)*) => {
        const PICTURES: &[Picture] = &[$(Picture {
            name: $name,
            content: include_bytes!($name),
        }),*];
    };
}

pictures! {
    "console-activity.png"
    "console-push.png"
    "console-trigger.png"
}

/// The table of contents.
const INDEX: Page = Page {
    name: "",
    text: include_str!("index.md"),
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pulldown_cmark::{Event, LinkType, Options, Parser, Tag};

    use super::render::Rendered;
    use super::*;

    fn pages() -> impl Iterator<Item = &'static Page> {
        PAGES.iter().chain([&INDEX])
    }

    /// All anchors that there are, like `clients.md#registry`, and the files themselves.
    fn targets() -> BTreeSet<String> {
        let mut targets = BTreeSet::new();
        for page in PAGES {
            let file = format!("{}.md", page.name);
            for heading in Rendered::of(page.text).headings {
                let target = format!("{file}#{}", heading.anchor);
                assert!(targets.insert(target.clone()), "{target} is there twice");
            }
            targets.insert(file);
        }
        targets
    }

    #[test]
    fn every_link_leads_to_a_heading_in_a_checkout_in_the_program_and_in_rustdoc() {
        let targets = targets();
        let mut for_rustdoc: BTreeSet<_> = include_str!("rustdoc-links.md").lines().collect();
        let mut used = BTreeSet::new();
        for page in pages() {
            for event in Parser::new_ext(page.text, Options::ENABLE_TABLES) {
                let Event::Start(Tag::Link {
                    link_type,
                    dest_url,
                    id,
                    ..
                }) = event
                else {
                    continue;
                };
                if dest_url.starts_with('#') {
                    let target = format!("{}.md{dest_url}", page.name);
                    assert!(targets.contains(&target), "{target}");
                    continue;
                }
                assert!(targets.contains(&*dest_url), "{}: {dest_url}", page.name);
                assert_eq!(link_type, LinkType::Reference, "{dest_url}");
                assert_eq!(id, dest_url);
                let (name, anchor) = dest_url.split_once(".md").expect("a file of the guide");
                let module = name.replace('-', "_");
                used.insert(format!("[{dest_url}]: crate::guide::{module}{anchor}"));
            }
        }
        for link in &used {
            assert!(for_rustdoc.remove(&**link), "rustdoc-links.md lacks {link}");
        }
        assert!(for_rustdoc.is_empty(), "nobody uses {for_rustdoc:?}");
    }

    #[test]
    fn the_table_of_contents_has_every_page() {
        for page in PAGES {
            let definition = format!("\n[{0}.md]: {0}.md\n", page.name);
            assert!(INDEX.text.contains(&definition), "{}", page.name);
        }
    }
}
