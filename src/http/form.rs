//! How an error is written down: SWR's own body, the API gateway's, or IAM's.
//!
//! Which error it is, and its code, is said by `error`.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::error::Error;

/// A family of operations whose errors look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// SWR: one object that holds both generations of fields (API reference, error codes).
    Management,
    /// The API gateway before SWR: `error_code`, `error_msg` and `request_id`.
    Gateway,
    /// IAM's token service: `{"error":{"code","message","title"}}`.
    Iam,
    /// The registry: the envelope of the OCI distribution specification.
    Registry,
}

#[derive(Serialize)]
struct ManagementBody<'a> {
    errors: [OldError<'a>; 1],
    error_code: &'a str,
    error_msg: &'a str,
    details: [NewError<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OldError<'a> {
    error_code: &'a str,
    error_message: &'a str,
    detail: &'a str,
}

#[derive(Serialize)]
struct NewError<'a> {
    error_code: &'a str,
    error_msg: &'a str,
}

#[derive(Serialize)]
struct GatewayBody<'a> {
    error_msg: &'a str,
    error_code: &'a str,
    request_id: &'a str,
}

#[derive(Serialize)]
struct IamBody<'a> {
    error: IamError<'a>,
}

#[derive(Serialize)]
struct IamError<'a> {
    code: u16,
    message: &'a str,
    title: &'a str,
}

#[derive(Serialize)]
struct RegistryBody<'a> {
    errors: [RegistryItem<'a>; 1],
}

#[derive(Serialize)]
struct RegistryItem<'a> {
    code: &'a str,
    message: &'a str,
}

impl Form {
    /// The response to a request that failed. `failure` is the operation's code for 500.
    pub(super) fn render(self, error: &Error, failure: &'static str, request_id: &str) -> Response {
        let status = error.status();
        let message = error.to_string();
        let code = error.code(failure);
        // These two are the gateway's own: the service behind it never saw the request.
        let form = match error {
            Error::Unauthenticated(_) | Error::NoSuchApi(_) => Self::Gateway,
            // And so is everything that has a code of the gateway, but IAM has no codes at all.
            Error::Injected { .. } if self == Self::Management && code.starts_with("APIGW.") => {
                Self::Gateway
            }
            _ => self,
        };
        let mut body = match form {
            Self::Management => serde_json::to_vec(&ManagementBody {
                errors: [OldError {
                    error_code: code,
                    error_message: &message,
                    detail: "",
                }],
                error_code: code,
                error_msg: &message,
                details: [NewError {
                    error_code: code,
                    error_msg: &message,
                }],
            }),
            Self::Gateway => serde_json::to_vec(&GatewayBody {
                error_msg: &message,
                error_code: code,
                request_id,
            }),
            Self::Iam => serde_json::to_vec(&IamBody {
                error: IamError {
                    code: status.as_u16(),
                    message: &message,
                    title: status.canonical_reason().unwrap_or_default(),
                },
            }),
            Self::Registry => serde_json::to_vec(&RegistryBody {
                errors: [RegistryItem {
                    code,
                    message: &message,
                }],
            }),
        }
        .unwrap_or_default();
        if form == Self::Gateway {
            body.push(b'\n');
        }
        let mut response = (status, body).into_response();
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// Carries the error to the edge, which knows in which form the operation answers.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
