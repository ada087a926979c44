//! The HTTP of permissions (API reference, organization and image permission management).

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;

use super::GrantScope::{self, ForImage, InNamespace};
use super::store::{self, ChangeGrants, CreateGrants, DeleteGrants};
use super::{Grant, GrantTarget, Level};
use crate::app::{App, AppState, Routes};
use crate::auth::Caller;
use crate::error::{Error, Fault, Result};
use crate::http::{JsonResponse, OperationDoc, empty_object};
use crate::json::{JsonArray, JsonObject};
use crate::namespace::Namespace;
use crate::permission::{Grantable, Manageable, Viewable};
use crate::repository::RepositoryRef;
use crate::schema::described;

const NAMESPACE: &str = "/v2/manage/namespaces/{namespace}/access";
const IMAGE: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/access";
/// The longest id or name of a user, in characters.
const MAX_LENGTH: usize = 64;
/// How many users one request may name.
const MOST_USERS: usize = 500;
/// How many users are granted rights, or other rights, at once.
const GRANTED: RangeInclusive<usize> = 1..=MOST_USERS;
/// From how many users rights are taken away at once. From nobody is fine: the reference states no
/// least number, and Terraform sends an empty list where it has read that nobody has a right.
const REVOKED: RangeInclusive<usize> = 0..=MOST_USERS;

/// The operations of both chapters, which are twins. They differ in a few words and codes, and in
/// the right that they ask for: see [`Manageable`] and [`Grantable`].
pub fn routes() -> Routes {
    namespace_routes().and(image_routes())
}

/// The operations on rights in organizations.
#[rustfmt::skip] // A table: one line an operation.
fn namespace_routes() -> Routes {
    Routes::of("Organization permissions")
        .post("CreateNamespaceAuth", NAMESPACE, create_in_namespace, || create_doc(InNamespace)).with_recorded_body()
        .delete("DeleteNamespaceAuth", NAMESPACE, delete_in_namespace, || delete_doc(InNamespace)).with_recorded_body()
        .patch("UpdateNamespaceAuth", NAMESPACE, update_in_namespace, || update_doc(InNamespace)).with_recorded_body()
        .get("ShowNamespaceAuth", NAMESPACE, show_in_namespace, || show_doc(InNamespace))
}

/// The operations on rights for single images.
#[rustfmt::skip] // A table: one line an operation.
fn image_routes() -> Routes {
    Routes::of("Image permissions")
        .post("CreateUserRepositoryAuth", IMAGE, create_for_image, || create_doc(ForImage)).with_recorded_body()
        .delete("DeleteUserRepositoryAuth", IMAGE, delete_for_image, || delete_doc(ForImage)).with_recorded_body()
        .patch("UpdateUserRepositoryAuth", IMAGE, update_for_image, || update_doc(ForImage)).with_recorded_body()
        .get("ShowUserRepositoryAuth", IMAGE, show_for_image, || show_doc(ForImage))
}

fn create_doc(scope: GrantScope) -> OperationDoc {
    let summary = match scope {
        InNamespace => "Grants users permissions in an organization, all or none.",
        ForImage => "Grants users permissions for an image, all or none.",
    };
    OperationDoc::new(summary)
        .takes(grants_schema())
        .answers_empty_object(created(scope))
        .refuses(wrong_grants(scope))
        .refuses([Error::AlreadyExists(scope.permission())])
}

/// `CreateNamespaceAuth`
async fn create_in_namespace(
    State(app): State<AppState>,
    caller: Caller,
    Manageable(namespace): Manageable<Arc<Namespace>>,
    body: JsonArray,
) -> Result<Response> {
    create(&app, &caller, GrantTarget::Namespace(namespace.id), &body).await
}

/// `CreateUserRepositoryAuth`
async fn create_for_image(
    State(app): State<AppState>,
    caller: Caller,
    Grantable(repository): Grantable,
    body: JsonArray,
) -> Result<Response> {
    create(&app, &caller, GrantTarget::Repository(repository.id), &body).await
}

async fn create(
    app: &App,
    caller: &Caller,
    place: GrantTarget,
    body: &JsonArray,
) -> Result<Response> {
    let grants = grants(app, caller, place, body)?;
    app.db.write(CreateGrants { place, grants }).await?;
    Ok(empty_object(created(place.scope())))
}

/// The status of a success; the reference has two.
fn created(scope: GrantScope) -> StatusCode {
    match scope {
        InNamespace => StatusCode::OK,
        ForImage => StatusCode::CREATED,
    }
}

fn delete_doc(scope: GrantScope) -> OperationDoc {
    let summary = match scope {
        InNamespace => "Revokes the permissions of users in an organization, all or none.",
        ForImage => "Revokes the permissions of users for an image, all or none.",
    };
    OperationDoc::new(summary)
        .takes(user_ids_schema())
        .answers_nothing()
        .refuses([
            Error::invalid("user_id", ""),
            Error::NotFound(scope.permission()),
        ])
}

