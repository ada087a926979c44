//! Lists of projects, accounts (domains) and users. Each shows the caller's own account only.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::user::UserView;
use crate::app::AppState;
use crate::auth::Caller;
use crate::http::{Answer, Form, Operation, OperationDoc, Param, Query, Routes, Shape};

pub(super) fn routes() -> Routes {
    let operation = |name, path| Operation::new(name, Method::GET, path).in_form(Form::Iam);
    Routes::of("IAM")
        .with(
            operation("KeystoneListProjects", "/v3/projects").described(|| {
                OperationDoc::new("Lists the projects of the caller's account: one.")
                    .query([Param::new("name", "Its whole name.", Shape::text())])
                    .answers::<ProjectsView>(StatusCode::OK)
            }),
            projects,
        )
        .with(
            operation("KeystoneListAuthDomains", "/v3/auth/domains").described(|| {
                OperationDoc::new("Lists the accounts (domains) of the caller: one.")
                    .answers::<DomainsView>(StatusCode::OK)
            }),
            domains,
        )
        .with(
            operation("KeystoneListUsers", "/v3/users").described(|| {
                OperationDoc::new("Lists the users of the caller's account.")
                    .query([Param::new("name", "The whole name.", Shape::text())])
                    .answers::<UsersView>(StatusCode::OK)
            }),
            users,
        )
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
    Answer(StatusCode::OK, ProjectsView { projects }).into_response()
}

async fn domains(caller: Caller) -> Response {
    let account = &caller.user().account;
    let domains = vec![DomainView {
        id: account.id.clone(),
        name: account.name.clone(),
        enabled: true,
    }];
    Answer(StatusCode::OK, DomainsView { domains }).into_response()
}

async fn users(State(app): State<AppState>, caller: Caller, query: Query) -> Response {
    let name = query.get("name");
    let users = app
        .directory
        .users_of(&caller.user().account)
        .filter(|user| name.is_none_or(|name| name == user.name))
        .map(|user| UserView::from(user.as_ref()))
        .collect();
    Answer(StatusCode::OK, UsersView { users }).into_response()
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
