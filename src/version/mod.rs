//! Versions of the API (API reference, version management): there is one, which holds no state.
//!
//! `api` is their HTTP.

mod api;

use crate::error::{Error, Result};

pub use api::routes;

/// A version of the API.
#[derive(Debug)]
struct Version {
    id: &'static str,
    status: &'static str,
    updated: &'static str,
    /// The newest and the oldest of its microversions.
    newest: &'static str,
    oldest: &'static str,
}

/// The only version.
const V2: Version = Version {
    id: "v2",
    status: "CURRENT",
    updated: "2020-07-09T00:00:00Z",
    newest: "2.26",
    oldest: "2.0",
};

impl Version {
    /// The version with this id.
    fn find(id: &str) -> Result<Self> {
        if id == V2.id { Ok(V2) } else { Err(only_v2()) }
    }
}

/// The refusal of all other versions.
fn only_v2() -> Error {
    Error::NoSuchApi("the only version is v2".to_owned())
}
