//! The id that client, answer and log line of a request share.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::response::Response;
use http::{HeaderName, HeaderValue};

use crate::http::RequestId;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Request ids of 32 hex digits: a random half for the instance, a count for the request.
#[derive(Debug)]
pub struct RequestIds {
    instance: u64,
    count: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        Self {
            instance: getrandom::u64().unwrap_or_default(),
            count: AtomicU64::new(1),
        }
    }
}

impl RequestIds {
    /// The next one.
    pub fn next(&self) -> RequestId {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        RequestId::new(self.instance, count)
    }
}

/// Gives a response the id of its request.
pub(super) fn identify(response: &mut Response, request_id: RequestId) {
    if let Ok(value) = HeaderValue::from_str(request_id.as_str()) {
        response.headers_mut().insert(X_REQUEST_ID.clone(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_32_hex_digits_and_differ() {
        let ids = RequestIds::default();
        let (first, second) = (ids.next(), ids.next());
        assert_ne!(first, second);
        let first = first.as_str();
        assert!(first.len() == 32 && first.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
