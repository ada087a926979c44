//! The HTTP of repositories (API reference, image repository management).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;
use strum::VariantNames;

use super::lists::{
    list, list_doc, list_shared, list_shared_doc, list_shared_v3, list_shared_v3_doc, list_v3,
    list_v3_doc,
};
use super::store::{self, CreateRepository, DeleteRepository, UpdateRepository};
use super::{
    Category, Description, NewRepository, Repository, RepositoryChange, RepositoryName,
    RepositoryRef,
};
use crate::app::{App, AppState, Routes};
use crate::auth::Caller;
use crate::error::{Error, Fault, Resource, Result};
use crate::http::{JsonResponse, OperationDoc, empty_object};
use crate::json::JsonObject;
use crate::namespace::Namespace;
use crate::permission::{Editable, Manageable, Viewable, for_readers_of};
use crate::schema::schema_of;

const REPOSITORIES: &str = "/v2/manage/namespaces/{namespace}/repos";
const REPOSITORY: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}";
const OWN: &str = "/v2/manage/repos";
const OWN_V3: &str = "/v3/manage/repos";
const SHARED: &str = "/v2/manage/shared-repositories";
const SHARED_V3: &str = "/v3/manage/shared-repositories";

/// The operations of this chapter.
#[rustfmt::skip] // A table: one line an operation.
pub fn routes() -> Routes {
    Routes::of("Repositories")
        .post("CreateRepo", REPOSITORIES, create, create_doc).with_recorded_body()
        .delete("DeleteRepo", REPOSITORY, delete, delete_doc)
        .patch("UpdateRepo", REPOSITORY, update, update_doc).with_recorded_body()
        .get("ShowRepository", REPOSITORY, show, show_doc)
        .list("ListReposDetails", OWN, list, list_doc)
        .list("ListSharedReposDetails", SHARED, list_shared, list_shared_doc)
        .list("ListRepoDetails", OWN_V3, list_v3, list_v3_doc)
        .list("ListSharedRepoDetails", SHARED_V3, list_shared_v3, list_shared_v3_doc)
}

fn create_doc() -> OperationDoc {
    OperationDoc::new("Creates a repository in an organization.")
        .takes(json_schema!({
            "type": "object",
            "required": ["is_public", "repository"],
            "properties": {
                "category": category_schema(),
                "description": schema_of::<Description>(),
                "is_public": schema_of::<bool>(),
                "repository": schema_of::<RepositoryName>(),
            },
        }))
        .answers_empty_object(StatusCode::OK)
        .refuses([
            Error::fault(Fault::RepositoryName, "repository", ""),
            Error::AlreadyExists(Resource::Repository),
            Description::too_long(),
        ])
}

/// `CreateRepo`
async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Editable(namespace): Editable<Arc<Namespace>>,
    body: JsonObject,
) -> Result<Response> {
    let name = RepositoryName::parse(body.string("repository")?)?;
    let attributes = attributes(&body)?;
    let repository = NewRepository {
        namespace_id: namespace.id,
        name,
        is_public: attributes.is_public,
        category: attributes.category.unwrap_or_default(),
        description: attributes.description.unwrap_or_default(),
        creator_id: caller.user().id.clone(),
        creator_name: caller.user_name().to_owned(),
        created_at: app.clock.now(),
    };
    app.db.write(CreateRepository(repository)).await?;
    Ok(empty_object(StatusCode::OK))
}

fn delete_doc() -> OperationDoc {
    OperationDoc::new("Deletes a repository and everything in it.").answers_nothing()
}

/// `DeleteRepo`
async fn delete(
    State(app): State<AppState>,
    Manageable(repository): Manageable<RepositoryRef>,
) -> Result<StatusCode> {
    let write = DeleteRepository {
        id: repository.id,
        now: app.clock.now(),
    };
    app.db.write(write).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn update_doc() -> OperationDoc {
    OperationDoc::new("Changes attributes of a repository.")
        .takes(json_schema!({
            "type": "object",
            "required": ["is_public"],
            "properties": {
                "category": category_schema(),
                "description": schema_of::<Description>(),
                "is_public": schema_of::<bool>(),
            },
        }))
        .answers_empty_object(StatusCode::CREATED)
        .refuses([Description::too_long()])
}

/// `UpdateRepo`
async fn update(
    State(app): State<AppState>,
    Editable(repository): Editable<RepositoryRef>,
    body: JsonObject,
) -> Result<Response> {
    let write = UpdateRepository {
        id: repository.id,
        change: attributes(&body)?,
        now: app.clock.now(),
    };
    app.db.write(write).await?;
    Ok(empty_object(StatusCode::CREATED))
}

/// The fields that `CreateRepo` and `UpdateRepo` share.
fn attributes(body: &JsonObject) -> Result<RepositoryChange> {
    let is_public = body.boolean("is_public")?;
    let category = body
        .optional_string("category")?
        .filter(|text| !text.is_empty())
        .map(|text| Category::parse(text, Fault::Parameter))
        .transpose()?;
    let description = body
        .optional_string("description")?
        .map(Description::parse)
        .transpose()?;
    Ok(RepositoryChange {
        is_public,
        category,
        description,
    })
}

pub(super) fn category_schema() -> Schema {
    json_schema!({"type": "string", "enum": Category::VARIANTS})
}

fn show_doc() -> OperationDoc {
    OperationDoc::new("Shows a repository.").answers::<RepositoryView>(StatusCode::OK)
}

/// `ShowRepository`
async fn show(
    State(app): State<AppState>,
    Viewable(repository): Viewable<RepositoryRef>,
) -> Result<Response> {
    let found = store::find(app.db.lookups(), repository.id).await?;
    let found = found.ok_or(Error::NotFound(Resource::Repository))?;
    let view = RepositoryView::new(&app, found);
    let subject = store::subject(repository.id);
    Ok(for_readers_of(
        repository,
        Some(subject),
        JsonResponse(StatusCode::OK, view),
    ))
}

/// Where a client pulls from and pushes to.
pub(super) fn path(app: &App, repository: &Repository) -> String {
    format!(
        "{}/{}/{}",
        app.registry_host, repository.namespace, repository.name
    )
}

/// The answer of `ShowRepository`.
#[derive(Serialize, JsonSchema)]
struct RepositoryView {
    id: i64,
    ns_id: i64,
    name: String,
    category: &'static str,
    description: String,
    creator_id: String,
    creator_name: String,
    size: i64,
    is_public: bool,
    num_images: i64,
    num_download: i64,
    url: &'static str,
    path: String,
    internal_path: String,
    created: String,
    updated: String,
    domain_id: String,
    priority: i64,
}

impl RepositoryView {
    fn new(app: &App, repository: Repository) -> Self {
        let path = path(app, &repository);
        Self {
            id: repository.id,
            ns_id: repository.namespace_id,
            name: repository.name,
            category: repository.category.as_str(),
            description: repository.description,
            creator_id: repository.creator_id,
            creator_name: repository.creator_name,
            size: repository.size,
            is_public: repository.is_public,
            num_images: repository.num_images,
            num_download: repository.num_download,
            url: "",
            internal_path: path.clone(),
            path,
            created: repository.created_at.to_string(),
            updated: repository.updated_at.to_string(),
            domain_id: repository.account_id,
            priority: 0,
        }
    }
}
