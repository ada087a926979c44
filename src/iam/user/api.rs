//! The HTTP of users: made, shown, changed and deleted, each in the caller's own account.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;
use serde_json::json;

use super::store::{self, CreateUser, DeleteUser, UpdateUser};
use super::{
    ACCESS_MODES, Changes, MAX_NAME, MadeUser, PASSWORD, Texts, parse_name, parse_password,
};
use crate::app::{App, AppState, Routes};
use crate::auth::{Account, Caller, DirectoryTurn, User, user_id};
use crate::clock::Timestamp;
use crate::error::{Error, Resource, Result};
use crate::http::{JsonResponse, OperationDoc, Path};
use crate::iam::api::operation;
use crate::json::JsonObject;
use crate::schema::described;
use crate::world::ANOTHER_WORLD;

const USERS: &str = "/v3.0/OS-USER/users";
const USER: &str = "/v3.0/OS-USER/users/{user_id}";
const KEYSTONE_USER: &str = "/v3/users/{user_id}";

#[rustfmt::skip] // A table: one line an operation.
pub(in crate::iam) fn routes() -> Routes {
    Routes::of("IAM")
        .route(operation("CreateUser", Method::POST, USERS), create, create_doc)
        .route(operation("ShowUser", Method::GET, USER), show, show_doc)
        .route(operation("UpdateUser", Method::PUT, USER), update, update_doc)
        .route(operation("DeleteUser", Method::DELETE, USER), delete, delete_doc)
        .route(operation("KeystoneDeleteUser", Method::DELETE, KEYSTONE_USER), delete, delete_doc)
}

fn of_the_seed_file() -> Error {
    let rule = "must be the id of a user created through IAM; change other users in the seed file";
    Error::invalid("user_id", rule)
}

/// A caller who may do all in the account.
struct Administrator(Caller);

impl FromRequestParts<AppState> for Administrator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self> {
        let caller = Caller::from_request_parts(parts, app).await?;
        if caller.is_admin() {
            Ok(Self(caller))
        } else {
            Err(Error::Forbidden)
        }
    }
}

fn create_doc() -> OperationDoc {
    OperationDoc::new("Creates a user without permissions.")
        .remarks("For administrators only.")
        .takes(body_schema(true))
        .answers::<OneUserView>(StatusCode::CREATED)
        .refuses([Error::Forbidden, Error::AlreadyExists(Resource::User)])
}

async fn create(
    State(app): State<AppState>,
    Administrator(caller): Administrator,
    body: JsonObject,
) -> Result<Response> {
    let body = body.object("user")?;
    let name = parse_name(body.string("name")?)?;
    if body
        .optional_string("domain_id")?
        .is_some_and(|id| id != caller.account_id())
    {
        return Err(Error::Forbidden);
    }
    let changes = changes(&app, &body).await?;
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(Error::internal)?;
    let now = app.clock.now();
    let mut user = MadeUser::new(hex::encode(id), &caller.user().account, name, now);
    user.pwd_status = changes.password.is_some();
    changes.apply(&mut user, now);
    let create = async move {
        let turn = turn(&app, &caller).await?;
        check_name(&app, caller.user(), &user.id, &user.name)?;
        app.db.write(CreateUser(user.clone())).await?;
        turn.put(user.to_user(&caller.user().account));
        Ok(JsonResponse(StatusCode::CREATED, OneUserView::from(&user)).into_response())
    };
    // To its end, even where the client does not wait for it.
    tokio::spawn(create).await.map_err(Error::internal)?
}

fn show_doc() -> OperationDoc {
    OperationDoc::new("Shows a user of the caller's account.")
        .answers::<OneUserView>(StatusCode::OK)
}

async fn show(
    State(app): State<AppState>,
    caller: Caller,
    Path(user_id): Path<String>,
) -> Result<Response> {
    let user = find(&app, &caller, &user_id)?;
    let view = match store::find(app.db.lookups(), &user_id).await? {
        Some(made) => OneUserView::from(&made),
        None => OneUserView::from(user.as_ref()),
    };
    Ok(JsonResponse(StatusCode::OK, view).into_response())
}

fn update_doc() -> OperationDoc {
    OperationDoc::new("Changes a user; omitted fields stay as they are.")
        .remarks(
            "For administrators only. A new password, or `enabled: false`, ends all tokens and \
             logins of the user.",
        )
        .takes(body_schema(false))
        .answers::<OneUserView>(StatusCode::OK)
        .refuses([Error::Forbidden, Error::AlreadyExists(Resource::User)])
}

