//! The HTTP of organizations (API reference, organization management).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, json_schema};
use serde::Serialize;

use super::store::{CreateNamespace, DeleteNamespace, NamespaceWithCounts};
use super::{Namespace, NamespaceFilter, NamespaceName, NewNamespace, store};
use crate::answers::for_administrators;
use crate::app::{AppState, Routes};
use crate::auth::Caller;
use crate::error::{Error, Fault, Resource, Result};
use crate::http::{JsonResponse, OperationDoc, Param, Query, empty_object};
use crate::json::JsonObject;
use crate::permission::Level;
use crate::permission::{Manageable, Viewable};
use crate::schema::schema_of;

const NAMESPACES: &str = "/v2/manage/namespaces";
const NAMESPACE: &str = "/v2/manage/namespaces/{namespace}";

/// The keys that `filter` knows.
const FILTER: [&str; 2] = ["namespace", "mode"];

/// The operations of this chapter.
pub fn routes() -> Routes {
    Routes::of("Organizations")
        .post("CreateNamespace", NAMESPACES, create, create_doc)
        .with_recorded_body()
        .delete("DeleteNamespaces", NAMESPACE, delete, delete_doc)
        .list("ListNamespaces", NAMESPACES, list, list_doc)
        .get("ShowNamespace", NAMESPACE, show, show_doc)
}

fn create_doc() -> OperationDoc {
    OperationDoc::new("Creates an organization.")
        .takes(json_schema!({
            "type": "object",
            "required": ["namespace"],
            "properties": {"namespace": schema_of::<NamespaceName>()},
        }))
        .answers_empty_object(StatusCode::CREATED)
        .refuses([
            Error::fault(Fault::NamespaceName, "namespace", ""),
            Error::AlreadyExists(Resource::Namespace),
            Error::NamespaceQuota(1000),
        ])
}

/// `CreateNamespace`
async fn create(State(app): State<AppState>, caller: Caller, body: JsonObject) -> Result<Response> {
    let name = NamespaceName::parse(body.string("namespace")?)?;
    let namespace = NewNamespace {
        region: app.region.clone(),
        name,
        account_id: caller.account_id().to_owned(),
        creator_id: caller.user().id.clone(),
        creator_name: caller.user_name().to_owned(),
        created_at: app.clock.now(),
    };
    let quota = app.quota_namespaces;
    app.db.write(CreateNamespace { namespace, quota }).await?;
    Ok(empty_object(StatusCode::CREATED))
}

fn delete_doc() -> OperationDoc {
    OperationDoc::new("Deletes an organization that contains no repositories.")
        .answers_nothing()
        .refuses([Error::NamespaceNotEmpty])
}

/// `DeleteNamespaces`
async fn delete(
    State(app): State<AppState>,
    Manageable(namespace): Manageable<Arc<Namespace>>,
) -> Result<StatusCode> {
    app.db.write(DeleteNamespace { id: namespace.id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn list_doc() -> OperationDoc {
    let mode = json_schema!({"type": "string", "enum": ["visible"]});
    OperationDoc::new("Lists the organizations that the caller can see.")
        .query([
            Param::new(
                "namespace",
                "The full name of the organization.",
                schema_of::<String>(),
            ),
            Param::new("mode", "Which organizations to list.", mode).refused(Fault::Filter),
            Param::filter(&FILTER),
        ])
        .answers::<NamespacesView>(StatusCode::OK)
}

/// `ListNamespaces`
async fn list(State(app): State<AppState>, caller: Caller, query: Query) -> Result<Response> {
    let criteria = query.criteria(&FILTER)?;
    if criteria.get("mode").is_some_and(|mode| mode != "visible") {
        return Err(Error::fault(
            Fault::Filter,
            "mode",
            "must be visible or omitted",
        ));
    }
    let name = criteria.get("namespace").map(str::to_owned);
    let (name, name_part) = if criteria.filtered {
        (None, name)
    } else {
        (name, None)
    };
    let filter = NamespaceFilter {
        region: app.region.clone(),
        account_id: caller.account_id().to_owned(),
        user_id: caller.restricted_id(),
        is_visible: criteria.get("mode").is_some(),
        name,
        name_part,
    };
    let found = store::list(app.db.readers(), &filter).await?;
    let namespaces = found
        .into_iter()
        .map(|listed| NamespaceView::listed(&caller, &listed))
        .collect();
    let view = NamespacesView { namespaces };
    Ok(for_administrators(
        &caller,
        None,
        JsonResponse(StatusCode::OK, view),
    ))
}

fn show_doc() -> OperationDoc {
    OperationDoc::new("Shows an organization.").answers::<NamespaceView>(StatusCode::OK)
}

/// `ShowNamespace`
async fn show(caller: Caller, Viewable(namespace): Viewable<Arc<Namespace>>) -> Result<Response> {
    let view = NamespaceView::shown(&caller, &namespace);
    Ok(for_administrators(
        &caller,
        None,
        JsonResponse(StatusCode::OK, view),
    ))
}

#[derive(Serialize, JsonSchema)]
struct NamespacesView {
    namespaces: Vec<NamespaceView>,
}

#[derive(Serialize, JsonSchema)]
struct NamespaceView {
    id: i64,
    name: String,
    creator_name: String,
    auth: u8,
    /// Only in lists, as on the live service.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_user_count: Option<i64>,
    /// Only in lists, as on the live service.
    #[serde(skip_serializing_if = "Option::is_none")]
    repo_count: Option<i64>,
}

impl NamespaceView {
    fn shown(caller: &Caller, namespace: &Namespace) -> Self {
        let level = Level::of(caller.user(), namespace, None);
        Self {
            id: namespace.id,
            name: namespace.name.to_string(),
            creator_name: namespace.creator_name.clone(),
            // Who sees an organization for the sake of a repository may look at its name.
            auth: level.unwrap_or(Level::Read).auth(),
            access_user_count: None,
            repo_count: None,
        }
    }

    fn listed(caller: &Caller, listed: &NamespaceWithCounts) -> Self {
        Self {
            access_user_count: Some(listed.users),
            repo_count: Some(listed.repositories),
            ..Self::shown(caller, &listed.namespace)
        }
    }
}
