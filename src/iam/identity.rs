//! Lists of projects, accounts (domains) and users. Each shows the caller's own account only.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::api::operation;
use super::user::UserView;
use crate::app::{AppState, Routes};
use crate::auth::Caller;
use crate::http::{JsonResponse, OperationDoc, Param, Query};
use crate::schema::schema_of;

const PROJECTS: &str = "/v3/projects";
const DOMAINS: &str = "/v3/auth/domains";
const USERS: &str = "/v3/users";

#[rustfmt::skip] // A table: one line an operation.
pub(super) fn routes() -> Routes {
    Routes::of("IAM")
        .route(operation("KeystoneListProjects", Method::GET, PROJECTS), projects, projects_doc)
        .route(operation("KeystoneListAuthDomains", Method::GET, DOMAINS), domains, domains_doc)
        .route(operation("KeystoneListUsers", Method::GET, USERS), users, users_doc)
}

fn projects_doc() -> OperationDoc {
    OperationDoc::new("Lists the project of the caller's account.")
        .query([Param::new(
            "name",
            "The full name of the project.",
            schema_of::<String>(),
        )])
        .answers::<ProjectsView>(StatusCode::OK)
}

/// An account has one project in each region, named as the region. Clients ask by that name: they
/// give up when they find two, and some want to create one when they find none.
async fn projects(State(app): State<AppState>, caller: Caller, query: Query) -> Response {
    let account = &caller.user().account;
    let name = query.get("name");
    let asked = app
        .regions
        .iter()
        .filter(|region| name.is_none_or(|name| name == region.name));
    let projects = asked
        .map(|region| ProjectView {
            id: account.project_id(&region.name),
            name: region.name.clone(),
            domain_id: account.id.clone(),
            enabled: true,
        })
        .collect();
    JsonResponse(StatusCode::OK, ProjectsView { projects }).into_response()
}

fn domains_doc() -> OperationDoc {
    OperationDoc::new("Lists the caller's account (domain).").answers::<DomainsView>(StatusCode::OK)
}

async fn domains(caller: Caller) -> Response {
    let account = &caller.user().account;
    let domains = vec![DomainView {
        id: account.id.clone(),
        name: account.name.clone(),
        enabled: true,
    }];
    JsonResponse(StatusCode::OK, DomainsView { domains }).into_response()
}

fn users_doc() -> OperationDoc {
    OperationDoc::new("Lists the users of the caller's account.")
        .query([Param::new(
            "name",
            "The full name of the user.",
            schema_of::<String>(),
        )])
        .answers::<UsersView>(StatusCode::OK)
}

async fn users(State(app): State<AppState>, caller: Caller, query: Query) -> Response {
    let name = query.get("name");
    let users = app
        .directory
        .users_of(&caller.user().account)
        .filter(|user| name.is_none_or(|name| name == user.name))
        .map(|user| UserView::from(user.as_ref()))
        .collect();
    JsonResponse(StatusCode::OK, UsersView { users }).into_response()
}

#[derive(Serialize, JsonSchema)]
struct ProjectsView {
    projects: Vec<ProjectView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Project")]
struct ProjectView {
    id: String,
    name: String,
    domain_id: String,
    enabled: bool,
}

#[derive(Serialize, JsonSchema)]
struct DomainsView {
    domains: Vec<DomainView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Domain")]
struct DomainView {
    id: String,
    name: String,
    enabled: bool,
}

#[derive(Serialize, JsonSchema)]
struct UsersView {
    users: Vec<UserView>,
}
