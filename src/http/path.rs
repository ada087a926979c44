//! Variables of a path, as text: percent-decoded, one segment each.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use crate::error::{Error, Fault, Result};

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
