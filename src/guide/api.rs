//! The HTTP of the guide. It holds no state and needs no credentials.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use pulldown_cmark::HeadingLevel;
use schemars::json_schema;

use super::render::{Heading, Rendered};
use super::{HtmlPage, INDEX, PAGES, PICTURES, Page, Site, site_links};
use crate::app::Routes;
use crate::error::{Error, Result};
use crate::http::{OperationDoc, Param, Path};
use crate::nearest::nearest;

/// Where the table of contents is, and below it the pages.
const GUIDE: &str = "/_emulator/docs/";

/// A page of the guide.
const GUIDE_PAGE: &str = "/_emulator/docs/{page}";

/// The operations of this chapter.
pub fn routes() -> Routes {
    Routes::of("Emulator")
        .open_get("EmulatorGuide", GUIDE, index, index_doc)
        .open_get("EmulatorGuidePage", GUIDE_PAGE, page, page_doc)
}

fn html_doc(summary: &'static str) -> OperationDoc {
    OperationDoc::new(summary)
        .answers_text("text/html")
        .with_header("Content-Security-Policy", HtmlPage::POLICY_MEANING)
}

fn index_doc() -> OperationDoc {
    html_doc("Shows the guide's table of contents.")
}

/// `EmulatorGuide`
async fn index() -> Response {
    RENDERED.index.into_response()
}

fn page_doc() -> OperationDoc {
    let pictures = PICTURES.iter().map(|picture| picture.name);
    let names: Vec<_> = PAGES.iter().map(|page| page.name).chain(pictures).collect();
    let names = json_schema!({"type": "string", "enum": names});
    OperationDoc::new("Shows a page of the guide, or a picture on one.")
        .answers_text("text/html")
        .answers_text("image/png")
        .variables([Param::new("page", "The name of the page.", names)])
        .refuses([no_page("x")])
}

/// `EmulatorGuidePage`
async fn page(Path(name): Path<String>) -> Result<Response> {
    if let Some(picture) = PICTURES.iter().find(|picture| picture.name == name) {
        let content = Bytes::from_static(picture.content);
        return Ok(([(CONTENT_TYPE, "image/png")], content).into_response());
    }
    let mut pages = PAGES.iter().zip(&RENDERED.pages);
    let (_, page) = pages
        .find(|(page, _)| page.name == name)
        .ok_or_else(|| no_page(&name))?;
    Ok(page.into_response())
}

fn no_page(name: &str) -> Error {
    let name = nearest(name, PAGES.iter().map(|page| page.name));
    let hint = name.map_or_else(
        || format!("{GUIDE} lists all"),
        |name| format!("did you mean {GUIDE}{name}?"),
    );
    Error::NoSuchApi(format!("the guide has no such page; {hint}"))
}

/// All pages, as they are sent.
struct Guide {
    index: HtmlPage,
    pages: Vec<HtmlPage>,
}

static RENDERED: LazyLock<Guide> = LazyLock::new(|| {
    let rendered: Vec<_> = PAGES.iter().map(|page| Rendered::of(page.text)).collect();
    Guide {
        index: html_page(&INDEX, &Rendered::of(INDEX.text), &rendered),
        pages: PAGES
            .iter()
            .zip(&rendered)
            .map(|(page, own)| html_page(page, own, &rendered))
            .collect(),
    }
});

/// A page with the navigation, in which it shows its headings.
fn html_page(page: &Page, own: &Rendered, all: &[Rendered]) -> HtmlPage {
    let links = PAGES.iter().zip(all).map(|(other, rendered)| {
        let (name, title) = (other.name, rendered.title());
        if other.name != page.name {
            return format!("<li><a href=\"{name}\">{title}</a></li>\n");
        }
        let headings = rendered.headings.iter();
        let sections: String = headings
            .filter(|heading| heading.level == HeadingLevel::H2)
            .map(section_link)
            .collect();
        format!(
            "<li><a href=\"{name}\" aria-current=\"page\">{title}</a>\n\
             <ul>\n{sections}</ul>\n</li>\n"
        )
    });
    let template = include_str!("page.html")
        .replace("<!-- title -->", own.title())
        .replace("<!-- version -->", env!("CARGO_PKG_VERSION"))
        .replace("<!-- site -->", &site_links(Site::Guide))
        .replace("<!-- navigation -->", &links.collect::<String>())
        .replace("<!-- text -->", &own.html);
    HtmlPage::new(&template, include_str!("page.css"), None)
}

fn section_link(heading: &Heading) -> String {
    let Heading { anchor, html, .. } = heading;
    format!("<li><a href=\"#{anchor}\">{html}</a></li>\n")
}
