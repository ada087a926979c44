//! The image registry: OCI Distribution 1.1 under `/v2/`, on the port of everything else. The
//! images themselves are in [`crate::image`].
//!
//! `target` reads paths, `operation` is the table of operations, `api` their HTTP, `lots` gathers
//! the bodies of uploads, `token` is the bearer token of clients, `access` who may pull and push,
//! `download` counts pulls, `error` says why something is refused. Logging in belongs to `login`.

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
