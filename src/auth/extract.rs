//! The caller of a request as handlers take it, and the one who may control an instance as a whole:
//! reset it, move its clock, let operations fail, forget requests, make and remove workloads.

use axum::extract::FromRequestParts;
use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;

use super::{Caller, Directory, User};
use crate::app::AppState;
use crate::error::{Error, Result};

/// What sends the token of `--control-token`.
const HEADER: &str = "x-emulator-control-token";

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Error::internal("the operation did not ask for credentials"))
    }
}

/// A caller who may control the instance: an administrator of the built-in account, or of any
/// account where that one is left out; or whoever sends the control token, too.
#[derive(Debug, Clone, Copy)]
pub struct Controller;

impl FromRequestParts<AppState> for Controller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self> {
        let caller = Caller::from_request_parts(parts, &()).await?;
        Self::of(app, &caller, &parts.headers)
    }
}

impl Controller {
    /// Asks once more about somebody who sent a request without a body: accounts, users and tokens
    /// may be others by now.
    pub fn again(app: &AppState, parts: &Parts) -> Result<Self> {
        let Parts {
            method,
            uri,
            headers,
            ..
        } = parts;
        let claim = app.authenticator().identify(headers)?;
        let caller = claim.prove(method, uri, headers, &Bytes::new())?;
        Self::of(app, &caller, headers)
    }

    fn of(app: &AppState, caller: &Caller, headers: &HeaderMap) -> Result<Self> {
        let sent = headers.get(HEADER);
        let sent = sent.and_then(|value| value.to_str().ok());
        let is_sent = match (&app.control_token, sent) {
            (Some(token), Some(sent)) => token.matches(sent),
            _ => false,
        };
        if is_sent || may_control(&app.directory, caller.user()) {
            Ok(Self)
        } else {
            Err(Error::Forbidden)
        }
    }
}

fn may_control(directory: &Directory, user: &User) -> bool {
    let is_of_the_account = match directory.builtin_admin() {
        Some(builtin) => builtin.account.id == user.account.id,
        None => true,
    };
    user.admin && is_of_the_account
}
