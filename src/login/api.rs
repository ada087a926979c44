//! The HTTP of logging in (API reference, temporary login; the token dance as registry clients
//! know it).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;

use super::password_hash;
use super::store::CreateLogin;
use crate::app::{App, AppState, Routes};
use crate::auth::{Caller, Secret, User};
use crate::error::{Error, Fault, Result};
use crate::http::{ErrorFormat, JsonResponse, Operation, OperationDoc, Param, Query};
use crate::image::ImagePath;
use crate::registry::token::{Claims, Grant, LIFETIME};
use crate::registry::{Actions, RegistryError, allowed};
use crate::schema::schema_of;

const SECRET: &str = "/v2/manage/utils/secret";
const AUTH_TOKEN: &str = "/v2/manage/utils/authorizationtoken";
const TOKEN: &str = "/swr/auth/v2/registry/auth/";

/// How long a temporary login is valid by default, in seconds, and the bounds of
/// `duration_seconds`.
const DEFAULT_DURATION: i64 = 24 * 3600;
const SHORTEST: i64 = 900;
const LONGEST: i64 = 86_400;

/// The longest name of a project.
const MAX_PROJECT: usize = 64;

/// The operations of this chapter.
#[rustfmt::skip] // A table: one line an operation.
pub fn routes() -> Routes {
    Routes::of("Login")
        .post("CreateSecret", SECRET, create_secret, create_secret_doc)
        .post("CreateAuthorizationToken", AUTH_TOKEN, create_authorization, authorization_doc)
        .route(registry_operation("RegistryToken", Method::GET, TOKEN), token, token_doc)
}

/// An operation that registry clients call: with a login of their own kind or none, and errors in
/// the registry's form.
fn registry_operation(name: &'static str, method: Method, path: &'static str) -> Operation {
    let operation = Operation::new(name, method, path);
    operation.open_to_all().in_form(ErrorFormat::Registry)
}

fn create_secret_doc() -> OperationDoc {
    let project = json_schema!({
        "type": "string",
        "minLength": 0,
        "maxLength": MAX_PROJECT,
        "pattern": "^[A-Za-z0-9._-]*$",
    });
    let duration = json_schema!({
        "type": "integer",
        "minimum": SHORTEST,
        "maximum": LONGEST,
        "default": DEFAULT_DURATION,
    });
    login_doc("Creates a temporary login for the registry.").query([
        Param::new("projectname", "The project in the user name.", project).refused(Fault::Query),
        Param::new("duration_seconds", "How long the login is valid.", duration)
            .refused(Fault::Query),
    ])
}

/// `CreateSecret`
async fn create_secret(
    State(app): State<AppState>,
    caller: Caller,
    query: Query,
) -> Result<Response> {
    let project = query.get("projectname").unwrap_or(&app.region);
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if project.len() > MAX_PROJECT || !project.bytes().all(legal) {
        let rule = format!(
            "must have at most {MAX_PROJECT} letters, digits, hyphens, dots and underscores"
        );
        return Err(Error::fault(Fault::Query, "projectname", rule));
    }
    let duration = match query.get("duration_seconds") {
        None => DEFAULT_DURATION,
        Some(text) => text
            .parse()
            .ok()
            .filter(|seconds| (SHORTEST..=LONGEST).contains(seconds))
            .ok_or_else(|| {
                let rule = format!("must be a whole number from {SHORTEST} to {LONGEST}");
                Error::fault(Fault::Query, "duration_seconds", rule)
            })?,
    };
    log_in(&app, &caller, project, duration).await
}

fn authorization_doc() -> OperationDoc {
    login_doc("Creates a temporary login for the registry that is valid for 24 hours.")
}

/// `CreateAuthorizationToken`
async fn create_authorization(State(app): State<AppState>, caller: Caller) -> Result<Response> {
    log_in(&app, &caller, "bearertoken", DEFAULT_DURATION).await
}

fn login_doc(summary: &'static str) -> OperationDoc {
    OperationDoc::new(summary)
        .answers::<LoginView>(StatusCode::OK)
        .with_header("X-Swr-Dockerlogin", "The command that logs in.")
        .with_header("X-Swr-Expireat", "When the login expires.")
}

