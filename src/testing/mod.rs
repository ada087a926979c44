//! The emulator inside a test in Rust.
//!
//! [`Emulator::builder`] starts one that belongs to the test: on a free port, with its data in a
//! temporary folder, without output and without state of the whole process, so that any number can
//! run at once. It ends when it is dropped, which also removes its folder, or with
//! [`Emulator::stop`], which lets running requests finish first.
//!
//! The program under test gets [`Emulator::url`], [`Emulator::registry`], [`Emulator::token`] or
//! the variables of [`Emulator::env`]. The test itself needs no client: [`Emulator::push`],
//! [`Emulator::wait`], [`Emulator::wait_healthy`], [`Emulator::assert_fired`], [`Emulator::assert_not_fired`],
//! [`Emulator::requests`], [`Emulator::fault`], [`Emulator::advance`], [`Emulator::reset`],
//! [`Emulator::save`] and [`Emulator::load`] need no credentials, are not recorded as requests, and no fault applies to them. They are about the
//! home region.

mod builder;
mod error;
mod fault;
mod image;
mod push;
mod record;
mod requests;

pub use builder::Builder;
pub use error::Error;
pub use fault::Fault;
pub use push::{Firing, Outcome};
pub use requests::{Request, Requests};

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::SignedDuration;

use crate::auth::BUILTIN_TOKEN;
use crate::client_variables::client_variables;
use crate::control::{Move, load_state, move_clock, reset_to, save_state};
use crate::data_folder::PlacedFile;
use crate::emulator::Emulator;

impl Emulator {
    /// Prepares an instance for a test.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The address of the registry, `host:port`, as it stands before the name of an image.
    pub fn registry(&self) -> String {
        let home = self.registries().next();
        home.map(|(_, authority)| authority).unwrap_or_default()
    }

    /// The token of the built-in administrator for `X-Auth-Token`; none if the seed leaves out the
    /// built-in account.
    pub fn token(&self) -> Option<&'static str> {
        self.has_builtin_account().then_some(BUILTIN_TOKEN)
    }

    /// The variables that point clients at this instance, as `swr-emulator env` prints them: the
    /// address, the registry, the keys of the built-in administrator, if there is one, and the address
    /// of each region.
    pub fn env(&self) -> Vec<(String, String)> {
        let mut variables: Vec<(String, String)> = Vec::new();
        for (region, authority) in self.registries() {
            let of_region = client_variables(&authority, region, self.has_builtin_account());
            for (name, value) in of_region {
                // What all regions share is the home region's.
                if variables.iter().all(|(known, _)| *known != name) {
                    variables.push((name, value));
                }
            }
        }
        variables
    }

    /// Moves the instance's time forward. Whatever has become due by that, such as a retention rule, is
    /// done once this returns.
    pub async fn advance(&self, by: Duration) -> Result<(), Error> {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        Ok(move_clock(self.app(), Move::Advance(by)).await?)
    }

    /// Returns the instance to the state of its start, the clock and faults included. Recorded
    /// requests stay.
    pub async fn reset(&self) -> Result<(), Error> {
        self.reset_to("").await
    }

    /// Resets the instance to the state of a seed, which later resets return to as well. The seed obeys
    /// the rules of one that is posted to `/_emulator/reset`; if it breaks one, nothing changes.
    pub async fn reset_to(&self, seed: &str) -> Result<(), Error> {
        let app = self.app();
        let seed = Bytes::copy_from_slice(seed.as_bytes());
        Ok(reset_to(Arc::clone(app), app.world.id(), seed).await?)
    }

    /// Saves the whole state in a file, with images and all secrets, for its owner only.
    /// [`Config::from`](crate::Config::from) starts another instance from it.
    pub async fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let unwritable =
            |error| Error::Refused(format!("cannot write {}: {error}", path.display()));
        let app = self.app();
        let _stay = app.world.stay().await;
        let mut saved = save_state(app).await?;
        let mut file = PlacedFile::beside(path).map_err(unwritable)?;
        std::io::copy(&mut saved.file, &mut file).map_err(unwritable)?;
        file.place().map_err(unwritable)
    }

    /// Replaces the whole state by a saved one, which later resets return to as well. If the file
    /// breaks a rule, nothing changes.
    pub async fn load(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let unreadable = |error| Error::Refused(format!("cannot read {}: {error}", path.display()));
        let file = File::open(path).map_err(unreadable)?;
        let app = self.app();
        Ok(load_state(Arc::clone(app), app.world.id(), file).await?)
    }
}
