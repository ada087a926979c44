//! Why a request was refused or failed, and the status and code that a client gets for it.
//!
//! One enum for the whole program. How an error is written (in the format of SWR, the
//! gateway, IAM or the OCI registry) is in `http::error_format`; which rule was broken is decided in
//! the chapters.

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;

/// The result of everything that serves a request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The request does not prove who sent it. The text follows the gateway's fixed words.
    #[error("Incorrect IAM authentication information: {0}")]
    Unauthenticated(String),
    /// A user name or password that IAM does not accept, or a scope it does not grant.
    #[error("{message}")]
    LoginRefused {
        /// The client is told no more than this.
        message: String,
        /// What was wrong, for the log; empty where the message says it.
        reason: String,
    },
    /// No operation has this path, or none has this path with this method. Handlers give the
    /// reason, which the edge completes.
    #[error("{0}")]
    NoSuchApi(String),
    /// Something in the request breaks a rule.
    #[error("{field}: {rule}")]
    Invalid {
        /// What kind of thing is wrong; decides the code.
        fault: Fault,
        /// The field, parameter or path segment, as the API reference names it.
        field: Cow<'static, str>,
        /// The rule it breaks.
        rule: Cow<'static, str>,
    },
    /// The thing does not exist, or not for this caller.
    #[error("{}", .0.missing())]
    NotFound(Resource),
    /// The organization with this name does not exist, or not for this caller. Only where SWR has
    /// no words of its own.
    #[error("Not found namespace {0}")]
    NoNamespace(String),
    /// The name is taken.
    #[error("{}", .0.taken())]
    AlreadyExists(Resource),
    /// An organization that still holds repositories cannot be deleted.
    #[error("The organization still contains repositories; delete them first")]
    NamespaceNotEmpty,
    /// The account may not have more organizations.
    #[error("The quota of {0} organizations is used up")]
    NamespaceQuota(u32),
    /// The caller is known but lacks the right.
    #[error("Insufficient permissions")]
    Forbidden,
    /// The body is larger than the operation takes.
    #[error("The request body is larger than {0} bytes")]
    BodyTooLarge(usize),
    /// The body did not arrive in time, or made room for faster ones.
    #[error("The request body {0}")]
    BodyTooSlow(Cow<'static, str>),
    /// The request is for a name that is not the emulator's.
    #[error(
        "The emulator does not serve the host {0:?}; to allow it, start the emulator with \
         --allow-host"
    )]
    Misdirected(String),
    /// A page of another origin asks for a change.
    #[error("The emulator makes no changes for pages of {0:?}; its own page has its own address")]
    ForeignOrigin(String),
    /// There is no room for the request now, or the instance stops.
    #[error("{0}; try again later")]
    Unavailable(&'static str),
    /// The description of a repository is too long.
    #[error("description: must have at most {0} characters")]
    DescriptionTooLong(usize),
    /// The push that somebody waited for did not come.
    #[error("No push of {0} arrived in time")]
    NoPush(String),
    /// There is no automatic sync to this target: 400 on the live service, where the pages say 404.
    #[error("Not found sync task")]
    NoSyncTask,
    /// The target of a sync is in no region of the instance. The live service gives no more words.
    #[error("Internal error")]
    UnknownSyncRegion,
    /// A cluster that has to be asked cannot be reached.
    #[error("Server internal error: fail to get k8s {0}")]
    ClusterUnavailable(String),
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
    /// Ours to fix: the log gets the whole chain, the client only this sentence.
    #[error("Internal error")]
    Internal(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

/// A kind of thing that a request can get wrong (API reference, error codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Any part of a body, and the name of a trigger.
    Parameter,
    /// The name of an organization.
    NamespaceName,
    RepositoryName,
    /// The query parameter `filter`.
    Filter,
    /// `auth` of an organization.
    NamespaceAuth,
    /// `auth` of an image.
    Auth,
    /// The name of an IAM user.
    UserName,
    /// The name of an account.
    Domain,
    /// `limit`, `offset` or `marker`.
    Page,
    /// `order_column` or `order_type`.
    Order,
    /// Any other query parameter.
    Query,
    /// The header `Host`.
    Host,
    /// The number of a retention rule that is to be deleted and is not there.
    RetentionId,
}

/// A thing that an operation can miss, or find in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// An organization.
    Namespace,
    /// An image repository.
    Repository,
    /// A tag of an image.
    Tag,
    Trigger,
    /// A permission in an organization.
    NamespacePermission,
    /// A permission for an image.
    RepositoryPermission,
    /// The sharing of an image with an account.
    Share,
    /// A retention rule.
    Retention,
    /// A CCE cluster.
    Cluster,
    /// A workload of a simulated cluster.
    Workload,
    /// An IAM user.
    User,
    /// An account's leave for SWR to use CCE and CCI.
    Agency,
}

