//! The HTTP of versions.

use axum::response::{IntoResponse, Redirect, Response};
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;

use super::{V2, Version, only_v2};
use crate::app::Routes;
use crate::error::Result;
use crate::http::{JsonResponse, OperationDoc, Param, Path};
use crate::openapi;

const ALL: &str = "/";
const ONE: &str = "/{api_version}";

/// The operations of this chapter.
pub fn routes() -> Routes {
    Routes::of("Versions")
        .open_get("ListApiVersions", ALL, list, list_doc)
        .open_get("ShowApiVersion", ONE, show, show_doc)
}

fn list_doc() -> OperationDoc {
    OperationDoc::new("Lists the versions of the API.")
        .remarks(
            "A browser, which accepts HTML but not JSON, is redirected to the page of this \
                  document.",
        )
        .answers::<VersionsView>(StatusCode::OK)
        .redirects("The page of this document.")
}

/// `ListApiVersions`; a browser is led to the documentation.
async fn list(headers: HeaderMap) -> Response {
    if wants_page(&headers) {
        return Redirect::to(openapi::PAGE).into_response();
    }
    let versions = [V2.into()];
    JsonResponse(StatusCode::OK, VersionsView { versions }).into_response()
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

fn show_doc() -> OperationDoc {
    let version = json_schema!({"type": "string", "enum": [V2.id]});
    OperationDoc::new("Shows a version of the API.")
        .variables([Param::new("api_version", "The version.", version)])
        .answers::<VersionView>(StatusCode::OK)
        .refuses([only_v2()])
}

/// `ShowApiVersion`
async fn show(Path(id): Path<String>) -> Result<Response> {
    let version = Version::find(&id)?.into();
    Ok(JsonResponse(StatusCode::OK, VersionView { version }).into_response())
}

#[derive(Serialize, JsonSchema)]
struct VersionsView {
    versions: [ApiVersionView; 1],
}

#[derive(Serialize, JsonSchema)]
struct VersionView {
    version: ApiVersionView,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiVersion")]
struct ApiVersionView {
    id: &'static str,
    links: LinksView,
    min_version: &'static str,
    status: &'static str,
    updated: &'static str,
    version: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiVersionLinks")]
struct LinksView {
    href: String,
    rel: &'static str,
}

impl From<Version> for ApiVersionView {
    fn from(version: Version) -> Self {
        Self {
            id: version.id,
            links: LinksView {
                href: format!("/{}", version.id),
                rel: "self",
            },
            min_version: version.oldest,
            status: version.status,
            updated: version.updated,
            version: version.newest,
        }
    }
}
