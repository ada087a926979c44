//! Why the registry refuses, with the codes of the OCI distribution specification, and how that
//! is written down.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::error::Error;
use crate::http::{Cut, ErrorFormat, Failure, Incomplete, RETRY_SOON, Refusal, registry_error};
use crate::image::ImageError;

/// Why an operation of the registry did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryError {
    /// The request needs a token, or one with more rights; the challenge says which.
    #[error("authentication required")]
    Unauthorized {
        /// The value of `WWW-Authenticate`.
        challenge: String,
    },
    /// A user name or password that does not exist. The reason is for the log only.
    #[error("Authenticate Error: {0}")]
    LoginRefused(String),
    /// The caller may not do that.
    #[error("{0}")]
    Denied(String),
    /// A repository's name breaks a rule.
    #[error("invalid repository name: {0}")]
    NameInvalid(String),
    /// No such repository.
    #[error("repository name not known to registry")]
    NameUnknown,
    /// A digest is malformed, or not the one of the content.
    #[error("{0}")]
    DigestInvalid(String),
    /// Lengths or ranges do not fit together.
    #[error("{0}")]
    SizeInvalid(String),
    /// No such blob in this repository.
    #[error("blob unknown to registry")]
    BlobUnknown,
    /// An upload does not go on where it ended.
    #[error("{0}")]
    RangeInvalid(String),
    /// A part of a blob is asked for that it does not have.
    #[error("the range is outside the blob's {size} bytes")]
    RangeOutside {
        /// How many bytes the blob has.
        size: u64,
    },
    /// No such upload.
    #[error("blob upload unknown to registry")]
    UploadUnknown,
    /// What was sent for an upload did not arrive whole.
    #[error("{0}")]
    UploadInvalid(String),
    /// No such manifest in this repository.
    #[error("manifest unknown")]
    ManifestUnknown,
    /// Requests work on as many uploads as there may be.
    #[error("all {0} uploads are in use; try again later")]
    TooManyUploads(usize),
    /// The manifest, or the tag it shall have, breaks a rule.
    #[error("{0}")]
    ManifestInvalid(String),
    /// The manifest is larger than the registry takes.
    #[error("the manifest is larger than {0} bytes")]
    ManifestTooLarge(usize),
    /// The manifest did not arrive in time, or made room for faster bodies.
    #[error("the manifest {0}")]
    ManifestTooSlow(String),
    /// There is no room for the request now, or the instance stops.
    #[error("{0}; try again later")]
    Unavailable(&'static str),
    /// The manifest names something that is not in this repository.
    #[error("the manifest references {0}, which is not in this repository")]
    ManifestBlobUnknown(String),
    /// No operation has this path or method.
    #[error("the operation is not supported")]
    Unsupported,
    /// No operation has this path, whose first segment is nearly that of the management API.
    #[error("the operation is not supported; did you mean /v2/manage/…?")]
    MeantManagement,
    /// A failure that somebody asked for (`/_emulator/faults`).
    #[error("Injected fault")]
    Injected {
        /// The HTTP status.
        status: StatusCode,
        /// The error code.
        code: Arc<str>,
        /// When to try again, in seconds.
        retry_after_s: Option<u32>,
    },
    /// Somebody asked for the connection to be closed without an answer.
    #[error("the connection was cut on purpose")]
    Cut,
    /// Ours to fix; the log gets the whole chain.
    #[error("internal error")]
    Internal(#[source] Error),
}

impl From<Error> for RegistryError {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound(_) => Self::NameUnknown,
            error => Self::Internal(error),
        }
    }
}

impl From<sqlx::Error> for RegistryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

impl From<std::io::Error> for RegistryError {
    fn from(error: std::io::Error) -> Self {
        Self::Internal(Error::internal(error))
    }
}

