//! Images on disk: what they are made of, and how they come there and go. What clients of the
//! registry say by HTTP is in `registry`, of which nothing here knows.
//!
//! `digest`, `reference` and `manifest` have the words, `upload` takes what arrives, `files` holds
//! the files, `store` the SQL, `push` stores an image as a push does, `copy` gives one to another
//! repository, `describe` reads what an earlier version stored, `collect` removes what nothing
//! refers to, `sample` makes an image from nothing. Tags belong to the chapter `tag`.

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
pub use files::{Ending, Files};
pub use manifest::{MAX_MANIFEST_SIZE, Manifest, MediaType};
pub use push::{Pusher, repository_for_push};
pub use reference::{ImagePath, Reference};
pub use sample::SampleImage;
pub use upload::{Lots, Range, Session};