/// `DeleteNamespaceAuth`
async fn delete_in_namespace(
    State(app): State<AppState>,
    Manageable(namespace): Manageable<Arc<Namespace>>,
    body: JsonArray,
) -> Result<StatusCode> {
    delete(&app, GrantTarget::Namespace(namespace.id), &body).await
}

/// `DeleteUserRepositoryAuth`
async fn delete_for_image(
    State(app): State<AppState>,
    Grantable(repository): Grantable,
    body: JsonArray,
) -> Result<StatusCode> {
    delete(&app, GrantTarget::Repository(repository.id), &body).await
}

async fn delete(app: &App, place: GrantTarget, body: &JsonArray) -> Result<StatusCode> {
    let user_ids = user_ids(body)?;
    app.db.write(DeleteGrants { place, user_ids }).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn update_doc(scope: GrantScope) -> OperationDoc {
    let summary = match scope {
        InNamespace => "Changes the permissions of users in an organization, all or none.",
        ForImage => "Changes the permissions of users for an image, all or none.",
    };
    OperationDoc::new(summary)
        .takes(grants_schema())
        .answers_empty_object(StatusCode::CREATED)
        .refuses(wrong_grants(scope))
        .refuses([Error::NotFound(scope.permission())])
}

/// `UpdateNamespaceAuth`
async fn update_in_namespace(
    State(app): State<AppState>,
    caller: Caller,
    Manageable(namespace): Manageable<Arc<Namespace>>,
    body: JsonArray,
) -> Result<Response> {
    update(&app, &caller, GrantTarget::Namespace(namespace.id), &body).await
}

/// `UpdateUserRepositoryAuth`
async fn update_for_image(
    State(app): State<AppState>,
    caller: Caller,
    Grantable(repository): Grantable,
    body: JsonArray,
) -> Result<Response> {
    update(&app, &caller, GrantTarget::Repository(repository.id), &body).await
}

async fn update(
    app: &App,
    caller: &Caller,
    place: GrantTarget,
    body: &JsonArray,
) -> Result<Response> {
    let grants = grants(app, caller, place, body)?;
    app.db.write(ChangeGrants { place, grants }).await?;
    Ok(empty_object(StatusCode::CREATED))
}

fn show_doc(scope: GrantScope) -> OperationDoc {
    match scope {
        InNamespace => OperationDoc::new(
            "Shows the caller's permission in an organization and those of other users.",
        )
        .answers::<NamespaceAuthView>(StatusCode::OK),
        ForImage => OperationDoc::new(
            "Shows the caller's permission for an image and those of other users.",
        )
        .answers::<RepositoryAuthView>(StatusCode::OK),
    }
}

/// `ShowNamespaceAuth`
async fn show_in_namespace(
    State(app): State<AppState>,
    caller: Caller,
    Viewable(namespace): Viewable<Arc<Namespace>>,
) -> Result<Response> {
    let grants = store::list(app.db.readers(), GrantTarget::Namespace(namespace.id)).await?;
    let level = Level::of(caller.user(), &namespace, None);
    let view = NamespaceAuthView {
        id: namespace.id,
        name: namespace.name.to_string(),
        creator_name: namespace.creator_name.clone(),
        rights: RightsView::new(&caller, level, grants),
    };
    Ok(JsonResponse(StatusCode::OK, view).into_response())
}

/// `ShowUserRepositoryAuth`
async fn show_for_image(
    State(app): State<AppState>,
    caller: Caller,
    Viewable(repository): Viewable<RepositoryRef>,
) -> Result<Response> {
    let grants = store::list(app.db.readers(), GrantTarget::Repository(repository.id)).await?;
    let level = Level::of(caller.user(), &repository.namespace, Some(&repository));
    let view = RepositoryAuthView {
        id: repository.id,
        name: repository.name.to_string(),
        rights: RightsView::new(&caller, level, grants),
    };
    Ok(JsonResponse(StatusCode::OK, view).into_response())
}

/// Reads the body of a request that grants or changes rights.
fn grants(app: &App, caller: &Caller, place: GrantTarget, body: &JsonArray) -> Result<Vec<Grant>> {
    let entries = body.objects()?;
    check_number(entries.len(), &GRANTED)?;
    let mut seen = HashSet::new();
    let mut grants = Vec::new();
    for entry in entries {
        let grant = grant(app, caller, place, &entry)?;
        if !seen.insert(grant.user_id.clone()) {
            return Err(Error::invalid("user_id", "must not appear twice"));
        }
        grants.push(grant);
    }
    Ok(grants)
}

fn grant(app: &App, caller: &Caller, place: GrantTarget, entry: &JsonObject) -> Result<Grant> {
    let user_id = short("user_id", entry.string("user_id")?, Fault::Parameter)?;
    let user_name = short("user_name", entry.string("user_name")?, Fault::UserName)?;
    let wrong_name = |rule| Err(Error::fault(Fault::UserName, "user_name", rule));
    // A user of whom the seed file says nothing may exist all the same: IAM is not emulated whole.
    if let Some(user) = app.directory.user_with_id(&user_id) {
        if user.account.id != caller.account_id() {
            return wrong_name("must belong to a user of this account");
        }
        if user.name != user_name {
            return wrong_name("must be the name of the user with this user_id");
        }
    }
    // The page of image permissions: the grantor cannot grant to himself.
    if matches!(place, GrantTarget::Repository(_)) && user_id == caller.user().id {
        return wrong_name("must not be the caller");
    }
    let level = entry.number("auth")?;
    let level = level.as_u64().and_then(Level::from_auth).ok_or_else(|| {
        Error::fault(
            place.scope().auth_fault(),
            "auth",
            "must be 7 (manage), 3 (edit) or 1 (read)",
        )
    })?;
    Ok(Grant {
        user_id,
        user_name,
        level,
    })
}

/// Reads the body of a request that takes rights away.
fn user_ids(body: &JsonArray) -> Result<Vec<String>> {
    let texts = body.strings()?;
    check_number(texts.len(), &REVOKED)?;
    let mut user_ids: Vec<String> = Vec::new();
    for user_id in texts {
        let user_id = short("user_id", user_id, Fault::Parameter)?;
        if user_ids.contains(&user_id) {
            return Err(Error::invalid("user_id", "must not appear twice"));
        }
        user_ids.push(user_id);
    }
    Ok(user_ids)
}

fn check_number(users: usize, allowed: &RangeInclusive<usize>) -> Result<()> {
    if allowed.contains(&users) {
        return Ok(());
    }
    let (least, most) = (allowed.start(), allowed.end());
    let rule = format!("must name {least} to {most} users");
    Err(Error::invalid("body", rule))
}

fn short(field: &'static str, text: &str, fault: Fault) -> Result<String> {
    if text.trim().is_empty() || text.chars().count() > MAX_LENGTH {
        let rule = format!("must have 1 to {MAX_LENGTH} characters");
        return Err(Error::fault(fault, field, rule));
    }
    Ok(text.to_owned())
}

/// The bodies that [`grants`] reads.
fn grants_schema() -> Schema {
    let levels = [Level::Manage, Level::Edit, Level::Read];
    json_schema!({
        "type": "array",
        "minItems": GRANTED.start(),
        "maxItems": GRANTED.end(),
        "items": {
            "type": "object",
            "required": ["user_id", "user_name", "auth"],
            "properties": {
                "user_id": short_schema(),
                "user_name": described(short_schema(), "The name of the user with this id."),
                "auth": {
                    "type": "integer",
                    "enum": levels.map(Level::auth),
                    "description": "7 (manage), 3 (edit) or 1 (read).",
                },
            },
        },
        "description": "Each user at most once.",
    })
}

/// The bodies that [`user_ids`] reads.
fn user_ids_schema() -> Schema {
    json_schema!({
        "type": "array",
        "minItems": REVOKED.start(),
        "maxItems": REVOKED.end(),
        "items": short_schema(),
        "description": "The ids of the users, each at most once; can be empty.",
    })
}

/// The texts that [`short`] takes: not blank, and not too long.
fn short_schema() -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_LENGTH, "pattern": "\\S"})
}