/// The announcement is the header `Content-Range`.
impl From<ImageError> for RegistryError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::NameInvalid(rule) => Self::NameInvalid(rule),
            ImageError::DigestInvalid(reason) => Self::DigestInvalid(reason),
            ImageError::OutOfOrder { .. } => Self::RangeInvalid(error.to_string()),
            ImageError::OtherLength { announced, brought } => Self::SizeInvalid(format!(
                "Content-Range covers {announced} bytes, but the body has {brought}"
            )),
            ImageError::UploadUnknown => Self::UploadUnknown,
            ImageError::UploadInvalid(reason) => Self::UploadInvalid(reason),
            ImageError::TooManyUploads(most) => Self::TooManyUploads(most),
            ImageError::ManifestInvalid(rule) => Self::ManifestInvalid(rule),
            ImageError::Internal(error) => Self::Internal(error),
        }
    }
}

/// Why a manifest is not whole.
impl From<Incomplete> for RegistryError {
    fn from(incomplete: Incomplete) -> Self {
        match incomplete {
            Incomplete::TooLarge(bytes) => Self::ManifestTooLarge(bytes),
            Incomplete::TooLate(_) | Incomplete::TooSlow => {
                Self::ManifestTooSlow(incomplete.slowness().unwrap_or_default())
            }
            Incomplete::NoRoom => {
                Self::Unavailable("there is no buffer space left for the manifest")
            }
            Incomplete::Broken(reason) => {
                Self::ManifestInvalid(format!("the manifest was cut short: {reason}"))
            }
        }
    }
}