async fn update(
    State(app): State<AppState>,
    Administrator(caller): Administrator,
    Path(user_id): Path<String>,
    body: JsonObject,
) -> Result<Response> {
    find_made(&app, &caller, &user_id)?;
    let body = body.object("user")?;
    let mut changes = changes(&app, &body).await?;
    changes.name = body.optional_string("name")?.map(parse_name).transpose()?;
    let update = async move {
        let turn = turn(&app, &caller).await?;
        if let Some(name) = &changes.name {
            check_name(&app, caller.user(), &user_id, name)?;
        }
        let end_logins = changes.end_logins();
        let write = UpdateUser {
            id: user_id,
            changes,
            now: app.clock.now(),
        };
        let made = app.db.write(write).await?;
        let user = turn.put(made.to_user(&caller.user().account));
        if end_logins {
            app.tokens.forget(&user.id);
        } else {
            app.tokens.renew(&user);
        }
        Ok(JsonResponse(StatusCode::OK, OneUserView::from(&made)).into_response())
    };
    tokio::spawn(update).await.map_err(Error::internal)?
}

fn delete_doc() -> OperationDoc {
    OperationDoc::new("Deletes a user with all permissions, tokens and logins.")
        .remarks("For administrators only.")
        .answers_nothing()
        .refuses([Error::Forbidden, of_the_seed_file()])
}

async fn delete(
    State(app): State<AppState>,
    Administrator(caller): Administrator,
    Path(user_id): Path<String>,
) -> Result<StatusCode> {
    find_made(&app, &caller, &user_id)?;
    let delete = async move {
        let turn = turn(&app, &caller).await?;
        app.db.write(DeleteUser(user_id.clone())).await?;
        turn.remove(&user_id);
        app.tokens.forget(&user_id);
        Ok(StatusCode::NO_CONTENT)
    };
    tokio::spawn(delete).await.map_err(Error::internal)?
}

/// Waits for the turn to change the users of the caller's account. It goes on where nobody waits for
/// the answer, and so perhaps after a reset, which takes its turn too.
async fn turn<'a>(app: &'a App, caller: &Caller) -> Result<DirectoryTurn<'a>> {
    let turn = app.directory.turn().await;
    if turn.has(&caller.user().account) {
        return Ok(turn);
    }
    Err(ANOTHER_WORLD)
}

fn find(app: &App, caller: &Caller, id: &str) -> Result<Arc<User>> {
    let found = app.directory.user_with_id(id);
    let found = found.filter(|user| user.account == caller.user().account);
    found.ok_or(Error::NotFound(Resource::User))
}

fn find_made(app: &App, caller: &Caller, id: &str) -> Result<()> {
    find(app, caller, id)?;
    let made = app.directory.made_user(id);
    made.map(drop).ok_or_else(of_the_seed_file)
}

/// A name is of one user in its account, also of those of the seed file.
fn check_name(app: &App, caller: &User, id: &str, name: &str) -> Result<()> {
    let mut users = app.directory.users_of(&caller.account);
    if users.any(|user| user.name == name && user.id != id) {
        return Err(Error::AlreadyExists(Resource::User));
    }
    Ok(())
}

/// The bodies that [`create`] takes, with a name and perhaps the account, or that [`update`] takes.
fn body_schema(is_new: bool) -> Schema {
    let text = |most: usize| json_schema!({"type": "string", "minLength": 0, "maxLength": most});
    let mut user = json!({
        "type": "object",
        "properties": {
            "name": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_NAME,
                "pattern": "^[A-Za-z_.-][A-Za-z0-9 _.-]*$",
            },
            "password": {
                "type": "string",
                "minLength": PASSWORD.start(),
                "maxLength": PASSWORD.end(),
                "description": "Characters of at least two kinds.",
            },
            "enabled": {"type": "boolean"},
            "pwd_status": {"type": "boolean"},
            "email": text(255),
            "areacode": described(text(8), "Required with `phone`."),
            "phone": described(text(32), "Required with `areacode`."),
            "xuser_id": described(text(128), "Required with `xuser_type`."),
            "xuser_type": described(text(64), "Required with `xuser_id`."),
            "access_mode": {"type": "string", "enum": ACCESS_MODES},
            "description": text(255),
        },
    });
    if is_new {
        user["required"] = json!(["name"]);
        user["properties"]["domain_id"] =
            json!({"type": "string", "description": "The caller's account."});
    }
    json_schema!({"type": "object", "required": ["user"], "properties": {"user": user}})
}

/// The keys of a user in the seed file.
const SEEDED: [&str; 11] = [
    "name",
    "id",
    "enabled",
    "pwd_status",
    "email",
    "areacode",
    "phone",
    "xuser_id",
    "xuser_type",
    "access_mode",
    "description",
];