/// Makes a temporary login, and answers with it in the ways that clients read: the command, its
/// expiry, and a `config.json` for docker.
async fn log_in(app: &App, caller: &Caller, project: &str, duration: i64) -> Result<Response> {
    let mut random = [0; 42];
    getrandom::fill(&mut random).map_err(Error::internal)?;
    let (access_key, password) = random.split_at(10);
    let access_key = hex::encode_upper(access_key);
    let password = hex::encode(password);
    let now = app.clock.now();
    let expires_at = now.plus_seconds(duration);
    let write = CreateLogin {
        access_key: access_key.clone(),
        password_hash: password_hash(&password),
        user_id: caller.user().id.clone(),
        now,
        expires_at,
    };
    app.db.write(write).await?;

    let user = format!("{project}@{access_key}");
    let registry = &app.registry_host;
    let auth = BASE64_STANDARD.encode(format!("{user}:{password}"));
    let view = LoginView {
        auths: BTreeMap::from([(registry.clone(), AuthView { auth })]),
    };
    let mut response = JsonResponse(StatusCode::OK, view).into_response();
    let command = format!("docker login -u {user} -p {password} {registry}");
    let mut command = HeaderValue::try_from(command).map_err(Error::internal)?;
    command.set_sensitive(true);
    let expires_at =
        HeaderValue::try_from(expires_at.with_microseconds()).map_err(Error::internal)?;
    response.headers_mut().insert("x-swr-dockerlogin", command);
    response.headers_mut().insert("x-swr-expireat", expires_at);
    Ok(response)
}

fn token_doc() -> OperationDoc {
    let scope = json_schema!({
        "type": "string",
        "examples": ["repository:group/busybox:pull,push"],
    });
    let scope_meaning = "The access that the token is requested for; can be repeated.";
    OperationDoc::new("Issues a bearer token for the registry.")
        .takes_login()
        .query([
            Param::new("service", "The registry's name.", schema_of::<String>()),
            Param::new("scope", scope_meaning, scope),
        ])
        .answers::<TokenView>(StatusCode::OK)
        .refuses([
            RegistryError::LoginRefused(String::new()),
            RegistryError::Denied("the organization does not exist".to_owned()),
            RegistryError::Internal(Error::internal("ours to fix")),
        ])
}

/// The registry's token service: user and password by Basic authentication, or nobody, and the
/// scopes that the client wants. Rights that the caller lacks are left out.
async fn token(
    State(app): State<AppState>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, RegistryError> {
    let user = match headers.get(AUTHORIZATION) {
        None => None,
        Some(value) => {
            let (name, password) = basic(value).ok_or_else(|| {
                let reason = "the Authorization header must be Basic with a user and a password";
                RegistryError::LoginRefused(reason.to_owned())
            })?;
            let callers = app.authenticator();
            let user =
                super::user(callers, &app.passwords, &app.db, &name, password.expose()).await?;
            Some(user.map_err(|refused| RegistryError::LoginRefused(refused.to_string()))?)
        }
    };
    let query = uri.query().unwrap_or_default();
    let mut grants = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name == "scope" {
            for scope in value.split(' ') {
                grants.extend(grant(&app, user.as_ref(), scope).await?);
            }
        }
    }
    let now = app.clock.now();
    let user_id = user.as_ref().map(|user| user.id.as_str());
    let claims = Claims::new(user_id, &app.region, grants, now);
    let token = app.registry.key.sign(&claims)?;
    let view = TokenView {
        access_token: token.clone(),
        token,
        expires_in: LIFETIME,
        issued_at: now.to_string(),
    };
    Ok(JsonResponse(StatusCode::OK, view).into_response())
}

/// The actions of `repository:{name}:{actions}` that the caller may have. Only an organization that
/// does not exist is refused; scopes of other things grant nothing.
async fn grant(
    app: &App,
    user: Option<&Arc<User>>,
    scope: &str,
) -> Result<Option<Grant>, RegistryError> {
    let Some((name, actions)) = scope
        .strip_prefix("repository:")
        .and_then(|scope| scope.rsplit_once(':'))
    else {
        return Ok(None);
    };
    let Ok(path) = ImagePath::parse(name) else {
        return Ok(None);
    };
    let namespace = app.lookup.namespace(&path.namespace).await?;
    let namespace = namespace.ok_or_else(|| {
        RegistryError::Denied(format!(
            "the organization {} does not exist",
            path.namespace
        ))
    })?;
    let repository = app.lookup.repository(&namespace, &path.repository).await?;
    let rights = allowed(
        user.map(Arc::as_ref),
        &namespace,
        repository.as_ref(),
        app.clock.now(),
    );
    let granted = Actions::parse(actions).and(rights);
    Ok((!granted.is_none()).then(|| Grant::new(&path, granted)))
}

fn basic(value: &HeaderValue) -> Option<(String, Secret)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let (name, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((name.to_owned(), Secret::new(password)))
}

/// A `config.json` for docker.
#[derive(Serialize, JsonSchema)]
struct LoginView {
    auths: BTreeMap<String, AuthView>,
}

#[derive(Serialize, JsonSchema)]
struct AuthView {
    auth: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RegistryToken")]
struct TokenView {
    token: String,
    access_token: String,
    expires_in: i64,
    issued_at: String,
}
