//! From one world to another: everything changes at once, or nothing does.

use std::sync::Arc;

use sqlx::SqliteConnection;

use crate::app::AppState;
use crate::auth::{Directory, Mode, find_tokens};
use crate::db::Write;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::iam::StoredUsers;
use crate::registry::token::store::renew_signing_key;
use crate::seed::Reset;
use crate::world::{Origin, WorldId};

/// Where an instance goes.
pub(super) enum Next {
    /// Back to what resets go back to.
    Start,
    /// To another world, with accounts and users of its own.
    Another(Box<Directory>, Origin),
}

impl Next {
    /// Another world, which was posted as `field`, unless the instance could not play it.
    pub(super) fn another(
        app: &AppState,
        field: &'static str,
        directory: Directory,
        origin: Origin,
    ) -> Result<Self> {
        if app.auth == Mode::Any && directory.builtin_admin().is_none() {
            let rule = "builtin_account: must not be false: the instance runs with --auth any, \
                        which makes everyone the built-in user";
            return Err(Error::invalid(field, rule));
        }
        Ok(Self::Another(Box::new(directory), origin))
    }
}

/// Goes there, for somebody who was known in a world, to its end, even where nobody waits for it.
pub(super) async fn go_to(app: AppState, known_in: WorldId, next: Next) -> Result<()> {
    let went = tokio::spawn(go(app, known_in, next)).await;
    went.map_err(Error::internal)?
}

async fn go(app: AppState, known_in: WorldId, next: Next) -> Result<()> {
    let departure = app.world.leave(known_in).await?;
    app.clock.reset();
    app.faults.clear();
    let users = app.directory.turn().await;
    let (directory, origin) = match next {
        Next::Start => (None, app.world.origin()),
        Next::Another(directory, origin) => (Some(directory), origin),
    };
    // Those that a snapshot brings are not new.
    let pushes = app.engine.hold_pushes().await;
    let unused = match &origin.snapshot {
        None => {
            let (seed, registry) = (Arc::clone(&origin.seed), app.regions.seed_registry());
            let reset = Reset::to(seed, registry.to_owned(), app.clock.now());
            app.db.write(ResetWithTokens(reset)).await?
        }
        Some(snapshot) => {
            let files = &app.registry.files;
            snapshot.restore(&app.db, files, &app.regions).await?
        }
    };
    let settle = async {
        // After the commit: with a user of now, nothing that was kept before is current.
        if let Some(directory) = directory {
            users.replace(*directory);
            app.engine
                .replace_real_clusters(origin.seed.real_clusters());
            departure.to(origin);
            app.warn_of_known_keys();
        }
        pushes.skip().await;
        StoredUsers::list(app.db.lookups()).await?.adopt(&users);
        let tokens = find_tokens(app.db.lookups()).await?;
        app.tokens.replace(tokens, &app.directory);
        drop(users);
        let reloaded = app.registry.key.reload(app.db.lookups()).await;
        app.registry.files.forget_all();
        app.registry.files.remove(unused).await;
        reloaded
    };
    let settled = settle.await;
    // Before anybody comes in: listeners look then whether they may stay.
    app.events.publish(|| Event::Reset);
    drop(departure);
    settled
}

/// Takes the database back to the seed, and makes a new key: the tokens of the registry end too.
#[derive(Debug)]
struct ResetWithTokens(Reset);

impl Write for ResetWithTokens {
    /// As that of [`Reset`].
    type Output = Vec<String>;
    const INVALIDATES_NAMES: bool = <Reset as Write>::INVALIDATES_NAMES;
    const WAKES_WORKERS: bool = <Reset as Write>::WAKES_WORKERS;
    const RELOADS_FIRINGS: bool = <Reset as Write>::RELOADS_FIRINGS;

    async fn run(self, transaction: &mut SqliteConnection) -> Result<Vec<String>> {
        renew_signing_key(&mut *transaction).await?;
        self.0.run(transaction).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::db::testing::TestDb;
    use crate::registry::token::store::signing_key;

    #[tokio::test]
    async fn a_reset_makes_a_new_key() {
        let test = TestDb::seeded("organizations: []").await;
        let key = async || signing_key(test.db.lookups()).await.expect("read");
        let before = key().await;
        let seed = Arc::default();
        let reset = Reset::to(seed, String::new(), Clock::default().now());
        let files = test.db.write(ResetWithTokens(reset)).await;
        assert!(files.expect("reset").is_empty());
        assert_ne!(key().await, before);
    }
}
