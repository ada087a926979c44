//! The image registry: OCI Distribution 1.1 under `/v2/`, on the port of everything else.
//!
//! `reference` has the words (digests, references, paths), `manifest` reads manifests, `upload`
//! takes what arrives, `blob` holds the files, `store` the SQL, `copy` that of images for other
//! repositories, `describe` reads what an earlier version stored, `collect` removes what nothing
//! refers to, `token` is the bearer token of clients, `access` who may pull and push,
//! `operation` the table of operations, and `api` the HTTP. Tags belong to the chapter `tag`, logging in to `login`.

mod access;
mod api;
pub mod blob;
mod collect;
mod copy;
mod describe;
pub mod download;
mod error;
mod manifest;
mod operation;
mod push;
mod reference;
mod sample;
pub mod store;
pub mod token;
mod upload;

pub use access::{Actions, allowed};
pub(crate) use api::{Trace, answer};
pub use collect::Collector;
pub use copy::copy_image;
pub use describe::describe_stored;
pub use error::RegistryError;
pub use manifest::{Manifest, MediaType};
pub use operation::{OPERATIONS, RegistryOperation};
pub use push::{Pusher, repository_for_push};
pub use reference::{Digest, ImagePath, Reference, Target};
pub use sample::SampleImage;
