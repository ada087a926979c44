//! `POST /v3/auth/tokens`: a token for a password or for another token, with the scope of a
//! project or of an account (IAM, obtaining a token).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode};
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;
use serde_json::json;

use super::api::operation;
use crate::app::{App, AppState, Routes};
use crate::auth::{
    Account, BUILTIN_ACCOUNT, BUILTIN_PASSWORD, BUILTIN_USER, Mode, Secret, TokenHash, Tokens, User,
};
use crate::error::{Error, Result};
use crate::excerpt::excerpt;
use crate::http::{EmptyList, JsonResponse, Operation, OperationDoc};
use crate::json::JsonObject;

const TOKENS: &str = "/v3/auth/tokens";

/// How many characters of a name are repeated.
const MAX_TOLD: usize = 64;

#[rustfmt::skip] // A table: one line an operation.
pub(super) fn routes() -> Routes {
    Routes::of("IAM")
        .route(open("KeystoneCreateUserTokenByPassword", Method::POST, TOKENS), create, create_doc)
}

/// An operation that anyone may call, since its body holds the credentials.
fn open(name: &'static str, method: Method, path: &'static str) -> Operation {
    operation(name, method, path).open_to_all()
}

fn create_doc() -> OperationDoc {
    OperationDoc::new("Issues a token for a password or for another token.")
        .takes(body_schema())
        .answers::<AnswerView>(StatusCode::CREATED)
        .with_header("X-Subject-Token", "The token.")
        .refuses([refused("The username or password is wrong.")])
}

async fn create(State(app): State<AppState>, body: JsonObject) -> Result<Response> {
    let auth = body.object("auth")?;
    let identity = auth.object("identity")?;
    let methods = identity.strings("methods")?;
    let (method, user) = if methods.contains(&"password") {
        let user = identity.object("password")?.object("user")?;
        ("password", by_password(&app, &user).await?)
    } else if methods.contains(&"token") {
        let token = Secret::new(identity.object("token")?.string("id")?);
        ("token", by_token(&app, &token)?)
    } else {
        return Err(Error::invalid("methods", "must contain password or token"));
    };
    let scope = match auth.optional_object("scope")? {
        Some(scope) => scope_of(&app, &user.account, &scope)?,
        None => Scope::Project(app.region.clone()),
    };

    let now = app.clock.now();
    let (token, write) = Tokens::issue(&user, now)?;
    let (hash, expires_at) = (write.hash, write.expires_at);
    app.db.write(write).await?;
    app.tokens.remember(hash, &user, now, expires_at);
    let current = app.directory.enabled_user(&user.id);
    if !current.is_some_and(|current| Arc::ptr_eq(&current, &user)) {
        // Changed or deleted since the login was checked, which ended only the tokens of then.
        app.tokens.forget(&user.id);
        return Err(refused("The user was changed or deleted in the meantime."));
    }

    let domain = NamedView::domain(&user.account);
    let view = TokenView {
        expires_at: expires_at.with_microseconds(),
        issued_at: now.with_microseconds(),
        methods: [method],
        catalog: EmptyList,
        roles: EmptyList,
        domain: (scope == Scope::Domain).then(|| domain.clone()),
        project: match scope {
            Scope::Domain => None,
            Scope::Project(region) => Some(ProjectView {
                id: user.account.project_id(&region),
                name: region,
                domain: domain.clone(),
            }),
        },
        user: UserView {
            id: user.id.clone(),
            name: user.name.clone(),
            domain,
        },
    };
    let mut response =
        JsonResponse(StatusCode::CREATED, AnswerView { token: view }).into_response();
    let mut header = HeaderValue::try_from(token.expose()).map_err(Error::internal)?;
    header.set_sensitive(true);
    response.headers_mut().insert("x-subject-token", header);
    Ok(response)
}

/// The bodies that [`create`] takes; `methods` says whether `password` or `token` counts.
fn body_schema() -> Schema {
    let text = json_schema!({"type": "string", "minLength": 1});
    let domain = json_schema!({
        "type": "object",
        "properties": {"id": text, "name": text},
        "description": "An account, by id or by name.",
    });
    let user = json_schema!({
        "type": "object",
        "required": ["password"],
        "properties": {"id": text, "name": text, "domain": domain, "password": text},
        "description": "A user, by id, or by name and account.",
    });
    let identity = json_schema!({
        "type": "object",
        "required": ["methods"],
        "properties": {
            "methods": {
                "type": "array",
                "items": {"type": "string", "enum": ["password", "token"]},
                "minItems": 1,
                "maxItems": 2,
            },
            "password": {"type": "object", "required": ["user"], "properties": {"user": user}},
            "token": {"type": "object", "required": ["id"], "properties": {"id": text}},
        },
    });
    let project = json_schema!({
        "type": "object",
        "properties": {"id": text, "name": text, "domain": domain},
    });
    let scope = json_schema!({
        "type": "object",
        "properties": {"project": project, "domain": domain},
        "description": "A project or an account; the account's project if omitted.",
    });
    let auth = json_schema!({
        "type": "object",
        "required": ["identity"],
        "properties": {"identity": identity, "scope": scope},
    });
    let example = json!({"auth": {
        "identity": {
            "methods": ["password"],
            "password": {"user": {
                "name": BUILTIN_USER,
                "password": BUILTIN_PASSWORD,
                "domain": {"name": BUILTIN_ACCOUNT},
            }},
        },
        "scope": {"domain": {"name": BUILTIN_ACCOUNT}},
    }});
    json_schema!({
        "type": "object",
        "required": ["auth"],
        "properties": {"auth": auth},
        "examples": [example],
    })
}