impl RegistryError {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized { .. } | Self::LoginRefused(_) => StatusCode::UNAUTHORIZED,
            Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::NameInvalid(_)
            | Self::DigestInvalid(_)
            | Self::SizeInvalid(_)
            | Self::UploadInvalid(_)
            | Self::ManifestInvalid(_)
            | Self::ManifestBlobUnknown(_) => StatusCode::BAD_REQUEST,
            Self::NameUnknown
            | Self::BlobUnknown
            | Self::UploadUnknown
            | Self::ManifestUnknown
            | Self::Unsupported
            | Self::MeantManagement => StatusCode::NOT_FOUND,
            Self::RangeInvalid(_) | Self::RangeOutside { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::ManifestTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ManifestTooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooManyUploads(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Injected { status, .. } => *status,
            Self::Cut | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The message for the client, who is not told why a login was refused.
    pub fn message(&self) -> String {
        match self {
            Self::LoginRefused(_) => "Authenticate Error".to_owned(),
            error => error.to_string(),
        }
    }

    /// The code of the specification.
    pub fn code(&self) -> &str {
        match self {
            Self::Unauthorized { .. } => "UNAUTHORIZED",
            Self::LoginRefused(_) | Self::Denied(_) => "DENIED",
            Self::NameInvalid(_) => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::DigestInvalid(_) => "DIGEST_INVALID",
            Self::SizeInvalid(_) | Self::RangeOutside { .. } => "SIZE_INVALID",
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::RangeInvalid(_) | Self::UploadInvalid(_) => "BLOB_UPLOAD_INVALID",
            Self::UploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::TooManyUploads(_) => "TOOMANYREQUESTS",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::ManifestInvalid(_) | Self::ManifestTooLarge(_) | Self::ManifestTooSlow(_) => {
                "MANIFEST_INVALID"
            }
            Self::Unavailable(_) => "UNAVAILABLE",
            Self::ManifestBlobUnknown(_) => "MANIFEST_BLOB_UNKNOWN",
            Self::Unsupported | Self::MeantManagement => "UNSUPPORTED",
            Self::Injected { code, .. } => code,
            Self::Cut | Self::Internal(_) => "UNKNOWN",
        }
    }
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        Self {
            status: error.status(),
            code: Some(error.code().to_owned()),
            format: Some(ErrorFormat::Registry),
            reason: error.message(),
        }
    }
}

/// What the log tells of it.
impl From<&RegistryError> for Failure {
    fn from(error: &RegistryError) -> Self {
        match error {
            RegistryError::Internal(cause) => Self::new(error.code(), &cause.chain(), true),
            error => Self::new(error.code(), &error.to_string(), false),
        }
    }
}

impl IntoResponse for RegistryError {
    fn into_response(self) -> Response {
        if matches!(self, Self::Cut) {
            return Cut::response();
        }
        let body = registry_error(self.code(), &self.message());
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Self::Unauthorized { challenge } = &self
            && let Ok(challenge) = HeaderValue::try_from(challenge)
        {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if matches!(self, Self::Unavailable(_)) {
            headers.insert(RETRY_AFTER, RETRY_SOON.clone());
        }
        if let Self::Injected {
            retry_after_s: Some(seconds),
            ..
        } = &self
        {
            headers.insert(RETRY_AFTER, HeaderValue::from(*seconds));
        }
        if let Self::RangeOutside { size } = &self
            && let Ok(range) = HeaderValue::try_from(format!("bytes */{size}"))
        {
            headers.insert(CONTENT_RANGE, range);
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_an_image_is_told_with_the_codes_of_the_specification() {
        let check = |error: ImageError, status: u16, code: &str, message: &str| {
            let error = RegistryError::from(error);
            let found = (error.status().as_u16(), error.code(), error.to_string());
            assert_eq!(found, (status, code, message.to_owned()));
        };
        let reason = || "reason".to_owned();
        let name = "invalid repository name: reason";
        check(ImageError::NameInvalid(reason()), 400, "NAME_INVALID", name);
        let digest = ImageError::DigestInvalid(reason());
        check(digest, 400, "DIGEST_INVALID", "reason");
        let (size, first) = (5, 6);
        let order = "the upload continues at byte 5, not at byte 6";
        let out_of_order = ImageError::OutOfOrder { size, first };
        check(out_of_order, 416, "BLOB_UPLOAD_INVALID", order);
        let (announced, brought) = (6, 5);
        let length = "Content-Range covers 6 bytes, but the body has 5";
        let other_length = ImageError::OtherLength { announced, brought };
        check(other_length, 400, "SIZE_INVALID", length);
        let unknown = "blob upload unknown to registry";
        check(
            ImageError::UploadUnknown,
            404,
            "BLOB_UPLOAD_UNKNOWN",
            unknown,
        );
        let broken = ImageError::UploadInvalid(reason());
        check(broken, 400, "BLOB_UPLOAD_INVALID", "reason");
        let many = "all 9 uploads are in use; try again later";
        check(ImageError::TooManyUploads(9), 429, "TOOMANYREQUESTS", many);
        let manifest = ImageError::ManifestInvalid(reason());
        check(manifest, 400, "MANIFEST_INVALID", "reason");
        let internal = ImageError::Internal(Error::internal("reason"));
        check(internal, 500, "UNKNOWN", "internal error");
    }

    #[test]
    fn a_manifest_that_is_not_whole_is_refused_in_the_registrys_words() {
        let check = |incomplete: Incomplete, status: u16, code: &str, message: &str| {
            let error = RegistryError::from(incomplete);
            let found = (error.status().as_u16(), error.code(), error.to_string());
            assert_eq!(found, (status, code, message.to_owned()));
            let response = error.into_response();
            let is_later = response.headers().contains_key(RETRY_AFTER);
            assert_eq!(is_later, status == 503);
        };
        let code = "MANIFEST_INVALID";
        let large = "the manifest is larger than 9 bytes";
        check(Incomplete::TooLarge(9), 413, code, large);
        let late = "the manifest did not arrive within 30 seconds";
        check(Incomplete::TooLate(30), 408, code, late);
        let slow = "the manifest arrived more slowly than others when buffer space ran out";
        check(Incomplete::TooSlow, 408, code, slow);
        let room = "there is no buffer space left for the manifest; try again later";
        check(Incomplete::NoRoom, 503, "UNAVAILABLE", room);
        let broken = "the manifest was cut short: reset";
        check(Incomplete::Broken("reset".to_owned()), 400, code, broken);
    }
}
