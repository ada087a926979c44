//! Variables of a path, as text: percent-decoded, one segment each.

use axum::extract::{self, FromRequestParts, RawPathParams};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::{Error, Fault, Result};

/// All variables of the matched path, in its order. One that is not UTF-8 is refused in the
/// operation's own form.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let variables = extract::Path::from_request_parts(parts, state).await;
        match variables {
            Ok(extract::Path(variables)) => Ok(Self(variables)),
            Err(_) => Err(Error::invalid("path", "must be UTF-8")),
        }
    }
}

/// Reads variables of the matched path.
#[derive(Debug)]
pub struct Segment;

impl Segment {
    /// The decoded text of `{name}`; `fault` is what a segment that is not UTF-8 counts as.
    pub async fn read(parts: &mut Parts, name: &'static str, fault: Fault) -> Result<String> {
        let variables = RawPathParams::from_request_parts(parts, &())
            .await
            .map_err(|_| Error::fault(fault, name, "must be UTF-8"))?;
        let value = variables
            .iter()
            .find_map(|(variable, value)| (variable == name).then(|| value.to_owned()));
        value.ok_or_else(|| Error::internal(format!("the route has no variable {name}")))
    }
}
