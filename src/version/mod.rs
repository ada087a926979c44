//! Versions of the API (API reference, version management). They hold no state.

use axum::response::{IntoResponse, Redirect, Response};
use http::header::ACCEPT;
use http::{HeaderMap, Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::http::{Answer, Operation, OperationDoc, Param, Path, Routes, Shape};
use crate::openapi;

/// The operations of this chapter.
pub fn routes() -> Routes {
    Routes::of("Versions")
        .with(
            Operation::new("ListApiVersions", Method::GET, "/")
                .open_to_all()
                .described(|| {
                    OperationDoc::new("Lists the versions of the API.")
                        .remarks("A browser, which takes HTML and not JSON, is led to the page.")
                        .answers::<VersionsView>(StatusCode::OK)
                        .redirects("The page of this document.")
                }),
            list,
        )
        .with(
            Operation::new("ShowApiVersion", Method::GET, "/{api_version}")
                .open_to_all()
                .described(|| {
                    let version = Shape::one_of([V2.id]);
                    OperationDoc::new("Shows a version of the API.")
                        .variables([Param::new("api_version", "The version.", version)])
                        .answers::<VersionView>(StatusCode::OK)
                        .refuses([only_v2()])
                }),
            show,
        )
}

/// `ListApiVersions`; a browser is led to the documentation.
async fn list(headers: HeaderMap) -> Response {
    if wants_page(&headers) {
        return Redirect::to(openapi::PAGE).into_response();
    }
    let versions = [V2];
    Answer(StatusCode::OK, VersionsView { versions }).into_response()
}

/// Whether a client takes HTML and does not ask for JSON.
fn wants_page(headers: &HeaderMap) -> bool {
    let accepts = |media_type: &str| {
        let values = headers.get_all(ACCEPT).iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        texts.flat_map(|text| text.split(',')).any(|range| {
            let name = range.split(';').next().unwrap_or_default();
            name.trim().eq_ignore_ascii_case(media_type)
        })
    };
    accepts("text/html") && !accepts("application/json")
}

/// `ShowApiVersion`
async fn show(Path(api_version): Path<String>) -> Result<Response> {
    if api_version != V2.id {
        return Err(only_v2());
    }
    Ok(Answer(StatusCode::OK, VersionView { version: V2 }).into_response())
}

fn only_v2() -> Error {
    Error::NoSuchApi("the only version is v2".to_owned())
}

const V2: Version = Version {
    id: "v2",
    links: Links {
        href: "/v2",
        rel: "self",
    },
    min_version: "2.0",
    status: "CURRENT",
    updated: "2020-07-09T00:00:00Z",
    version: "2.26",
};

#[derive(Serialize, JsonSchema)]
struct VersionsView {
    versions: [Version; 1],
}

#[derive(Serialize, JsonSchema)]
struct VersionView {
    version: Version,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiVersion")]
struct Version {
    id: &'static str,
    links: Links,
    min_version: &'static str,
    status: &'static str,
    updated: &'static str,
    version: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiVersionLinks")]
struct Links {
    href: &'static str,
    rel: &'static str,
}
