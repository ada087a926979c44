//! Why something cannot be done with an image. How clients are told of it is the business of
//! `registry`.

use crate::error::Error;

/// Why something was not done with an image, its parts or an upload.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ImageError {
    /// A repository's name breaks a rule.
    #[error("{0}")]
    NameInvalid(String),
    /// A digest is malformed, or not the one of the content.
    #[error("{0}")]
    DigestInvalid(String),
    /// An upload does not go on where it ended.
    #[error("the upload continues at byte {size}, not at byte {first}")]
    OutOfOrder {
        /// How many bytes the upload has.
        size: u64,
        /// Where the next ones belong.
        first: u64,
    },
    /// An upload was brought more or fewer bytes than were announced.
    #[error("{announced} bytes were announced, {brought} were brought")]
    OtherLength {
        /// How many bytes were announced.
        announced: u64,
        /// How many bytes there were.
        brought: u64,
    },
    /// No such upload.
    #[error("there is no such upload")]
    UploadUnknown,
    /// What was sent for an upload did not arrive whole.
    #[error("{0}")]
    UploadInvalid(String),
    /// Requests work on as many uploads as there may be.
    #[error("requests work on all of the {0} uploads that there may be")]
    TooManyUploads(usize),
    /// The manifest, or the tag it shall have, breaks a rule.
    #[error("{0}")]
    ManifestInvalid(String),
    /// Ours to fix; the log gets the whole chain.
    #[error("internal error")]
    Internal(#[source] Error),
}

impl From<Error> for ImageError {
    fn from(error: Error) -> Self {
        Self::Internal(error)
    }
}

impl From<std::io::Error> for ImageError {
    fn from(error: std::io::Error) -> Self {
        Self::Internal(Error::internal(error))
    }
}
