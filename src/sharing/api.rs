//! The HTTP of sharing (API reference, image sharing). Its paths say `repositories` where all
//! others say `repos`.

use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;

use super::store::{self, CreateShare, DeleteShare, NewShare, Share, UpdateShare};
use super::{Deadline, MAX_DESCRIPTION};
use crate::app::{AppState, Routes};
use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::error::{Error, Fault, Resource, Result};
use crate::http::{JsonResponse, OperationDoc, Segment, empty_object};
use crate::json::JsonObject;
use crate::permission::{Manageable, Viewable};
use crate::repository::RepositoryRef;
use crate::schema::schema_of;

const SHARES: &str = "/v2/manage/namespaces/{namespace}/repositories/{repository}/access-domains";
const SHARE: &str =
    "/v2/manage/namespaces/{namespace}/repositories/{repository}/access-domains/{access_domain}";

/// The operations of this chapter.
pub fn routes() -> Routes {
    Routes::of("Sharing")
        .post("CreateRepoDomains", SHARES, create, create_doc)
        .with_recorded_body()
        .delete("DeleteRepoDomains", SHARE, delete, delete_doc)
        .patch("UpdateRepoDomains", SHARE, update, update_doc)
        .with_recorded_body()
        .get("ShowAccessDomain", SHARE, show, show_doc)
        .list("ListRepoDomains", SHARES, list, list_doc)
}

fn create_doc() -> OperationDoc {
    OperationDoc::new("Shares a private image with another account.")
        .takes(share_schema())
        .answers_empty_object(StatusCode::CREATED)
        .refuses([
            Error::fault(Fault::Domain, "access_domain", ""),
            Error::invalid("repository", ""),
            Error::AlreadyExists(Resource::Share),
        ])
}

/// `CreateRepoDomains`
async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Manageable(repository): Manageable<RepositoryRef>,
    body: JsonObject,
) -> Result<Response> {
    let name = body.string("access_domain")?;
    let (deadline, description) = read_terms(&body)?;
    let wrong = |rule| Err(Error::fault(Fault::Domain, "access_domain", rule));
    let Some(account) = app.directory.account_named(name) else {
        return wrong("must be the name of an existing account");
    };
    if account.id == caller.account_id() {
        return wrong("must be another account");
    }
    if repository.is_public {
        let rule = "must be private; everyone can already pull from a public repository";
        return Err(Error::invalid("repository", rule));
    }
    let share = NewShare {
        repository_id: repository.id,
        account_id: account.id.clone(),
        deadline,
        description,
        creator_id: caller.user().id.clone(),
        creator_name: caller.user_name().to_owned(),
        now: app.clock.now(),
    };
    app.db.write(CreateShare(share)).await?;
    Ok(empty_object(StatusCode::CREATED))
}

fn update_doc() -> OperationDoc {
    OperationDoc::new("Changes the deadline and the description of a share.")
        .takes(terms_schema())
        .answers_empty_object(StatusCode::CREATED)
        .refuses([Error::NotFound(Resource::Share)])
}

/// `UpdateRepoDomains`
async fn update(
    State(app): State<AppState>,
    AccessDomain(account_name): AccessDomain,
    Manageable(repository): Manageable<RepositoryRef>,
    body: JsonObject,
) -> Result<Response> {
    let (deadline, description) = read_terms(&body)?;
    let write = UpdateShare {
        repository_id: repository.id,
        account_name,
        deadline,
        description,
        now: app.clock.now(),
    };
    app.db.write(write).await?;
    Ok(empty_object(StatusCode::CREATED))
}

fn delete_doc() -> OperationDoc {
    OperationDoc::new("Stops sharing an image with an account.")
        .answers_nothing()
        .refuses([Error::NotFound(Resource::Share)])
}

