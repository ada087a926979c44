//! Versions of the API (API reference, version management). They hold no state.

use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::http::{Answer, Description, Operation, Param, Path, Routes, Shape};

/// The operations of this chapter.
pub fn routes() -> Routes {
    Routes::of("Versions")
        .with(
            Operation::new("ListApiVersions", Method::GET, "/")
                .open_to_all()
                .described(|| {
                    Description::new("Lists the versions of the API.")
                        .answers::<VersionsView>(StatusCode::OK)
                }),
            list,
        )
        .with(
            Operation::new("ShowApiVersion", Method::GET, "/{api_version}")
                .open_to_all()
                .described(|| {
                    let version = Shape::one_of([V2.id]);
                    Description::new("Shows a version of the API.")
                        .variables([Param::new("api_version", "The version.", version)])
                        .answers::<VersionView>(StatusCode::OK)
                        .refuses([Error::NoSuchApi("the only version is v2".to_owned())])
                }),
            show,
        )
}

/// `ListApiVersions`
async fn list() -> Response {
    let versions = [V2];
    Answer(StatusCode::OK, VersionsView { versions }).into_response()
}

/// `ShowApiVersion`
async fn show(Path(api_version): Path<String>) -> Result<Response> {
    if api_version != V2.id {
        return Err(Error::NoSuchApi(format!(
            "The API does not exist or has not been published: GET /{api_version} (the only version is v2)"
        )));
    }
    Ok(Answer(StatusCode::OK, VersionView { version: V2 }).into_response())
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
