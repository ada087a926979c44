//! The HTTP of the document and of its page. They hold no state and need no credentials.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{Method, StatusCode};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::document::document;
use crate::http::{Description, Operation, Routes};

/// The operations of this chapter.
pub fn routes() -> Routes {
    Routes::of("Emulator")
        .with(
            Operation::new("EmulatorOpenApi", Method::GET, "/_emulator/openapi.json")
                .open_to_all()
                .described(|| {
                    Description::new("Shows this document.")
                        .answers::<Map<String, Value>>(StatusCode::OK)
                }),
            openapi,
        )
        .with(
            Operation::new("EmulatorDocs", Method::GET, "/_emulator/docs")
                .open_to_all()
                .described(|| {
                    Description::new("Shows this document as a page, from which calls can be made.")
                        .answers_text("text/html")
                        .with_header(
                            "Content-Security-Policy",
                            "Keeps the page from anything but itself and this emulator.",
                        )
                }),
            docs,
        )
}

/// The document, as it is sent.
static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| document(crate::routes().operations()).to_string().into());

async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}

/// The page with its style and its script inside, and the policy that allows these two only.
struct Page {
    html: Bytes,
    policy: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let style = include_str!("page/page.css");
    let script = include_str!("page/page.js");
    let html = include_str!("page/page.html")
        .replace("/* page.css */", style)
        .replace("/* page.js */", script);
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    Page {
        html: html.into(),
        policy: format!(
            "default-src 'none'; connect-src 'self'; script-src 'sha256-{}'; \
             style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(script),
            hash(style),
        ),
    }
});

async fn docs() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, PAGE.policy.as_str()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, PAGE.html.clone()).into_response()
}
