//! Logging in to the registry: the login operations of the management API, and the service that
//! gives bearer tokens to `docker login` and its relatives.
//!
//! `api` is their HTTP, `store` their SQL; `meant` finds out what a login that is refused was to be.

mod api;
mod meant;
pub mod store;

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::auth::{Authenticator, Mode, PasswordHasher, Secret, User, long_term_password};
use crate::db::Db;
use crate::error::Result;
use crate::excerpt::excerpt;

pub use api::routes;

/// How many characters of a user name are repeated.
const MAX_USER: usize = 128;

/// Why nobody is logged in, for the log. Clients are told nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The user name has no access key.
    #[error("the user name {name:?} is not PROJECT@AK{meant}; see the command env --for docker")]
    NoAccessKey { name: String, meant: String },
    /// Nobody has the access key.
    #[error(
        "the access key in the user name {name:?} belongs to no user and no temporary login{meant}"
    )]
    UnknownAccessKey { name: String, meant: String },
    /// The password is not that of the long-term login.
    #[error("the password of the user {name:?} is wrong{given}; see the command env --for docker")]
    WrongPassword {
        name: String,
        /// Whose login it is, and what the password is instead.
        given: String,
    },
    /// The password is not that of the temporary login.
    #[error("the password of the temporary login {0:?} is wrong")]
    WrongTemporaryPassword(String),
    /// The temporary login was valid once.
    #[error("the temporary login {0:?} has expired")]
    Expired(String),
    /// The temporary login is of a user that the seed file no longer has.
    #[error("the user of the temporary login {0:?} no longer exists")]
    UserGone(String),
    /// Everybody would be the built-in admin.
    #[error("there is no built-in account")]
    NoBuiltinAccount,
}

/// Finds out who logs in with the user name `{project}@{AK}` and a password: that of a long-term
/// login, or of a temporary one. The project is not looked at.
pub(crate) async fn user(
    callers: Authenticator<'_>,
    passwords: &PasswordHasher,
    db: &Db,
    name: &str,
    password: &str,
) -> Result<std::result::Result<Arc<User>, Refused>> {
    if callers.mode == Mode::Any {
        let admin = callers.directory.builtin_admin();
        return Ok(admin.ok_or(Refused::NoBuiltinAccount));
    }
    let project_and_key = name.rsplit_once('@');
    let access_key = project_and_key.map_or(name, |(_, access_key)| access_key);
    let refused = |why: fn(String) -> Refused| Ok(Err(why(excerpt(name, MAX_USER).into_owned())));
    if let Some(user) = callers.directory.by_access_key(access_key) {
        let expected = user
            .secret_key
            .as_ref()
            .map(|secret_key| Secret::new(long_term_password(access_key, secret_key)));
        let matches = expected.is_some_and(|expected| expected.matches(password));
        if matches {
            return Ok(Ok(user));
        }
        let given = Secret::new(password);
        return Ok(Err(Refused::WrongPassword {
            name: excerpt(name, MAX_USER).into_owned(),
            given: meant::password(callers, passwords, &user, &given).await?,
        }));
    }
    let found = store::find(db.lookups(), access_key, callers.clock.now()).await?;
    let Some(login) = found else {
        let meant = meant::user(callers.directory, name);
        let name = excerpt(name, MAX_USER).into_owned();
        return Ok(Err(match project_and_key {
            Some(_) => Refused::UnknownAccessKey { name, meant },
            None => Refused::NoAccessKey { name, meant },
        }));
    };
    if login.is_expired {
        return refused(Refused::Expired);
    }
    if !login.matches(&password_hash(password)) {
        return refused(Refused::WrongTemporaryPassword);
    }
    match callers.directory.enabled_user(&login.user_id) {
        Some(user) => Ok(Ok(user)),
        None => refused(Refused::UserGone),
    }
}

fn password_hash(password: &str) -> [u8; 32] {
    Sha256::digest(password).into()
}
