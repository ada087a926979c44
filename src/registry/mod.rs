//! The image registry: the HTTP of OCI Distribution 1.1 under `/v2/`, which shares its port with
//! the management API. The images themselves are in [`crate::image`].
//!
//! `edge::registry` calls [`answer`], which finds the operation in `api`. `target` parses paths,
//! `operation` is the table of operations, `lots` collects the bodies of uploads, `token` signs and
//! verifies bearer tokens, `access` decides who may pull and push and admits the caller, `download`
//! counts pulls, and `error` maps refusals to OCI error codes. The token service is in `login`.

mod access;
mod api;
pub mod download;
mod error;
mod lots;
mod operation;
mod target;
pub mod token;

pub use access::{Actions, allowed};
pub(crate) use api::{Trace, answer};
pub use error::RegistryError;
pub use operation::{OPERATIONS, RegistryOperation};
pub use target::Target;
