//! CCE clusters: the ones that the seed file names, as far as Terraform asks CCE for them.
//!
//! `store` is their SQL.

pub mod store;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::AppState;
use crate::error::{Error, Resource, Result};
use crate::http::{Answer, Form, Operation, OperationDoc, Path, Routes};

/// A cluster by id and name.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Cluster {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// The operations of CCE.
pub fn routes() -> Routes {
    let show_cluster = Operation::new(
        "ShowCluster",
        Method::GET,
        "/api/v3/projects/{project_id}/clusters/{cluster_id}",
    );
    Routes::of("CCE").with(
        show_cluster.in_form(Form::Gateway).described(|| {
            OperationDoc::new("Shows a cluster of the seed file.")
                .answers::<ClusterView>(StatusCode::OK)
        }),
        show,
    )
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
    Ok(Answer(StatusCode::OK, view).into_response())
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
