//! The HTTP of the document and of its page. They hold no state and need no credentials.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::document::document;
use crate::auth::BUILTIN_TOKEN;
use crate::guide::HtmlPage;
use crate::http::{Description, OWN_PATHS, Operation, Routes, json};

/// The path of the page.
pub const PAGE: &str = "/_emulator/docs";

/// The operations of this chapter.
pub fn routes() -> Routes {
    Routes::of("Emulator")
        .with(
            Operation::new("EmulatorListOperations", Method::GET, OWN_PATHS)
                .open_to_all()
                .described(|| {
                    Description::new("Lists the operations of the emulator itself.").answers::<Vec<
                        OperationView,
                    >>(
                        StatusCode::OK
                    )
                }),
            list,
        )
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
            Operation::new("EmulatorDocs", Method::GET, PAGE)
                .open_to_all()
                .described(|| {
                    Description::new("Shows this document as a page that can make calls.")
                        .answers_text("text/html")
                        .with_header("Content-Security-Policy", HtmlPage::POLICY_MEANING)
                }),
            docs,
        )
}

/// The emulator's own operations, as they are sent.
static OWN: LazyLock<Bytes> = LazyLock::new(|| {
    let routes = crate::routes();
    let all = routes.operations().iter();
    let own = all.filter(|operation| operation.is_own());
    let views: Vec<_> = own.map(OperationView::from).collect();
    json!(views).to_string().into()
});

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
        let description = operation.description.map(|describe| describe());
        Self {
            operation: operation.name,
            method: operation.method.to_string(),
            path: operation.path,
            summary: description.map_or("", |description| description.summary),
        }
    }
}

/// The document, as it is sent.
static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| document(crate::routes().operations()).to_string().into());

async fn openapi() -> Response {
    json(StatusCode::OK, DOCUMENT.clone())
}

static DOCS: LazyLock<HtmlPage> = LazyLock::new(|| {
    let template = include_str!("page/page.html").replace("/* builtin token */", BUILTIN_TOKEN);
    let script = include_str!("page/page.js");
    HtmlPage::new(&template, include_str!("page/page.css"), Some(script))
});

async fn docs() -> Response {
    DOCS.into_response()
}
