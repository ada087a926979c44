//! `/_emulator/reset`: back to the start, or on to another seed.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use bytes::Bytes;
use http::{Method, StatusCode};
use sqlx::SqliteConnection;
use tracing::warn;

use crate::app::{AppState, Routes};
use crate::auth::{Controller, Directory, Mode};
use crate::db::Write;
use crate::error::{Error, Result};
use crate::http::{Operation, OperationDoc, YAML};
use crate::registry::token::store::renew_signing_key;
use crate::seed::{self, Reset, Seed};
use crate::world::WorldId;

const RESET: &str = "/_emulator/reset";

/// The longest seed that can be posted, in bytes: that of some 50,000 triggers.
const LARGEST_SEED: usize = 16 * 1024 * 1024;

/// The operation that resets the instance.
pub(super) fn routes() -> Routes {
    let operation = Operation::new("EmulatorReset", Method::POST, RESET)
        .alone()
        .with_body_up_to(LARGEST_SEED);
    Routes::of("Emulator").route(operation, reset, reset_doc)
}

fn reset_doc() -> OperationDoc {
    OperationDoc::new("Returns the instance to the state of a fresh start.")
        .remarks(
            "With a seed as its body (YAML or JSON), to the state that the seed describes, which \
             later resets without a body return to as well. An empty body, or `{}`, is none. A seed \
             that breaks a rule changes nothing.",
        )
        .may_take(&[YAML, "application/json"])
        .answers_nothing()
        .refuses([Error::invalid("seed", "")])
        .needs_control()
}

/// Forgets everything but the seed, issued tokens and images included, in one transaction; before,
/// it takes the clock back to the real time and removes all faults. Which requests there were is
/// remembered.
async fn reset(
    State(app): State<AppState>,
    _: Controller,
    Extension(known_in): Extension<WorldId>,
    body: Bytes,
) -> Result<StatusCode> {
    let reset = reset_to(app, known_in, body).await;
    reset.map(|()| StatusCode::NO_CONTENT)
}

/// Does it, for somebody who was known in a world.
pub(crate) async fn reset_to(app: AppState, known_in: WorldId, body: Bytes) -> Result<()> {
    let reset = async move {
        let posted = read_posted(&app, body).await?;
        let departure = app.world.leave(known_in).await?;
        app.clock.reset();
        app.faults.clear();
        let users = app.directory.turn().await;
        let seed = match &posted {
            Some((_, seed)) => Arc::clone(seed),
            None => app.world.seed(),
        };
        let registry = app.regions.seed_registry().to_owned();
        let reset = Reset::to(Arc::clone(&seed), registry, app.clock.now());
        let unused = app.db.write(ResetWithTokens(reset)).await?;
        // After the commit: with a user of now, nothing that was kept before is current.
        match posted {
            None => {
                users.clear();
                for user in &seed.users {
                    if let Some(account) = app.directory.account_with_id(user.account_id()) {
                        users.put(user.to_user(&account));
                    }
                }
            }
            Some((directory, _)) => {
                users.replace(directory);
                app.engine.replace_real_clusters(seed.real_clusters());
                departure.to(seed);
                app.warn_of_known_keys();
            }
        }
        app.tokens.clear();
        drop(users);
        let reloaded = app.registry.key.reload(app.db.lookups()).await;
        app.registry.files.forget_all();
        app.registry.files.remove(unused).await;
        drop(departure);
        reloaded
    };
    // To its end, even where the client does not wait for it.
    tokio::spawn(reset).await.map_err(Error::internal)?
}

/// The seed of a body, if it has one. `{}` is what clients send that must send something.
async fn read_posted(app: &AppState, body: Bytes) -> Result<Option<(Directory, Arc<Seed>)>> {
    if matches!(body.trim_ascii(), b"" | b"{}") {
        return Ok(None);
    }
    let reader = Arc::clone(app);
    let read = move || {
        let home = reader.regions.home_name();
        let wrong = |rule: String| Error::invalid("seed", rule);
        let text = std::str::from_utf8(&body).map_err(|_| wrong("must be UTF-8".to_owned()))?;
        seed::read_posted(text, home, reader.world.first_seed())
            .map_err(|error| wrong(error.in_no_file()))
    };
    // A large one takes a while.
    let read = tokio::task::spawn_blocking(read).await;
    let (directory, seed) = read.map_err(Error::internal)??;
    if app.auth == Mode::Any && directory.builtin_admin().is_none() {
        let rule = "builtin_account: must not be false: the instance runs with --auth any, which \
                    makes everyone the built-in user";
        return Err(Error::invalid("seed", rule));
    }
    for warning in seed.warnings() {
        warn!("{warning}");
    }
    Ok(Some((directory, Arc::new(seed))))
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
    use std::sync::Arc;

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
