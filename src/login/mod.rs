//! Logging in to the registry: the login operations of the management API, and the service that
//! gives bearer tokens to `docker login` and its relatives.
//!
//! `api` is their HTTP, `store` their SQL.

mod api;
pub mod store;

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::app::App;
use crate::auth::{Mode, Secret, User, long_term_password};
use crate::error::Result;

pub use api::routes;

/// Finds out who logs in with the user name `{project}@{AK}` and a password: that of a long-term
/// login, or of a temporary one.
pub(crate) async fn user(app: &App, name: &str, password: &str) -> Result<Option<Arc<User>>> {
    if app.auth == Mode::Any {
        return Ok(app.directory.builtin_admin().map(Arc::clone));
    }
    let access_key = name
        .rsplit_once('@')
        .map_or(name, |(_, access_key)| access_key);
    if let Some(user) = app.directory.by_access_key(access_key) {
        let expected = user
            .secret_key
            .as_ref()
            .map(|secret_key| Secret::new(long_term_password(access_key, secret_key)));
        let matches = expected.is_some_and(|expected| expected.matches(password));
        return Ok(matches.then(|| Arc::clone(user)));
    }
    let found = store::find(app.db.lookups(), access_key, app.clock.now()).await?;
    let user = found
        .filter(|login| login.matches(&password_hash(password)))
        .and_then(|login| app.directory.enabled_user(&login.user_id));
    Ok(user)
}

fn password_hash(password: &str) -> [u8; 32] {
    Sha256::digest(password).into()
}
