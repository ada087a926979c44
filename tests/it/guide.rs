//! The guide that the program serves: every page, offline, and every link on it.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::support::{Client, TestApp};

const API: &str = "/_emulator/docs";
const CONSOLE: &str = "/_emulator/";
const GUIDE: &str = "/_emulator/docs/";

/// The HTML of a page, which needs no credentials, no script and no other host.
async fn page(nobody: &Client, path: &str) -> String {
    let answer = nobody.send("GET", path, None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    answer.text().to_owned()
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    let parts = text.split(begin).skip(1);
    parts
        .map(|part| part.split_once(end).expect("an end").0)
        .collect()
}

/// Where the links of a page lead, without those to another host.
fn links(html: &str, path: &str) -> BTreeSet<String> {
    let links = between(html, "href=\"", "\"").into_iter();
    links
        .map(|link| match link.strip_prefix("../") {
            Some(other) => format!("/_emulator/{other}"),
            None if link.starts_with('/') => link.to_owned(),
            None if link.starts_with('#') => format!("{path}{link}"),
            None => {
                let (folder, _) = path.rsplit_once('/').expect("an absolute path");
                format!("{folder}/{}", link.trim_start_matches("./"))
            }
        })
        .collect()
}

#[tokio::test]
async fn every_link_of_the_guide_leads_to_a_heading_or_to_the_page_of_the_api() {
    let app = TestApp::start().await;
    let nobody = app.as_nobody();
    let mut known = BTreeSet::new();
    let mut open = vec![GUIDE.to_owned()];
    let mut anchors = BTreeSet::new();
    while let Some(path) = open.pop() {
        if !known.insert(path.clone()) {
            continue;
        }
        let html = page(&nobody, &path).await;
        for id in between(&html, " id=\"", "\"") {
            assert!(anchors.insert(format!("{path}#{id}")), "{path}#{id}");
        }
        let links = links(&html, &path);
        assert!(
            [API, CONSOLE, GUIDE]
                .iter()
                .all(|part| links.contains(*part)),
            "{path}"
        );
        for link in links {
            match link.split_once('#') {
                None if link == API || link == CONSOLE => {}
                None => open.push(link),
                Some((page, _)) => {
                    open.push(page.to_owned());
                    // Asserted on once all pages are known.
                    known.insert(link);
                }
            }
        }
    }
    let (wanted, pages): (Vec<_>, Vec<_>) = known.into_iter().partition(|at| at.contains('#'));
    assert_eq!(pages.len(), 11, "{pages:?}");
    for link in wanted {
        assert!(anchors.contains(&link), "{link}");
    }
    let api = page(&nobody, API).await;
    assert!(links(&api, API).contains("/_emulator/docs/"));
}

#[tokio::test]
async fn a_page_of_the_guide_allows_its_own_style_and_nothing_else() {
    let app = TestApp::start().await;
    for path in [GUIDE, "/_emulator/docs/operations"] {
        let answer = app.as_nobody().send("GET", path, None).await;
        let html = answer.text();
        let [style] = between(html, "<style>", "</style>")[..] else {
            panic!("one style")
        };
        let hash = BASE64_STANDARD.encode(Sha256::digest(style));
        assert_eq!(
            answer.header("content-security-policy"),
            Some(&*format!(
                "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; \
                 form-action 'none'; frame-ancestors 'none'"
            ))
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        for outside in ["<script", "<img", " style=", "src=", "url(", "@import"] {
            assert!(!html.contains(outside), "{path}: {outside}");
        }
        assert!(!html.contains("/* ") && !html.contains("<!-- "), "{path}");
    }
}

#[tokio::test]
async fn a_page_with_pictures_allows_its_own_and_they_are_there() {
    let app = TestApp::start().await;
    let nobody = app.as_nobody();
    let path = "/_emulator/docs/console";
    let answer = nobody.send("GET", path, None).await;
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; img-src 'self'; style-src "),
        "{policy}"
    );
    let pictures = between(answer.text(), "<img src=\"", "\"");
    assert_eq!(pictures.len(), 3);
    for picture in pictures {
        let answer = nobody
            .send("GET", &format!("/_emulator/docs/{picture}"), None)
            .await;
        assert_eq!(answer.status, 200, "{picture}");
        assert_eq!(answer.header("content-type"), Some("image/png"));
        assert!(answer.body.starts_with(b"\x89PNG"), "{picture}");
    }
}

#[tokio::test]
async fn an_unknown_page_is_told_the_one_that_was_meant() {
    let app = TestApp::start().await;
    let check = async |name: &str, hint: &str| {
        let path = format!("/_emulator/docs/{name}");
        let answer = app.as_nobody().send("GET", &path, None).await;
        let message = answer.refused_by_gateway(404, "APIGW.0101");
        assert!(
            message.ends_with(&format!(" (the guide has no such page; {hint})")),
            "{message}"
        );
    };
    check("operation", "did you mean /_emulator/docs/operations?").await;
    check("seed-file.md", "did you mean /_emulator/docs/seed-file?").await;
    check("zzz", "/_emulator/docs/ lists all").await;
    let long = "é".repeat(1000);
    let long = percent_encoding::utf8_percent_encode(&long, percent_encoding::NON_ALPHANUMERIC);
    check(&long.to_string(), "/_emulator/docs/ lists all").await;
    let nobody = app.as_nobody();
    let answer = nobody.send("GET", "/_emulator/docs/testing/", None).await;
    let message = answer.refused_by_gateway(404, "APIGW.0101");
    assert!(
        message.ends_with("without the trailing slash it is EmulatorGuidePage)"),
        "{message}"
    );
}
