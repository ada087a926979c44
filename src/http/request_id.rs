//! The id of a request, as its handler finds it.

use std::fmt;

use axum::extract::FromRequestParts;
use http::Extensions;
use http::request::Parts;

use crate::error::{Error, Result};

/// How many digits an id has.
const LENGTH: usize = 32;

/// The id that client, answer and log line of a request share, which the edge gives: 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; LENGTH]);

impl RequestId {
    /// The id that two numbers make together.
    pub fn new(high: u64, low: u64) -> Self {
        let mut id = Self::default();
        for (half, number) in id.0.chunks_exact_mut(LENGTH / 2).zip([high, low]) {
            // Two digits for each byte: it cannot fail.
            let _ = hex::encode_to_slice(number.to_be_bytes(), half);
        }
        id
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The id that the edge left with a request.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().copied()
    }
}

/// The id of no request.
impl Default for RequestId {
    fn default() -> Self {
        Self([b'0'; LENGTH])
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Self::of(&parts.extensions).ok_or_else(|| Error::internal("the request has no id"))
    }
}