impl Resource {
    fn missing(self) -> &'static str {
        match self {
            Self::Namespace => "Not found namespace",
            Self::Repository => "Not found repository",
            Self::Tag => "Not found tag",
            Self::Trigger => "Not found trigger",
            Self::NamespacePermission => "Not found namespace permission",
            Self::RepositoryPermission => "Not found permission",
            Self::Share => "The image is not shared with this account",
            Self::Retention => "Not found retention rule",
            Self::Cluster => "Not found cluster",
            Self::Workload => "Not found workload",
            Self::User => "Not found user",
            Self::Agency => "Not found agency",
        }
    }

    fn taken(self) -> &'static str {
        match self {
            Self::Namespace => "namespace: an organization with this name already exists",
            Self::Repository => "repository: a repository with this name already exists",
            Self::Tag => "destination_tag: a tag with this name already exists",
            Self::Trigger => "name: a trigger with this name already exists in the repository",
            Self::NamespacePermission | Self::RepositoryPermission => {
                "user_id: the user already has a permission"
            }
            Self::Share => "access_domain: the image is already shared with this account",
            Self::Retention => "the repository already has a retention rule; delete it first",
            Self::Workload => "a workload with this name already exists",
            Self::Cluster => "a cluster with this name already exists",
            Self::User => "a user with this name already exists",
            Self::Agency => "the account already has the agency",
        }
    }
}

impl Error {
    /// A part of the body, or a trigger's name, that breaks a rule.
    pub fn invalid(
        field: impl Into<Cow<'static, str>>,
        rule: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::fault(Fault::Parameter, field, rule)
    }

    /// Something of the request that breaks a rule.
    pub fn fault(
        fault: Fault,
        field: impl Into<Cow<'static, str>>,
        rule: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Invalid {
            fault,
            field: field.into(),
            rule: rule.into(),
        }
    }

    /// The same fault of a field that is inside another one.
    #[must_use]
    pub fn under(self, outer: &str) -> Self {
        match self {
            Self::Invalid { fault, field, rule } => Self::Invalid {
                fault,
                field: format!("{outer}.{field}").into(),
                rule,
            },
            other => other,
        }
    }

