//! Snapshots: the whole state of an instance in one file, which another instance can go on from.
//!
//! `archive` is the file's format. `save` makes one while the instance serves; `load` reads one,
//! checks it and puts it in the place of what an instance holds, with the SQL in `store`. `start`
//! begins an instance with one, `spool` is the folder where they are on their way.

mod archive;
mod load;
mod save;
mod spool;
mod start;
mod store;

pub use archive::SavedRegion;
pub use load::{LoadError, Snapshot};
pub use save::{Saved, save};
pub use spool::Spool;
pub use start::Opened;

/// The media type of a snapshot.
pub const MEDIA_TYPE: &str = "application/octet-stream";
