//! The HTTP of the document and of its page, which need no credentials.

use std::sync::{LazyLock, OnceLock};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::document::document;
use crate::app::{AppState, Routes};
use crate::auth::BUILTIN_TOKEN;
use crate::guide::HtmlPage;
use crate::http::{OWN_PATHS, Operation, OperationDoc, json};

const OPENAPI: &str = "/_emulator/openapi.json";
/// The path of the page.
pub const PAGE: &str = "/_emulator/docs";

/// The operations of this chapter.
pub fn routes() -> Routes {
    Routes::of("Emulator")
        .open_get("EmulatorListOperations", OWN_PATHS, list, list_doc)
        .open_get("EmulatorOpenApi", OPENAPI, openapi, openapi_doc)
        .open_get("EmulatorDocs", PAGE, docs, docs_doc)
}

/// The emulator's own operations, as they are sent.
static OWN: OnceLock<Bytes> = OnceLock::new();

fn list_doc() -> OperationDoc {
    OperationDoc::new("Lists the operations of the emulator itself.")
        .answers::<Vec<OperationView>>(StatusCode::OK)
}

async fn list(State(app): State<AppState>) -> Response {
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
    let template = include_str!("page/page.html").replace("/* builtin token */", BUILTIN_TOKEN);
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
