//! The HTTP of the document and of its page. They hold no state and need no credentials.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::document::document;
use crate::app::Routes;
use crate::auth::BUILTIN_TOKEN;
use crate::http::{OWN_PATHS, Operation, OperationDoc, json};

const OPENAPI: &str = "/_emulator/openapi.json";
/// The path of the page.
pub const PAGE: &str = "/_emulator/docs";

/// The operations of this chapter.
pub fn routes() -> Routes {
    Routes::of("Emulator")
        .route(open("EmulatorListOperations", OWN_PATHS), list, list_doc)
        .route(open("EmulatorOpenApi", OPENAPI), openapi, openapi_doc)
        .route(open("EmulatorDocs", PAGE), docs, docs_doc)
}

/// An operation that reads and that anyone may call.
fn open(name: &'static str, path: &'static str) -> Operation {
    Operation::new(name, Method::GET, path).open_to_all()
}

/// The emulator's own operations, as they are sent.
static OWN: LazyLock<Bytes> = LazyLock::new(|| {
    let routes = crate::routes();
    let all = routes.operations().iter();
    let own = all.filter(|operation| operation.is_own());
    let views: Vec<_> = own.map(OperationView::from).collect();
    json!(views).to_string().into()
});

fn list_doc() -> OperationDoc {
    OperationDoc::new("Lists the operations of the emulator itself.")
        .answers::<Vec<OperationView>>(StatusCode::OK)
}

async fn list() -> Response {
    json(StatusCode::OK, OWN.clone())
}

/// An operation in a few words.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Operation")]
struct OperationView {
    operation: &'static str,
    method: String,
    path: &'static str,
    /// One sentence.
    summary: &'static str,
}

impl From<&Operation> for OperationView {
    fn from(operation: &Operation) -> Self {
        Self {
            operation: operation.name,
            method: operation.method.to_string(),
            path: operation.path,
            summary: (operation.doc)().summary,
        }
    }
}

/// The document, as it is sent.
static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| document(crate::routes().operations()).to_string().into());

fn openapi_doc() -> OperationDoc {
    OperationDoc::new("Shows this document.").answers::<Map<String, Value>>(StatusCode::OK)
}

async fn openapi() -> Response {
    json(StatusCode::OK, DOCUMENT.clone())
}

/// The page with its style and its script inside, and the policy that allows these two only.
struct Page {
    html: Bytes,
    policy: String,
}

static DOCS: LazyLock<Page> = LazyLock::new(|| {
    let style = include_str!("page/page.css");
    let script = include_str!("page/page.js");
    let html = include_str!("page/page.html")
        .replace("/* builtin token */", BUILTIN_TOKEN)
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

fn docs_doc() -> OperationDoc {
    OperationDoc::new("Shows this document as a page, from which calls can be made.")
        .answers_text("text/html")
        .with_header(
            "Content-Security-Policy",
            "Keeps the page from anything but itself and this emulator.",
        )
}

async fn docs() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, DOCS.policy.as_str()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, DOCS.html.clone()).into_response()
}