/// The errors with which [`grants`] refuses an entry.
fn wrong_grants(scope: GrantScope) -> [Error; 3] {
    [
        Error::invalid("user_id", ""),
        Error::fault(Fault::UserName, "user_name", ""),
        Error::fault(scope.auth_fault(), "auth", ""),
    ]
}

/// The answer of `ShowNamespaceAuth`.
#[derive(Serialize, JsonSchema)]
struct NamespaceAuthView {
    id: i64,
    name: String,
    creator_name: String,
    #[serde(flatten)]
    rights: RightsView,
}

/// The answer of `ShowUserRepositoryAuth`.
#[derive(Serialize, JsonSchema)]
struct RepositoryAuthView {
    id: i64,
    name: String,
    #[serde(flatten)]
    rights: RightsView,
}

/// The caller's right, whatever it comes from, and those granted to others, in order of granting.
#[derive(Serialize, JsonSchema)]
struct RightsView {
    self_auth: RightView,
    others_auths: Vec<RightView>,
}

#[derive(Serialize, JsonSchema)]
struct RightView {
    user_id: String,
    user_name: String,
    auth: u8,
}

impl RightsView {
    fn new(caller: &Caller, level: Option<Level>, grants: Vec<Grant>) -> Self {
        let user = caller.user();
        let others = grants.into_iter().filter(|grant| grant.user_id != user.id);
        Self {
            self_auth: RightView {
                user_id: user.id.clone(),
                user_name: user.name.clone(),
                auth: level.map_or(0, Level::auth),
            },
            others_auths: others.map(RightView::from).collect(),
        }
    }
}

impl From<Grant> for RightView {
    fn from(grant: Grant) -> Self {
        Self {
            user_id: grant.user_id,
            user_name: grant.user_name,
            auth: grant.level.auth(),
        }
    }
}
