//! Successful answers.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::error::Error;

/// A JSON body with its status.
#[derive(Debug)]
pub struct Answer<T>(pub StatusCode, pub T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.1) {
            Ok(body) => json(self.0, body),
            Err(error) => Error::internal(error).into_response(),
        }
    }
}

/// `{}`, which SWR answers to writes: an empty body breaks Terraform.
pub fn empty_object(status: StatusCode) -> Response {
    json(status, "{}")
}

/// A body that is JSON already.
pub fn json(status: StatusCode, body: impl IntoResponse) -> Response {
    let mut response = (status, body).into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The header `Content-Range: {offset}-{count on this page}/{total}` of SWR's lists.
#[derive(Debug, Clone, Copy)]
pub struct ContentRange {
    /// How many entries were skipped.
    pub offset: u64,
    /// How many are on this page.
    pub count: usize,
    /// How many there are in all.
    pub total: i64,
}

impl ContentRange {
    /// What the header says, for the document of the API.
    pub const MEANING: &str = "`{offset}-{count on this page}/{total}`";

    /// The answer with the header set.
    pub fn on(self, answer: impl IntoResponse) -> Response {
        let mut response = answer.into_response();
        let value = format!("{}-{}/{}", self.offset, self.count, self.total);
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(CONTENT_RANGE, value);
        }
        response
    }
}
