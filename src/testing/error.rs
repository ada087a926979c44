//! Why something that a test asked for did not happen.

use std::fmt;

use crate::error;

/// Why something that a test asked for did not happen. `Debug` shows the same text as `Display`,
/// since that is what a test that returns an error is reported with.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value breaks a rule; the text names both.
    #[error("{0}")]
    Refused(String),
    /// There is no such organization.
    #[error("the organization {0} does not exist; add it to the seed")]
    NoOrganization(String),
    /// There is no such repository.
    #[error("the repository {0} does not exist; add it to the seed or push to it")]
    NoRepository(String),
    /// The account of an organization has no user who could push.
    #[error("nobody can push to the organization {0}: its account has no users")]
    NoUser(String),
    /// No push of the image arrived in time.
    #[error("no push of {0} arrived in time")]
    NoPush(String),
    /// The repository has no such trigger.
    #[error("the repository of {image} has no trigger named {trigger}")]
    NoTrigger {
        /// The image.
        image: String,
        /// The name that no trigger has.
        trigger: String,
    },
    /// The trigger did not fire for the newest push of the image, and will not.
    #[error("{image} did not fire the trigger {trigger}: {reason}")]
    NotFired {
        /// The image.
        image: String,
        /// The trigger's name.
        trigger: String,
        /// Why it did not.
        reason: String,
    },
    /// The trigger fired, but its history, which has 100 entries at most, no longer has the outcome.
    #[error(
        "{image} fired the trigger {trigger}, whose history no longer reaches back to this push"
    )]
    Forgotten {
        /// The image.
        image: String,
        /// The trigger's name.
        trigger: String,
    },
    /// The trigger fired and has no outcome yet.
    #[error("{image} fired the trigger {trigger}, which has no outcome yet: {reason}")]
    Unsettled {
        /// The image.
        image: String,
        /// The trigger's name.
        trigger: String,
        /// What it waits for.
        reason: String,
    },
    /// The trigger fired, and its workload does not run the image, or it is not known whether it does.
    #[error("{image} fired the trigger {trigger}, whose rollout did not become healthy: {reason}")]
    Unhealthy {
        /// The image.
        image: String,
        /// The trigger's name.
        trigger: String,
        /// What came of it.
        reason: String,
    },
    /// A failure of the emulator.
    #[error("the emulator failed: {0}")]
    Internal(String),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<error::Error> for Error {
    fn from(error: error::Error) -> Self {
        match error {
            error::Error::NoNamespace(name) => Self::NoOrganization(name),
            error::Error::Internal(_) => Self::Internal(error.chain()),
            error => Self::Refused(error.to_string()),
        }
    }
}
