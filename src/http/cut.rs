//! The end of a connection without an answer.

use std::convert::Infallible;

use axum::response::Response;

/// Marks a response that is never sent: its connection is closed instead.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the connection was cut on purpose")]
pub struct Cut;

impl Cut {
    /// The response that is never sent.
    pub fn response() -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(Self);
        response
    }

    /// Whether a response is never sent.
    pub fn is_in(response: &Response) -> bool {
        response.extensions().get::<Self>().is_some()
    }
}

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
