//! The world that an instance plays: the seed or snapshot that a reset goes back to, and which
//! requests are served in it. A posted seed and a loaded snapshot begin another world, with other
//! accounts, users and clusters.
//!
//! Who finds out who is calling, or does something for a caller, stays in the world meanwhile
//! ([`World::stay`]); whoever begins another one waits until nobody does, and nobody comes in
//! before it is done ([`World::leave`]). So a request sees one world: a caller who was known in
//! the world before is refused, whatever the user is allowed in this one. What was found by its
//! number needs no stay: no number is used twice, so it is gone with its world.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::sync::{RwLock as Gate, RwLockReadGuard, RwLockWriteGuard};

use crate::error::{Error, Result};
use crate::seed::Seed;
use crate::snapshot::Snapshot;

/// The answer to a request whose caller was known in a world that is gone.
pub const ANOTHER_WORLD: Error =
    Error::Unavailable("The instance was reset to another seed or snapshot meanwhile");

/// Which of its worlds an instance plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorldId(u64);

/// What a reset goes back to.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The accounts and the clusters that are not simulated; where there is no snapshot, all else
    /// too.
    pub seed: Arc<Seed>,
    /// What the database held.
    pub snapshot: Option<Arc<Snapshot>>,
}

/// The world of an instance.
#[derive(Debug)]
pub struct World {
    /// The seed of the start, which decides what a posted seed may name.
    first: Arc<Seed>,
    origin: RwLock<Origin>,
    id: AtomicU64,
    gate: Gate<()>,
}

impl Default for World {
    fn default() -> Self {
        Self::new(Origin::default())
    }
}

impl World {
    /// The one that an instance starts with.
    pub fn new(origin: Origin) -> Self {
        Self {
            first: Arc::clone(&origin.seed),
            origin: RwLock::new(origin),
            id: AtomicU64::new(0),
            gate: Gate::new(()),
        }
    }

    /// The seed of the start.
    pub fn first_seed(&self) -> &Seed {
        &self.first
    }

    /// What a reset goes back to.
    pub fn origin(&self) -> Origin {
        self.origin.read().clone()
    }

    /// Which world it is now, to be asked before the caller of a request is looked up.
    pub fn id(&self) -> WorldId {
        WorldId(self.id.load(Ordering::SeqCst))
    }

    /// Lets no other world begin for as long as the value lives.
    pub async fn stay(&self) -> Stay<'_> {
        Stay {
            _held: self.gate.read().await,
        }
    }

    /// The same for somebody who was known in a world, if it is still that one.
    pub async fn stay_in(&self, id: WorldId) -> Result<Stay<'_>> {
        let stay = self.stay().await;
        self.is_still(id)?;
        Ok(stay)
    }

    /// Refuses who was known in another world.
    pub fn is_still(&self, id: WorldId) -> Result<()> {
        if self.id() == id {
            Ok(())
        } else {
            Err(ANOTHER_WORLD)
        }
    }

    /// Waits until nobody stays, for somebody who was known in a world; nobody comes in for as long
    /// as the value lives.
    pub async fn leave(&self, id: WorldId) -> Result<Departure<'_>> {
        let alone = self.gate.write().await;
        self.is_still(id)?;
        Ok(Departure {
            world: self,
            _alone: alone,
        })
    }
}

/// That no other world begins.
#[derive(Debug)]
pub struct Stay<'a> {
    _held: RwLockReadGuard<'a, ()>,
}

/// That nobody is in the world.
#[derive(Debug)]
pub struct Departure<'a> {
    world: &'a World,
    _alone: RwLockWriteGuard<'a, ()>,
}

impl Departure<'_> {
    /// Another world begins, which goes back to this.
    pub fn to(&self, origin: Origin) {
        *self.world.origin.write() = origin;
        self.world.id.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_world_is_left_when_nobody_stays_and_who_was_known_in_it_is_refused() {
        let world = World::default();
        let known_in = world.id();
        let stay = world.stay_in(known_in).await.expect("it is that one");
        assert!(world.leave(known_in).now_or_never().is_none());
        drop(stay);
        let departure = world.leave(known_in).await.expect("nobody stays");
        assert!(world.stay().now_or_never().is_none());
        departure.to(Origin::default());
        drop(departure);
        assert!(world.stay_in(known_in).await.is_err());
        assert!(world.leave(known_in).await.is_err());
        assert!(world.stay_in(world.id()).await.is_ok());
    }
}
