//! The HTTP that IAM's operations share.

use http::Method;

use super::{identity, token, user};
use crate::app::Routes;
use crate::http::{ErrorFormat, Operation};

/// The operations of IAM.
pub fn routes() -> Routes {
    token::routes().and(identity::routes()).and(user::routes())
}

/// An operation of IAM, which has a form of its own for errors.
pub(super) fn operation(name: &'static str, method: Method, path: &'static str) -> Operation {
    Operation::new(name, method, path).in_form(ErrorFormat::Iam)
}
