//! Image sync: taking images of a repository to an organization of another region, by themselves
//! as tags are pushed, or some tags on request.
//!
//! `api` is its HTTP, `store` its SQL; `worker` does the jobs in the background, and `job` is how one
//! is done.

mod api;
mod job;
pub mod store;
mod worker;

use schemars::{Schema, json_schema};
use strum::IntoStaticStr;

use crate::clock::Timestamp;
use crate::error::{Error, Result};

pub use api::routes;
pub use worker::SyncWorker;

/// The longest name of a target organization.
const MAX_NAMESPACE: usize = 64;

/// Where images are taken: an organization of another region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncTarget {
    pub region: String,
    /// The organization, which need not be there yet: the live service does not look either.
    pub namespace: String,
}

impl SyncTarget {
    /// Checks `remoteRegionId` and `remoteNamespace` for a repository in the region `own`.
    pub fn parse(
        is_region: impl Fn(&str) -> bool,
        own: &str,
        region: &str,
        namespace: &str,
    ) -> Result<Self> {
        if region == own {
            let rule = "must not be the repository's own region";
            return Err(Error::invalid("remoteRegionId", rule));
        }
        if !is_region(region) {
            return Err(Error::UnknownSyncRegion);
        }
        if !(1..=MAX_NAMESPACE).contains(&namespace.chars().count())
            || namespace.contains(char::is_control)
        {
            let rule = format!(
                "must have 1 to {MAX_NAMESPACE} characters and no control \
                                characters"
            );
            return Err(Error::invalid("remoteNamespace", rule));
        }
        Ok(Self {
            region: region.to_owned(),
            namespace: namespace.to_owned(),
        })
    }

    /// The rule of `remoteNamespace`, for the document of the API.
    fn namespace_schema() -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_NAMESPACE,
            "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$",
            "examples": ["group"],
            "description": "The organization in that region, which need not exist yet.",
        })
    }
}

/// An automatic task as it is shown.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct SyncTask {
    /// Its number, never used twice.
    pub id: i64,
    /// The account that holds the repository.
    pub account_id: String,
    /// That account's name.
    pub account_name: String,
    /// The organization of the repository.
    pub namespace: String,
    pub repository: String,
    /// See [`SyncTarget`].
    pub remote_region: String,
    /// See [`SyncTarget`].
    pub remote_namespace: String,
    /// Whether what is pushed is synced by itself.
    pub sync_auto: bool,
    /// Whether a tag that the target has with another image is replaced.
    pub overwrite: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A job as it is shown.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct SyncJob {
    /// Its number, never used twice; jobs are done in this order.
    pub id: i64,
    /// The account that holds the repository.
    pub account_id: String,
    /// That account's name.
    pub account_name: String,
    /// The organization of the repository.
    pub namespace: String,
    pub repository: String,
    /// See [`SyncTarget`].
    pub remote_region: String,
    /// See [`SyncTarget`].
    pub remote_namespace: String,
    /// Whether a tag that the target has with another image is replaced.
    pub overwrite: bool,
    pub tag: String,
    /// How far it is.
    pub status: JobStatus,
    /// The id of the user who asked for it, or made the task that did.
    pub operator_id: String,
    /// That user's name.
    pub operator_name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its status last changed.
    pub updated_at: Timestamp,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, IntoStaticStr)]
#[sqlx(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum JobStatus {
    /// Others come first.
    Waiting,
    /// It is being done.
    Running,
    /// See [`Outcome::Success`].
    Success,
    /// See [`Outcome::Existed`].
    Existed,
    /// See [`Outcome::Failed`].
    Failed,
}

impl JobStatus {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The image is in the target under its tag.
    Success,
    /// The target has the tag, and was left as it is.
    Existed(&'static str),
    /// The image could not be taken there.
    Failed(String),
}

impl Outcome {
    /// The status of the job.
    pub fn status(&self) -> JobStatus {
        match self {
            Self::Success => JobStatus::Success,
            Self::Existed(_) => JobStatus::Existed,
            Self::Failed(_) => JobStatus::Failed,
        }
    }

    /// Why, for the log: the API has no place for it.
    pub fn reason(&self) -> &str {
        match self {
            Self::Success => "",
            Self::Existed(reason) => reason,
            Self::Failed(reason) => reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_in_another_region_that_is_played() {
        let is_region = |name: &str| ["r1", "r2"].contains(&name);
        let parse =
            |region: &str, namespace: &str| SyncTarget::parse(is_region, "r1", region, namespace);
        assert!(parse("r2", "g").is_ok());
        assert!(parse("r2", &"g".repeat(64)).is_ok());
        assert!(matches!(parse("r3", "g"), Err(Error::UnknownSyncRegion)));
        let check = |region: &str, namespace: &str, wrong: &str| {
            let error = parse(region, namespace).expect_err("refused");
            assert!(error.to_string().starts_with(wrong), "{error}");
        };
        check("r1", "g", "remoteRegionId: ");
        check("r2", "", "remoteNamespace: ");
        check("r2", &"g".repeat(65), "remoteNamespace: ");
        check("r2", "g\0", "remoteNamespace: ");
    }
}
