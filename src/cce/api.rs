//! The HTTP of CCE clusters.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::store;
use crate::app::{AppState, Routes};
use crate::error::{Error, Resource, Result};
use crate::http::{ErrorFormat, JsonResponse, Operation, OperationDoc, Path};

const CLUSTER: &str = "/api/v3/projects/{project_id}/clusters/{cluster_id}";

/// The operations of CCE.
#[rustfmt::skip] // A table: one line an operation.
pub fn routes() -> Routes {
    Routes::of("CCE")
        .route(operation("ShowCluster", Method::GET, CLUSTER), show, show_doc)
}

/// An operation of CCE, of whose errors clients know those of the gateway.
fn operation(name: &'static str, method: Method, path: &'static str) -> Operation {
    Operation::new(name, method, path).in_form(ErrorFormat::Gateway)
}

fn show_doc() -> OperationDoc {
    OperationDoc::new("Shows a cluster of the seed file.").answers::<ClusterView>(StatusCode::OK)
}

/// `ShowCluster` (CCE): Terraform looks up the name of a trigger's cluster with it.
async fn show(
    State(app): State<AppState>,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response> {
    let cluster = store::find(app.db.lookups(), &id).await?;
    let cluster = cluster.ok_or(Error::NotFound(Resource::Cluster))?;
    let view = ClusterView {
        kind: "Cluster",
        api_version: "v3",
        metadata: Metadata {
            name: cluster.name,
            uid: cluster.id,
        },
        spec: Spec {},
        status: Status { phase: "Available" },
    };
    Ok(JsonResponse(StatusCode::OK, view).into_response())
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CceCluster")]
struct ClusterView {
    kind: &'static str,
    api_version: &'static str,
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CceMetadata")]
struct Metadata {
    name: String,
    uid: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CceSpec")]
struct Spec {}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CceStatus")]
struct Status {
    phase: &'static str,
}
