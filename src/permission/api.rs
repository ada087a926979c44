//! The HTTP of permissions (API reference, organization and image permission management).

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::store::{self, ChangeGrants, CreateGrants, DeleteGrants};
use super::{Grant, Level, Place};
use crate::app::{App, AppState};
use crate::auth::Caller;
use crate::error::{Error, Fault, Resource, Result};
use crate::http::{Answer, Fields, Items, Operation, OperationDoc, Routes, Shape, empty_object};
use crate::namespace::Namespace;
use crate::permission::{Grantable, Manageable, Viewable};
use crate::repository::RepositoryRef;

const NAMESPACE_ACCESS: &str = "/v2/manage/namespaces/{namespace}/access";
const REPOSITORY_ACCESS: &str = "/v2/manage/namespaces/{namespace}/repos/{repository}/access";
/// The longest id or name of a user, in characters.
const MAX_LENGTH: usize = 64;
/// How many users one request may name.
const MOST_USERS: usize = 500;
/// How many users are granted rights, or other rights, at once.
const GRANTED: RangeInclusive<usize> = 1..=MOST_USERS;
/// From how many users rights are taken away at once. From nobody is fine: the reference states no
/// least number, and Terraform sends an empty list where it has read that nobody has a right.
const REVOKED: RangeInclusive<usize> = 0..=MOST_USERS;

/// The operations of this chapter.
pub fn routes() -> Routes {
    namespace_routes().and(repository_routes())
}

/// Those on rights in organizations.
fn namespace_routes() -> Routes {
    Routes::of("Organization permissions")
        .with(
            Operation::new("CreateNamespaceAuth", Method::POST, NAMESPACE_ACCESS).described(|| {
                OperationDoc::new("Grants users rights in an organization; all of them or none.")
                    .takes(grants_shape())
                    .answers_empty_object(StatusCode::OK)
                    .refuses(wrong_grants(Fault::NamespaceAuth))
                    .refuses([Error::AlreadyExists(Resource::NamespacePermission)])
            }),
            create_in_namespace,
        )
        .with(
            Operation::new("DeleteNamespaceAuth", Method::DELETE, NAMESPACE_ACCESS).described(
                || {
                    OperationDoc::new(
                        "Takes the rights of users in an organization away; all of them or none.",
                    )
                    .takes(user_ids_shape())
                    .answers_nothing()
                    .refuses([
                        Error::invalid("user_id", ""),
                        Error::NotFound(Resource::NamespacePermission),
                    ])
                },
            ),
            delete_in_namespace,
        )
        .with(
            Operation::new("UpdateNamespaceAuth", Method::PATCH, NAMESPACE_ACCESS).described(
                || {
                    OperationDoc::new(
                        "Changes the rights of users in an organization; all of them or none.",
                    )
                    .takes(grants_shape())
                    .answers_empty_object(StatusCode::CREATED)
                    .refuses(wrong_grants(Fault::NamespaceAuth))
                    .refuses([Error::NotFound(Resource::NamespacePermission)])
                },
            ),
            update_in_namespace,
        )
        .with(
            Operation::new("ShowNamespaceAuth", Method::GET, NAMESPACE_ACCESS).described(|| {
                OperationDoc::new(
                    "Shows the caller's right in an organization, and those of others.",
                )
                .answers::<NamespaceAuthView>(StatusCode::OK)
            }),
            show_of_namespace,
        )
}

