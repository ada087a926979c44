//! A page of HTML with its style and script inside, and the policy that allows only these.

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use sha2::{Digest, Sha256};

/// Colors and text, which all pages share.
pub(crate) const BASE_STYLE: &str = include_str!("base.css");

/// The parts of what a browser sees of the emulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Site {
    Console,
    Api,
    Guide,
}

/// The links to all parts, as they stand in the head of each.
pub(crate) fn site_links(current: Site) -> String {
    let parts = [
        (Site::Console, "/_emulator/", "Console"),
        (Site::Api, "/_emulator/docs", "API"),
        (Site::Guide, "/_emulator/docs/", "Guide"),
    ];
    let links = parts.map(|(part, path, name)| {
        let mark = if part == current {
            " aria-current=\"true\""
        } else {
            ""
        };
        format!("<a href=\"{path}\"{mark}>{name}</a>\n")
    });
    let links = links.concat();
    format!("<nav class=\"site\" aria-label=\"Site\">\n{links}</nav>")
}

/// A page that loads nothing from outside.
#[derive(Debug, Clone)]
pub(crate) struct HtmlPage {
    html: Bytes,
    policy: String,
}

impl HtmlPage {
    /// What the header of the policy means, for the document of the API.
    pub(crate) const POLICY_MEANING: &str =
        "Restricts the page to its own content and this emulator.";

    /// Puts a page together from a template with a place for its style, and for its script if it
    /// has one.
    pub(crate) fn new(template: &str, style: &str, script: Option<&str>) -> Self {
        let style = format!("{BASE_STYLE}{style}");
        let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
        let scripts = script.map_or_else(String::new, |script| {
            format!("connect-src 'self'; script-src 'sha256-{}'; ", hash(script))
        });
        let pictures = if template.contains("<img ") {
            "img-src 'self'; "
        } else {
            ""
        };
        let policy = format!(
            "default-src 'none'; {scripts}{pictures}style-src 'sha256-{}'; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'",
            hash(&style),
        );
        let html = template
            .replace("/* style */", &style)
            .replace("/* script */", script.unwrap_or_default());
        Self {
            html: html.into(),
            policy,
        }
    }
}

impl IntoResponse for &HtmlPage {
    fn into_response(self) -> Response {
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, self.policy.as_str()),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (headers, self.html.clone()).into_response()
    }
}
