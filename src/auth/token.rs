//! Tokens that IAM issued: 24 hours valid, kept by their hash, known in memory so that checking
//! one costs no read of the database.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use sha2::{Digest, Sha256};
use sqlx::{SqliteConnection, SqliteExecutor};

use super::directory::{Directory, User};
use super::secret::Secret;
use crate::clock::Timestamp;
use crate::db::Write;
use crate::error::{Error, Result};

/// How long a token is valid, in hours (IAM: obtaining a token).
const LIFETIME_HOURS: i64 = 24;

/// The SHA-256 of a token's text. Looking one up by it tells nothing about the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &Secret) -> Self {
        Self(Sha256::digest(token.expose()).into())
    }
}

#[derive(Debug)]
struct Issued {
    user: Arc<User>,
    expires_at: Timestamp,
}

/// A token as it is kept: hash, user id, expiry.
pub type StoredToken = (TokenHash, String, Timestamp);

/// The issued tokens of an instance.
#[derive(Debug, Default)]
pub struct Tokens(RwLock<HashMap<TokenHash, Issued>>);

impl Tokens {
    /// The tokens of an earlier run whose users still may use them.
    pub fn restore(stored: Vec<StoredToken>, directory: &Directory) -> Self {
        let tokens = Self::default();
        tokens.replace(stored, directory);
        tokens
    }

    /// Puts stored tokens, of those whose users may use them, in the place of all that there are.
    pub fn replace(&self, stored: Vec<StoredToken>, directory: &Directory) {
        let known = stored
            .into_iter()
            .filter_map(|(hash, user_id, expires_at)| {
                let user = directory.enabled_user(&user_id)?;
                Some((hash, Issued { user, expires_at }))
            });
        *self.0.write() = known.collect();
    }

    /// A new token for a user, and the write that keeps it.
    pub fn issue(user: &Arc<User>, now: Timestamp) -> Result<(Secret, IssueToken)> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(Error::internal)?;
        let token = Secret::new(hex::encode(random));
        let write = IssueToken {
            hash: TokenHash::of(&token),
            user: Arc::clone(user),
            now,
            expires_at: now.plus_hours(LIFETIME_HOURS),
        };
        Ok((token, write))
    }

    /// Makes a token known that is on disk by now.
    pub fn remember(
        &self,
        hash: TokenHash,
        user: &Arc<User>,
        now: Timestamp,
        expires_at: Timestamp,
    ) {
        let user = Arc::clone(user);
        let mut tokens = self.0.write();
        tokens.retain(|_, issued| issued.expires_at > now);
        tokens.insert(hash, Issued { user, expires_at });
    }

    /// The user whom a token was issued to.
    pub fn user(&self, hash: &TokenHash, now: Timestamp) -> Result<Arc<User>> {
        let tokens = self.0.read();
        match tokens.get(hash) {
            Some(issued) if issued.expires_at > now => Ok(Arc::clone(&issued.user)),
            Some(issued) => Err(Error::Unauthenticated(format!(
                "token expires, expires_at: {}",
                issued.expires_at.with_microseconds()
            ))),
            None => Err(Error::Unauthenticated("decrypt token fail".to_owned())),
        }
    }

    /// Lets the tokens of a user be of what the user is now.
    pub fn renew(&self, user: &Arc<User>) {
        let mut tokens = self.0.write();
        for issued in tokens.values_mut().filter(|issued| issued.user == *user) {
            issued.user = Arc::clone(user);
        }
    }

    /// Forgets those of a user.
    pub fn forget(&self, user_id: &str) {
        let mut tokens = self.0.write();
        tokens.retain(|_, issued| issued.user.id != user_id);
    }
}

/// Keeps an issued token, and lets go of those that expired.
#[derive(Debug)]
pub struct IssueToken {
    /// The token's hash.
    pub hash: TokenHash,
    /// Whom it was issued to.
    pub user: Arc<User>,
    pub now: Timestamp,
    /// Until when it is valid.
    pub expires_at: Timestamp,
}

impl Write for IssueToken {
    type Output = ();

    async fn run(self, transaction: &mut SqliteConnection) -> Result<()> {
        sqlx::query("DELETE FROM tokens WHERE expires_at <= ?")
            .bind(self.now)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("INSERT INTO tokens (hash, user_id, expires_at) VALUES (?, ?, ?)")
            .bind(self.hash.0.as_slice())
            .bind(&self.user.id)
            .bind(self.expires_at)
            .execute(transaction)
            .await?;
        Ok(())
    }
}

/// Ends the tokens of a user.
pub async fn delete_of(db: impl SqliteExecutor<'_>, user_id: &str) -> Result<()> {
    sqlx::query("DELETE FROM tokens WHERE user_id = ?")
        .bind(user_id)
        .execute(db)
        .await?;
    Ok(())
}

/// All stored tokens.
pub async fn find_all(db: impl SqliteExecutor<'_>) -> Result<Vec<StoredToken>> {
    let rows: Vec<(Vec<u8>, String, Timestamp)> =
        sqlx::query_as("SELECT hash, user_id, expires_at FROM tokens")
            .fetch_all(db)
            .await?;
    rows.into_iter()
        .map(|(hash, user_id, expires_at)| {
            let hash = hash
                .try_into()
                .map_err(|_| Error::internal("a token's hash is not one"))?;
            Ok((TokenHash(hash), user_id, expires_at))
        })
        .collect()
}