/// Those on rights for single images.
fn repository_routes() -> Routes {
    Routes::of("Image permissions")
        .with(
            Operation::new("CreateUserRepositoryAuth", Method::POST, REPOSITORY_ACCESS).described(
                || {
                    OperationDoc::new("Grants users rights for an image; all of them or none.")
                        .takes(grants_shape())
                        .answers_empty_object(StatusCode::CREATED)
                        .refuses(wrong_grants(Fault::Auth))
                        .refuses([Error::AlreadyExists(Resource::RepositoryPermission)])
                },
            ),
            create_in_repository,
        )
        .with(
            Operation::new(
                "DeleteUserRepositoryAuth",
                Method::DELETE,
                REPOSITORY_ACCESS,
            )
            .described(|| {
                OperationDoc::new(
                    "Takes the rights of users for an image away; all of them or none.",
                )
                .takes(user_ids_shape())
                .answers_nothing()
                .refuses([
                    Error::invalid("user_id", ""),
                    Error::NotFound(Resource::RepositoryPermission),
                ])
            }),
            delete_in_repository,
        )
        .with(
            Operation::new("UpdateUserRepositoryAuth", Method::PATCH, REPOSITORY_ACCESS).described(
                || {
                    OperationDoc::new(
                        "Changes the rights of users for an image; all of them or none.",
                    )
                    .takes(grants_shape())
                    .answers_empty_object(StatusCode::CREATED)
                    .refuses(wrong_grants(Fault::Auth))
                    .refuses([Error::NotFound(Resource::RepositoryPermission)])
                },
            ),
            update_in_repository,
        )
        .with(
            Operation::new("ShowUserRepositoryAuth", Method::GET, REPOSITORY_ACCESS).described(
                || {
                    OperationDoc::new("Shows the caller's right for an image, and those of others.")
                        .answers::<RepositoryAuthView>(StatusCode::OK)
                },
            ),
            show_of_repository,
        )
}

/// What [`grants`] reads.
fn grants_shape() -> Shape {
    let auth = Shape::one_of_numbers([Level::Manage, Level::Edit, Level::Read].map(Level::auth));
    let grant = Shape::object()
        .must("user_id", short_shape())
        .must(
            "user_name",
            short_shape().says("That of the user with this id."),
        )
        .must("auth", auth.says("7 (manage), 3 (edit) or 1 (read)."));
    Shape::array(grant)
        .length(*GRANTED.start(), *GRANTED.end())
        .says("Each user once.")
}

/// What [`user_ids`] reads.
fn user_ids_shape() -> Shape {
    Shape::array(short_shape())
        .length(*REVOKED.start(), *REVOKED.end())
        .says("The ids of the users, each once; none is fine.")
}

/// What [`short`] reads: not blank, and not too long.
fn short_shape() -> Shape {
    Shape::text().length(1, MAX_LENGTH).pattern("\\S")
}

/// What [`grants`] refuses; `fault` is what a wrong `auth` counts as.
fn wrong_grants(fault: Fault) -> [Error; 3] {
    [
        Error::invalid("user_id", ""),
        Error::fault(Fault::UserName, "user_name", ""),
        Error::fault(fault, "auth", ""),
    ]
}

/// `CreateNamespaceAuth`
async fn create_in_namespace(
    State(app): State<AppState>,
    caller: Caller,
    Manageable(namespace): Manageable<Arc<Namespace>>,
    body: Items,
) -> Result<Response> {
    let place = Place::Namespace(namespace.id);
    let grants = grants(&app, &caller, place, &body)?;
    app.db.write(CreateGrants { place, grants }).await?;
    Ok(empty_object(StatusCode::OK))
}

/// `UpdateNamespaceAuth`
async fn update_in_namespace(
    State(app): State<AppState>,
    caller: Caller,
    Manageable(namespace): Manageable<Arc<Namespace>>,
    body: Items,
) -> Result<Response> {
    let place = Place::Namespace(namespace.id);
    let grants = grants(&app, &caller, place, &body)?;
    app.db.write(ChangeGrants { place, grants }).await?;
    Ok(empty_object(StatusCode::CREATED))
}

