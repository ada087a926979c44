//! Images on disk: their parts, and how they are stored, copied and removed. The HTTP of the
//! registry is in `registry`, which this room does not know.
//!
//! `digest`, `reference` and `manifest` are the types; `upload` takes uploads in, `files` holds the
//! files of blobs, `store` is the SQL. `store::put` stores a manifest with its tag by `push::put`,
//! which sets off triggers, syncs and retention. `push` pushes an image from inside the program,
//! `copy` copies one to another repository, `describe` completes the rows of earlier versions,
//! `collect` removes unreferenced blobs, `sample` generates a small image, `error` has the refusals.
//! Tags belong to the chapter `tag`.

mod collect;
mod copy;
mod describe;
mod digest;
mod error;
mod files;
mod manifest;
mod push;
mod reference;
mod sample;
pub mod store;
mod upload;

pub use collect::Collector;
pub use copy::copy_image;
pub use describe::describe_stored;
pub use digest::Digest;
pub use error::ImageError;
#[cfg(test)]
pub(crate) use files::testing;
pub use files::{Ending, Files, Folders};
pub use manifest::{MAX_MANIFEST_SIZE, Manifest, MediaType};
pub use push::{Pusher, repository_for_push};
pub use reference::{ImagePath, Reference};
pub use sample::SampleImage;
pub use upload::{Lots, Range, Session};