/// `DeleteRepoDomains`
async fn delete(
    State(app): State<AppState>,
    AccessDomain(account_name): AccessDomain,
    Manageable(repository): Manageable<RepositoryRef>,
) -> Result<StatusCode> {
    let write = DeleteShare {
        repository_id: repository.id,
        account_name,
    };
    app.db.write(write).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn show_doc() -> OperationDoc {
    OperationDoc::new("Shows whether and how an image is shared with an account.")
        .remarks("If it is not, `exist` is false and all strings are empty.")
        .answers::<ShownShareView>(StatusCode::OK)
}

/// `ShowAccessDomain`: that the image is not shared with somebody is an answer too.
async fn show(
    State(app): State<AppState>,
    AccessDomain(account_name): AccessDomain,
    Viewable(repository): Viewable<RepositoryRef>,
) -> Result<Response> {
    let found = store::find(app.db.lookups(), repository.id, &account_name).await?;
    let view = match found {
        Some(share) => ShownShareView {
            exist: true,
            share: ShareView::new(&repository, share, app.clock.now()),
        },
        None => ShownShareView {
            exist: false,
            share: ShareView::none(&repository, account_name),
        },
    };
    Ok(JsonResponse(StatusCode::OK, view).into_response())
}

fn list_doc() -> OperationDoc {
    OperationDoc::new("Lists the accounts that an image is shared with.")
        .answers::<Vec<ShareView>>(StatusCode::OK)
}

/// `ListRepoDomains`
async fn list(
    State(app): State<AppState>,
    Viewable(repository): Viewable<RepositoryRef>,
) -> Result<Response> {
    let now = app.clock.now();
    let shares = store::list(app.db.readers(), repository.id).await?;
    let views: Vec<_> = shares
        .into_iter()
        .map(|share| ShareView::new(&repository, share, now))
        .collect();
    Ok(JsonResponse(StatusCode::OK, views).into_response())
}

/// The name of an account in a path.
struct AccessDomain(String);

impl<S: Sync> FromRequestParts<S> for AccessDomain {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let segment = Segment::read(parts, "access_domain", Fault::Domain).await?;
        Ok(Self(segment))
    }
}

/// Reads the fields that `CreateRepoDomains`, `UpdateRepoDomains` and the seed file have in common.
pub fn read_terms(body: &JsonObject) -> Result<(Deadline, String)> {
    if body.string("permit")? != "read" {
        return Err(Error::invalid("permit", "must be \"read\""));
    }
    let deadline = Deadline::parse(body.string("deadline")?)?;
    let description = body.optional_string("description")?.unwrap_or_default();
    if description.chars().count() > MAX_DESCRIPTION {
        let rule = format!("must have at most {MAX_DESCRIPTION} characters");
        return Err(Error::invalid("description", rule));
    }
    Ok((deadline, description.to_owned()))
}

/// The bodies that `CreateRepoDomains` takes.
fn share_schema() -> Schema {
    json_schema!({
        "type": "object",
        "required": ["permit", "deadline", "access_domain"],
        "properties": {
            "access_domain": {
                "type": "string",
                "minLength": 1,
                "description": "The name of another account, which can then pull the image.",
            },
            "deadline": schema_of::<Deadline>(),
            "description": description_schema(),
            "permit": permit_schema(),
        },
    })
}

/// The bodies that `UpdateRepoDomains` takes.
fn terms_schema() -> Schema {
    json_schema!({
        "type": "object",
        "required": ["permit", "deadline"],
        "properties": {
            "deadline": schema_of::<Deadline>(),
            "description": description_schema(),
            "permit": permit_schema(),
        },
    })
}

fn description_schema() -> Schema {
    json_schema!({"type": "string", "minLength": 0, "maxLength": MAX_DESCRIPTION})
}

fn permit_schema() -> Schema {
    json_schema!({"type": "string", "enum": ["read"]})
}

/// An entry of `ListRepoDomains`.
#[derive(Serialize, JsonSchema)]
struct ShareView {
    namespace: String,
    repository: String,
    access_domain: String,
    permit: &'static str,
    deadline: String,
    description: String,
    creator_id: String,
    creator_name: String,
    created: String,
    updated: String,
    status: bool,
}

/// The answer of `ShowAccessDomain`.
#[derive(Serialize, JsonSchema)]
struct ShownShareView {
    exist: bool,
    #[serde(flatten)]
    share: ShareView,
}

impl ShareView {
    fn new(repository: &RepositoryRef, share: Share, now: Timestamp) -> Self {
        let deadline = share.deadline.map(|deadline| deadline.to_string());
        Self {
            namespace: repository.namespace.name.to_string(),
            repository: repository.name.to_string(),
            access_domain: share.account_name,
            permit: "read",
            deadline: deadline.unwrap_or_else(|| "forever".to_owned()),
            description: share.description,
            creator_id: share.creator_id,
            creator_name: share.creator_name,
            created: share.created_at.to_string(),
            updated: share.updated_at.to_string(),
            status: share.ends_at.is_none_or(|end| now < end),
        }
    }

    /// What is shown of a share that is not there.
    fn none(repository: &RepositoryRef, access_domain: String) -> Self {
        Self {
            namespace: repository.namespace.name.to_string(),
            repository: repository.name.to_string(),
            access_domain,
            permit: "",
            deadline: String::new(),
            description: String::new(),
            creator_id: String::new(),
            creator_name: String::new(),
            created: String::new(),
            updated: String::new(),
            status: false,
        }
    }
}
