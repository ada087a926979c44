//! How an error is written down: SWR's own body, the API gateway's, or IAM's.
//!
//! Which error it is, and its code, is said by `error`.

use std::collections::BTreeSet;

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use schemars::generate::SchemaGenerator;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::Error;
use crate::excerpt::excerpt;

/// How many characters of a message are told. What is longer repeats what the client sent, and a
/// body of SWR holds it three times.
const MAX_MESSAGE: usize = 5000;
/// When to try again what there was no room for, in seconds.
pub(crate) static RETRY_SOON: HeaderValue = HeaderValue::from_static("1");

/// A family of operations whose errors look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorFormat {
    /// SWR: one object that holds both generations of fields (API reference, error codes).
    Management,
    /// The API gateway before SWR: `error_code`, `error_msg` and `request_id`.
    Gateway,
    /// IAM's token service: `{"error":{"code","message","title"}}`.
    Iam,
    /// The registry: the envelope of the OCI distribution specification.
    Registry,
}

/// An error of SWR, in both generations of its fields.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ManagementError")]
struct ManagementBody<'a> {
    errors: [OldError<'a>; 1],
    error_code: &'a str,
    error_msg: &'a str,
    details: [NewError<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    encoded_authorization_message: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct OldError<'a> {
    error_code: &'a str,
    error_message: &'a str,
    detail: &'a str,
    #[serde(
        rename = "encoded_authorization_message",
        skip_serializing_if = "Option::is_none"
    )]
    encoded_authorization_message: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
struct NewError<'a> {
    error_code: &'a str,
    error_msg: &'a str,
}

/// An error of the API gateway.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "GatewayError")]
struct GatewayBody<'a> {
    error_msg: &'a str,
    error_code: &'a str,
    request_id: &'a str,
}

/// An error of IAM.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IamError")]
struct IamBody<'a> {
    error: IamError<'a>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IamErrorDetails")]
struct IamError<'a> {
    code: u16,
    message: &'a str,
    title: &'a str,
}

/// An error of the registry (OCI distribution specification, error codes).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RegistryError")]
struct RegistryBody<'a> {
    errors: [RegistryItem<'a>; 1],
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RegistryErrorItem")]
struct RegistryItem<'a> {
    code: &'a str,
    message: &'a str,
}

impl ErrorFormat {
    /// The form of one error where others have this one.
    pub(crate) fn of(self, error: &Error) -> Self {
        match error {
            error if Self::is_gateways(error) => Self::Gateway,
            // So is everything that has a code of the gateway, but IAM has no codes at all.
            Error::Injected { code, .. }
                if self == Self::Management && code.starts_with("APIGW.") =>
            {
                Self::Gateway
            }
            _ => self,
        }
    }

    /// Whether an error is the gateway's own whatever it stands before: the service behind it never
    /// saw the request.
    pub(super) fn is_gateways(error: &Error) -> bool {
        matches!(error, Error::Unauthenticated(_) | Error::NoSuchApi(_))
    }

    /// The schema of a body under a status that can show these codes.
    pub(crate) fn schema(
        self,
        status: StatusCode,
        codes: &BTreeSet<String>,
        schemas: &mut SchemaGenerator,
    ) -> Value {
        let (whole, detail) = match self {
            Self::Management => (
                schemas.subschema_for::<ManagementBody>(),
                json!({"error_code": {"enum": codes}}),
            ),
            Self::Gateway => (
                schemas.subschema_for::<GatewayBody>(),
                json!({"error_code": {"enum": codes}}),
            ),
            Self::Registry => (
                schemas.subschema_for::<RegistryBody>(),
                json!({"errors": {"items": {"properties": {"code": {"enum": codes}}}}}),
            ),
            // IAM shows the status, and no code.
            Self::Iam => (
                schemas.subschema_for::<IamBody>(),
                json!({"error": {"properties": {"code": {"const": status.as_u16()}}}}),
            ),
        };
        json!({"allOf": [whole, {"properties": detail}]})
    }

    /// The response to a request that failed. `failure` is the operation's code for 500.
    pub(crate) fn render(self, error: &Error, failure: &'static str, request_id: &str) -> Response {
        let status = error.status();
        let message = error.to_string();
        let message = excerpt(&message, MAX_MESSAGE);
        let code = error.code(failure);
        let form = self.of(error);
        // Opaque to clients; the live service's can be decoded by its token service only.
        let refusal = matches!(error, Error::Forbidden | Error::ForeignOrigin(_))
            .then(|| BASE64_STANDARD.encode(format!("{{\"request_id\":\"{request_id}\"}}")));
        let refusal = refusal.as_deref();
        let mut body = match form {
            Self::Management => serde_json::to_vec(&ManagementBody {
                errors: [OldError {
                    error_code: code,
                    error_message: &message,
                    detail: "",
                    encoded_authorization_message: refusal,
                }],
                error_code: code,
                error_msg: &message,
                details: [NewError {
                    error_code: code,
                    error_msg: &message,
                }],
                encoded_authorization_message: refusal,
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
            Self::Registry => Ok(registry_error(code, &message)),
        }
        .unwrap_or_default();
        if form == Self::Gateway {
            body.push(b'\n');
        }
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if matches!(error, Error::Unavailable(_)) {
            headers.insert(RETRY_AFTER, RETRY_SOON.clone());
        }
        if let Error::Injected {
            retry_after_s: Some(seconds),
            ..
        } = error
        {
            headers.insert(RETRY_AFTER, HeaderValue::from(*seconds));
        }
        response
    }
}

/// The body of an error of the registry, its message cut.
pub(crate) fn registry_error(code: &str, message: &str) -> Vec<u8> {
    let body = RegistryBody {
        errors: [RegistryItem {
            code,
            message: &excerpt(message, MAX_MESSAGE),
        }],
    };
    serde_json::to_vec(&body).unwrap_or_default()
}

/// Carries the error to the edge, which knows in which form the operation answers.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
