//! The HTTP of the document and of its page, which need no credentials.

use std::sync::{LazyLock, OnceLock};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::document::document;
use crate::app::{AppState, Routes};
use crate::auth::BUILTIN_TOKEN;
use crate::console;
use crate::guide::{HtmlPage, Site, site_links};
use crate::http::{OWN_PATHS, Operation, OperationDoc, json, prefers_html};

const OPENAPI: &str = "/_emulator/openapi.json";
/// The path of the page.
pub const PAGE: &str = "/_emulator/docs";

/// The operations of this chapter.
pub fn routes() -> Routes {
    // Also the console: people look in it for the requests of their program.
    let operations = Operation::new("EmulatorListOperations", Method::GET, OWN_PATHS);
    let operations = operations.open_to_all().unrecorded();
    Routes::of("Emulator")
        .route(operations, list, list_doc)
        .open_get("EmulatorOpenApi", OPENAPI, openapi, openapi_doc)
        .open_get("EmulatorDocs", PAGE, docs, docs_doc)
}

/// The emulator's own operations, as they are sent.
static OWN: OnceLock<Bytes> = OnceLock::new();

fn list_doc() -> OperationDoc {
    OperationDoc::new("Lists the operations of the emulator itself.")
        .remarks("A browser, which accepts HTML rather than JSON, is shown the console.")
        .answers::<Vec<OperationView>>(StatusCode::OK)
        .answers_text("text/html")
}

async fn list(State(app): State<AppState>, headers: HeaderMap) -> Response {
    if prefers_html(&headers) {
        return console::frame(&app, &headers);
    }
    let own = OWN.get_or_init(|| {
        let own = app.operations.iter().filter(|operation| operation.is_own());
        let views: Vec<_> = own.map(OperationView::from).collect();
        json!(views).to_string().into()
    });
    json(StatusCode::OK, own.clone())
}

/// A short description of an operation.
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
static DOCUMENT: OnceLock<Bytes> = OnceLock::new();

fn openapi_doc() -> OperationDoc {
    OperationDoc::new("Shows this document.").answers::<Map<String, Value>>(StatusCode::OK)
}

async fn openapi(State(app): State<AppState>) -> Response {
    let written = DOCUMENT.get_or_init(|| document(&app.operations).to_string().into());
    json(StatusCode::OK, written.clone())
}

static DOCS: LazyLock<HtmlPage> = LazyLock::new(|| {
    let template = include_str!("page/page.html")
        .replace("/* builtin token */", BUILTIN_TOKEN)
        .replace("<!-- site -->", &site_links(Site::Api));
    let script = include_str!("page/page.js");
    HtmlPage::new(&template, include_str!("page/page.css"), Some(script))
});

fn docs_doc() -> OperationDoc {
    OperationDoc::new("Shows this document as a page that can send requests.")
        .answers_text("text/html")
        .with_header("Content-Security-Policy", HtmlPage::POLICY_MEANING)
}

async fn docs() -> Response {
    DOCS.into_response()
}