    /// Wraps a failure that the client cannot act on.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(Arc::from(source.into()))
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated(_) | Self::LoginRefused { .. } => StatusCode::UNAUTHORIZED,
            Self::Invalid { .. }
            | Self::NotFound(Resource::Share)
            | Self::NamespaceQuota(_)
            | Self::NoSyncTask
            // As the live service answers; newer pages of the reference say 409.
            | Self::AlreadyExists(Resource::Trigger | Resource::Retention) => {
                StatusCode::BAD_REQUEST
            }
            Self::NoSuchApi(_) | Self::NotFound(_) | Self::NoNamespace(_) => StatusCode::NOT_FOUND,
            Self::AlreadyExists(_) => StatusCode::CONFLICT,
            Self::NamespaceNotEmpty => StatusCode::NOT_ACCEPTABLE,
            Self::Forbidden | Self::ForeignOrigin(_) => StatusCode::FORBIDDEN,
            Self::BodyTooLarge(_) | Self::DescriptionTooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow(_) | Self::NoPush(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Misdirected(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Injected { status, .. } => *status,
            Self::UnknownSyncRegion | Self::ClusterUnavailable(_) | Self::Internal(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// The error code (API reference, error codes; `APIGW.` ones come from the gateway).
    ///
    /// `failure` is the code of the operation's own failing step, which only it can know.
    pub fn code(&self, failure: &'static str) -> &str {
        match self {
            Self::Unauthenticated(_) | Self::LoginRefused { .. } => "APIGW.0301",
            Self::NoSuchApi(_) => "APIGW.0101",
            Self::Invalid { fault, .. } => match fault {
                Fault::Parameter => "SVCSTG.SWR.4000014",
                Fault::NamespaceName => "SVCSTG.SWR.4001028",
                Fault::RepositoryName => "SVCSTG.SWR.4001029",
                Fault::NamespaceAuth => "SVCSTG.SWR.4001065",
                Fault::Auth => "SVCSTG.SWR.4001066",
                Fault::UserName => "SVCSTG.SWR.4001067",
                Fault::Domain => "SVCSTG.SWR.4001041",
                Fault::Filter => "SVCSTG.SWR.4001035",
                Fault::Page => "SVCSTG.SWR.4000056",
                Fault::Order => "SVCSTG.SWR.4001096",
                Fault::Query => "SVCSTG.SWR.4001025",
                Fault::Host => "APIGW.0201",
                Fault::RetentionId => "SVCSTG.SWR.4000306",
            },
            Self::NoNamespace(_) => Self::NotFound(Resource::Namespace).code(failure),
            Self::NotFound(resource) => match resource {
                Resource::Namespace => "SVCSTG.SWR.4040058",
                Resource::Repository => "SVCSTG.SWR.4040010",
                Resource::Tag => "SVCSTG.SWR.4040048",
                Resource::Trigger => "SVCSTG.SWR.4040126",
                Resource::NamespacePermission => "SVCSTG.SWR.4040078",
                Resource::RepositoryPermission | Resource::Agency => "SVCSTG.SWR.4040091",
                // Terraform knows this one.
                Resource::Share => "SVCSTG.SWR.4001090",
                Resource::Cluster | Resource::Workload => "CCE.01404001",
                Resource::Retention => "SVCSTG.SWR.4040083",
                Resource::User => "IAM.0004",
            },
            Self::AlreadyExists(resource) => match resource {
                Resource::Namespace => "SVCSTG.SWR.4090060",
                Resource::Repository | Resource::Tag => "SVCSTG.SWR.4090006",
                Resource::NamespacePermission => "SVCSTG.SWR.4090076",
                Resource::RepositoryPermission | Resource::Share | Resource::Agency => {
                    "SVCSTG.SWR.4090089"
                }
                Resource::Trigger | Resource::Retention => "SVCSTG.SWR.4000014",
                Resource::Cluster | Resource::Workload => "CCE.01409001",
                Resource::User => "IAM.0011",
            },
            Self::NamespaceNotEmpty => "SVCSTG.SWR.4060074",
            Self::NamespaceQuota(_) => "SVCSTG.SWR.4000097",
            Self::Forbidden | Self::ForeignOrigin(_) => "SVCSTG.SWR.4030170",
            Self::BodyTooLarge(_) => "SVCSTG.SWR.4131001",
            Self::DescriptionTooLong(_) => "SVCSTG.SWR.4131012",
            Self::BodyTooSlow(_) => "SVCSTG.SWR.4000014",
            // The reference has no code for a wait.
            Self::NoPush(_) => "SVCSTG.SWR.4040083",
            Self::Misdirected(_) => "APIGW.0201",
            Self::NoSyncTask => "SVCSTG.SWR.4001158",
            Self::UnknownSyncRegion => "SVCSTG.SWR.5001101",
            Self::ClusterUnavailable(_) => "SVCSTG.SWR.5004002",
            Self::Injected { code, .. } => code,
            Self::Unavailable(_) | Self::Internal(_) => failure,
        }
    }

    /// This error and what caused it, for the log.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and what caused it, each cause that the text does not tell already.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let cause = source.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = source.source();
    }
    text
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::internal(error)
    }
}
/// A text with its control characters written out: what others say must not look like lines of our
/// own, in errors and in the log.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}
