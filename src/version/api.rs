//! The HTTP of versions.

use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;

use super::{V2, Version, only_v2};
use crate::app::Routes;
use crate::error::Result;
use crate::http::{JsonResponse, OWN_PATHS, OperationDoc, Param, Path, prefers_html};

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
            "A browser, which accepts HTML rather than JSON, is redirected to the console of the \
             emulator.",
        )
        .answers::<VersionsView>(StatusCode::OK)
        .redirects("The console.")
}

/// `ListApiVersions`; a browser is led to the console.
async fn list(headers: HeaderMap) -> Response {
    if prefers_html(&headers) {
        return Redirect::to(OWN_PATHS).into_response();
    }
    let versions = [V2.into()];
    JsonResponse(StatusCode::OK, VersionsView { versions }).into_response()
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
