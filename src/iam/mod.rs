//! The parts of IAM that clients ask for by themselves: tokens, projects, accounts and users, as far as the
//! emulator has them. The paths of IAM and SWR do not collide, so one port serves both.
//!
//! `api` puts its operations together: `token` issues tokens; `identity` lists; `user` makes, shows, changes and deletes users.

mod api;
mod identity;
mod token;
mod user;

use sqlx::SqliteExecutor;
use tracing::warn;

use crate::auth::DirectoryTurn;
use crate::error::Result;

pub use api::routes;
pub use user::{MOST as MOST_USERS, MadeUser, insert_missing, read_seeded};

/// The users that were made in an earlier run.
#[derive(Debug, Default)]
pub struct StoredUsers(Vec<user::MadeUser>);

impl StoredUsers {
    /// All of them.
    pub async fn list(db: impl SqliteExecutor<'_>) -> Result<Self> {
        Ok(Self(user::store::list(db).await?))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &MadeUser> {
        self.0.iter()
    }

    /// Brings them into the directory, in the place of those that it has of the seed file. Those
    /// whose account or name the seed file gives away now wait until it does not any more.
    pub fn adopt(self, turn: &DirectoryTurn<'_>) {
        let directory = turn.directory();
        turn.clear();
        for made in self.0 {
            let account = directory.account_with_id(made.account_id());
            let free = account.filter(|account| {
                let mut users = directory.users_of(account);
                !users.any(|user| user.name == made.name() || user.id == made.id())
            });
            match free {
                Some(account) => drop(turn.put(made.to_user(&account))),
                None => warn!(
                    user.name = made.name(),
                    "The user `{}` cannot be used: the seed file does not have its account, or \
                     has a user of the same name or id",
                    made.name()
                ),
            }
        }
    }
}