/// Reads a user of the seed file, who has no password.
pub fn read_seeded(body: &JsonObject, account: &Account) -> Result<MadeUser> {
    body.refuse_unknown("user", &SEEDED)?;
    let name = parse_name(body.string("name")?)?;
    let id = match body.optional_string("id")? {
        None => user_id(&account.name, &name),
        Some("") => return Err(Error::invalid("id", "must not be empty")),
        Some(id) => id.to_owned(),
    };
    let changes = fields(body)?;
    let mut user = MadeUser::new(id, account, name, Timestamp::default());
    changes.apply(&mut user, Timestamp::default());
    Ok(user)
}

/// Reads the fields of a user in a body, all but its name.
async fn changes(app: &App, body: &JsonObject) -> Result<Changes> {
    let mut changes = fields(body)?;
    if let Some(password) = body.optional_string("password")? {
        let password = parse_password(password)?;
        changes.password = Some(app.passwords.hash(&password).await?);
    }
    Ok(changes)
}

/// The same without the password.
fn fields(body: &JsonObject) -> Result<Changes> {
    let text = |field: &'static str, most: usize| -> Result<Option<String>> {
        let text = body.optional_string(field)?;
        if text.is_some_and(|text| text.chars().count() > most) {
            let rule = format!("must have at most {most} characters");
            return Err(Error::invalid(field, rule));
        }
        Ok(text.map(str::to_owned))
    };
    let together = |field: &'static str, one: &Option<String>, other: &Option<String>| {
        let is_said = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if is_said(one) == is_said(other) {
            return Ok(());
        }
        Err(Error::invalid(
            field,
            "must be given together with its counterpart",
        ))
    };
    let (areacode, phone) = (text("areacode", 8)?, text("phone", 32)?);
    together("phone", &areacode, &phone)?;
    let (xuser_id, xuser_type) = (text("xuser_id", 128)?, text("xuser_type", 64)?);
    together("xuser_id", &xuser_id, &xuser_type)?;
    let access_mode = body.optional_string("access_mode")?;
    let access_mode = access_mode.filter(|mode| !mode.is_empty());
    if access_mode.is_some_and(|mode| !ACCESS_MODES.contains(&mode)) {
        let rule = format!("must be one of {}", ACCESS_MODES.join(", "));
        return Err(Error::invalid("access_mode", rule));
    }
    Ok(Changes {
        is_enabled: body.optional_boolean("enabled")?,
        pwd_status: body.optional_boolean("pwd_status")?,
        email: text("email", 255)?,
        areacode,
        phone,
        xuser_id,
        xuser_type,
        access_mode: access_mode.map(str::to_owned),
        description: text("description", 255)?,
        ..Changes::default()
    })
}

/// A user as shown in lists.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "User")]
pub(in crate::iam) struct UserView {
    id: String,
    name: String,
    domain_id: String,
    enabled: bool,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.clone(),
            name: user.name.clone(),
            domain_id: user.account.id.clone(),
            enabled: user.is_enabled,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct OneUserView {
    user: WholeUserView,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WholeUser")]
struct WholeUserView {
    #[serde(flatten)]
    short: UserView,
    links: LinksView,
    is_domain_owner: bool,
    access_mode: String,
    description: String,
    email: String,
    areacode: String,
    phone: String,
    xuser_id: String,
    xuser_type: String,
    pwd_status: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_time: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UserLinks")]
struct LinksView {
    #[serde(rename = "self")]
    itself: String,
}

impl OneUserView {
    fn new(short: UserView, texts: Texts) -> Self {
        let itself = KEYSTONE_USER.replace("{user_id}", &short.id);
        let user = WholeUserView {
            links: LinksView { itself },
            short,
            is_domain_owner: false,
            access_mode: texts.access_mode,
            description: texts.description,
            email: texts.email,
            areacode: texts.areacode,
            phone: texts.phone,
            xuser_id: texts.xuser_id,
            xuser_type: texts.xuser_type,
            pwd_status: false,
            create_time: None,
            update_time: None,
        };
        Self { user }
    }
}

impl From<&MadeUser> for OneUserView {
    fn from(made: &MadeUser) -> Self {
        let short = UserView {
            id: made.id.clone(),
            name: made.name.clone(),
            domain_id: made.account_id.clone(),
            enabled: made.is_enabled,
        };
        let mut view = Self::new(short, made.texts.clone());
        view.user.pwd_status = made.pwd_status;
        view.user.create_time = Some(made.created_at.with_microseconds());
        view.user.update_time = Some(made.updated_at.with_microseconds());
        view
    }
}

impl From<&User> for OneUserView {
    fn from(user: &User) -> Self {
        let texts = Texts {
            access_mode: ACCESS_MODES[0].to_owned(),
            ..Texts::default()
        };
        Self::new(UserView::from(user), texts)
    }
}
