//! Bodies in: JSON, whatever the header says besides its media type.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::error::{Error, Result};
use crate::json::{JsonArray, JsonObject};

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        check_content_type(request.headers())?;
        let body = Bytes::from_request(request, state)
            .await
            .map_err(Error::internal)?;
        Self::parse(&body)
    }
}

/// JSON whatever the parameters say; no content type at all counts as JSON too.
fn check_content_type(headers: &HeaderMap) -> Result<()> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = value.to_str().unwrap_or("not ASCII").split(';').next();
    let essence = essence.unwrap_or_default().trim();
    if essence.is_empty() || essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Error::invalid("Content-Type", "must be application/json"))
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonArray {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        check_content_type(request.headers())?;
        let body = Bytes::from_request(request, state)
            .await
            .map_err(Error::internal)?;
        Self::parse(&body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_is_json_or_absent() {
        let check = |value: Option<&'static str>, accepted: bool| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(value));
            }
            assert_eq!(check_content_type(&headers).is_ok(), accepted, "{value:?}");
        };
        check(None, true);
        check(Some("application/json"), true);
        check(Some("Application/JSON;charset=utf-8"), true);
        check(Some("application/json; charset=latin1"), true);
        check(Some("text/plain"), false);
        check(Some("application/x-www-form-urlencoded"), false);
        check(Some("application/jsonp"), false);
    }
}