/// `DeleteNamespaceAuth`
async fn delete_in_namespace(
    State(app): State<AppState>,
    Manageable(namespace): Manageable<Arc<Namespace>>,
    body: Items,
) -> Result<StatusCode> {
    let place = Place::Namespace(namespace.id);
    let user_ids = user_ids(&body)?;
    app.db.write(DeleteGrants { place, user_ids }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `ShowNamespaceAuth`
async fn show_of_namespace(
    State(app): State<AppState>,
    caller: Caller,
    Viewable(namespace): Viewable<Arc<Namespace>>,
) -> Result<Response> {
    let grants = store::list(app.db.readers(), Place::Namespace(namespace.id)).await?;
    let level = Level::of(caller.user(), &namespace, None);
    let view = NamespaceAuthView {
        id: namespace.id,
        name: namespace.name.to_string(),
        creator_name: namespace.creator_name.clone(),
        rights: RightsView::new(&caller, level, grants),
    };
    Ok(Answer(StatusCode::OK, view).into_response())
}

/// `CreateUserRepositoryAuth`
async fn create_in_repository(
    State(app): State<AppState>,
    caller: Caller,
    Grantable(repository): Grantable,
    body: Items,
) -> Result<Response> {
    let place = Place::Repository(repository.id);
    let grants = grants(&app, &caller, place, &body)?;
    app.db.write(CreateGrants { place, grants }).await?;
    Ok(empty_object(StatusCode::CREATED))
}

/// `UpdateUserRepositoryAuth`
async fn update_in_repository(
    State(app): State<AppState>,
    caller: Caller,
    Grantable(repository): Grantable,
    body: Items,
) -> Result<Response> {
    let place = Place::Repository(repository.id);
    let grants = grants(&app, &caller, place, &body)?;
    app.db.write(ChangeGrants { place, grants }).await?;
    Ok(empty_object(StatusCode::CREATED))
}

/// `DeleteUserRepositoryAuth`
async fn delete_in_repository(
    State(app): State<AppState>,
    Grantable(repository): Grantable,
    body: Items,
) -> Result<StatusCode> {
    let place = Place::Repository(repository.id);
    let user_ids = user_ids(&body)?;
    app.db.write(DeleteGrants { place, user_ids }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `ShowUserRepositoryAuth`
async fn show_of_repository(
    State(app): State<AppState>,
    caller: Caller,
    Viewable(repository): Viewable<RepositoryRef>,
) -> Result<Response> {
    let grants = store::list(app.db.readers(), Place::Repository(repository.id)).await?;
    let level = Level::of(caller.user(), &repository.namespace, Some(&repository));
    let view = RepositoryAuthView {
        id: repository.id,
        name: repository.name.to_string(),
        rights: RightsView::new(&caller, level, grants),
    };
    Ok(Answer(StatusCode::OK, view).into_response())
}

/// Reads the body of a request that grants or changes rights.
fn grants(app: &App, caller: &Caller, place: Place, body: &Items) -> Result<Vec<Grant>> {
    let entries = body.objects()?;
    check_number(entries.len(), &GRANTED)?;
    let mut seen = HashSet::new();
    let mut grants = Vec::new();
    for entry in entries {
        let grant = grant(app, caller, place, &entry)?;
        if !seen.insert(grant.user_id.clone()) {
            return Err(Error::invalid("user_id", "must not come twice"));
        }
        grants.push(grant);
    }
    Ok(grants)
}

fn grant(app: &App, caller: &Caller, place: Place, entry: &Fields) -> Result<Grant> {
    let user_id = short("user_id", entry.string("user_id")?, Fault::Parameter)?;
    let user_name = short("user_name", entry.string("user_name")?, Fault::UserName)?;
    let wrong_name = |rule| Err(Error::fault(Fault::UserName, "user_name", rule));
    // A user of whom the seed file says nothing may exist all the same: IAM is not emulated whole.
    if let Some(user) = app.directory.user_with_id(&user_id) {
        if user.account.id != caller.account_id() {
            return wrong_name("must be of a user of this account");
        }
        if user.name != user_name {
            return wrong_name("must be the name of the user with this user_id");
        }
    }
    // The page of image permissions: the grantor cannot grant to himself.
    if matches!(place, Place::Repository(_)) && user_id == caller.user().id {
        return wrong_name("must not be the caller");
    }
    let level = entry.number("auth")?;
    let level = level.as_u64().and_then(Level::from_auth).ok_or_else(|| {
        Error::fault(
            place.auth_fault(),
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
fn user_ids(body: &Items) -> Result<Vec<String>> {
    let texts = body.strings()?;
    check_number(texts.len(), &REVOKED)?;
    let mut user_ids: Vec<String> = Vec::new();
    for user_id in texts {
        let user_id = short("user_id", user_id, Fault::Parameter)?;
        if user_ids.contains(&user_id) {
            return Err(Error::invalid("user_id", "must not come twice"));
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