async fn by_password(app: &App, user: &JsonObject) -> Result<Arc<User>> {
    let password = Secret::new(user.string("password")?);
    let id = user.optional_string("id")?;
    let name = user.optional_string("name")?;
    let domain = user.optional_object("domain")?;
    let found = match (id, name, &domain) {
        (Some(id), ..) => app.directory.user_with_id(id),
        (None, Some(name), Some(domain)) => {
            let account = account(app, domain)?;
            account.and_then(|account| {
                let mut users = app.directory.users_of(&account);
                users.find(|user| user.name == name)
            })
        }
        (None, Some(_), None) => return Err(Error::invalid("domain", "is mandatory")),
        (None, None, _) => return Err(Error::invalid("name", "is mandatory")),
    };
    if app.auth == Mode::Any {
        return builtin(app);
    }
    let expected = found.as_ref().and_then(|user| user.password.as_ref());
    let matches = app.passwords.matches(expected, &password).await?;
    match found {
        Some(user) if matches && user.is_enabled => Ok(user),
        found => {
            let name = name.or(id).unwrap_or_default();
            Err(Error::LoginRefused {
                message: "The username or password is wrong.".to_owned(),
                reason: wrong_part(app, name, domain.as_ref(), found.as_deref(), matches),
            })
        }
    }
}

/// Which part of a login was wrong, for the log.
fn wrong_part(
    app: &App,
    name: &str,
    domain: Option<&JsonObject>,
    found: Option<&User>,
    matches: bool,
) -> String {
    let name = excerpt(name, MAX_TOLD);
    let Some(user) = found else {
        let named = domain.and_then(|domain| domain.optional_string("name").ok().flatten());
        let account = named.map(|named| excerpt(named, MAX_TOLD));
        let is_there = |named: &str| app.directory.account_named(named).is_some();
        let mut accounts = app.directory.accounts().into_iter();
        let other = accounts.find(|account| {
            let mut users = app.directory.users_of(account);
            users.any(|user| user.name == name)
        });
        let other = other.map_or_else(String::new, |account| {
            format!("; the account {} has one", account.name)
        });
        return match account {
            Some(account) if named.is_some_and(is_there) => {
                format!("(the account {account} has no user {name}{other})")
            }
            Some(account) => format!("(there is no account {account}{other})"),
            None => format!("(there is no user {name}{other})"),
        };
    };
    let told = format!(
        "the user {} of the account {}",
        user.name, user.account.name
    );
    if matches {
        format!("({told} may not log in)")
    } else if user.password.is_none() {
        format!("({told} has no password)")
    } else {
        format!("(the password of {told} is wrong)")
    }
}

fn by_token(app: &App, token: &Secret) -> Result<Arc<User>> {
    if app.auth == Mode::Any {
        return builtin(app);
    }
    let hash = TokenHash::of(token);
    match app.directory.by_token(&hash) {
        Some(user) => Ok(user),
        None => app
            .tokens
            .user(&hash, app.clock.now())
            .map_err(|_| refused("The token is wrong or has expired.")),
    }
}

fn builtin(app: &App) -> Result<Arc<User>> {
    let admin = app.directory.builtin_admin();
    admin.ok_or_else(|| refused("There is no built-in account."))
}

fn refused(message: &str) -> Error {
    Error::LoginRefused {
        message: message.to_owned(),
        reason: String::new(),
    }
}

/// The account that an object names by `id` or `name`.
fn account(app: &App, domain: &JsonObject) -> Result<Option<Arc<Account>>> {
    if let Some(id) = domain.optional_string("id")? {
        return Ok(app.directory.account_with_id(id));
    }
    Ok(app.directory.account_named(domain.string("name")?))
}

#[derive(PartialEq, Eq)]
enum Scope {
    /// That of the region with this name.
    Project(String),
    Domain,
}

/// A scope is granted only inside the user's own account.
fn scope_of(app: &App, own: &Arc<Account>, scope: &JsonObject) -> Result<Scope> {
    if let Some(project) = scope.optional_object("project")? {
        // The own region first: projects of several regions can have one id.
        let mut names = std::iter::once(app.region.as_str())
            .chain(app.regions.iter().map(|region| region.name.as_str()));
        let region = match project.optional_string("id")? {
            Some(id) => names.find(|name| id == own.project_id(name)),
            None => {
                let asked = project.string("name")?;
                names.find(|name| *name == asked)
            }
        };
        let Some(region) = region else {
            let message = format!("The account has one project here, named {}.", app.region);
            return Err(refused(&message));
        };
        if let Some(domain) = project.optional_object("domain")?
            && account(app, &domain)?.as_ref() != Some(own)
        {
            return Err(refused(
                "The project does not belong to the user's account.",
            ));
        }
        return Ok(Scope::Project(region.to_owned()));
    }
    if let Some(domain) = scope.optional_object("domain")? {
        if account(app, &domain)?.as_ref() != Some(own) {
            return Err(refused("The domain is not the user's account."));
        }
        return Ok(Scope::Domain);
    }
    Err(Error::invalid("scope", "must contain project or domain"))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IssuedToken")]
struct AnswerView {
    token: TokenView,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Token")]
struct TokenView {
    expires_at: String,
    issued_at: String,
    methods: [&'static str; 1],
    catalog: EmptyList,
    roles: EmptyList,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<ProjectView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<NamedView>,
    user: UserView,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TokenProject")]
struct ProjectView {
    id: String,
    name: String,
    domain: NamedView,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TokenUser")]
struct UserView {
    id: String,
    name: String,
    domain: NamedView,
}

#[derive(Clone, Serialize, JsonSchema)]
#[schemars(rename = "TokenDomain")]
struct NamedView {
    id: String,
    name: String,
}

impl NamedView {
    fn domain(account: &Account) -> Self {
        Self {
            id: account.id.clone(),
            name: account.name.clone(),
        }
    }
}
