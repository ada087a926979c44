//! Passwords that log in. One of the seed file is compared as it stands there; of all others only
//! a salted, slow hash is kept, which is made on threads of its own, a few at once.

use std::sync::Arc;

use pbkdf2::pbkdf2_hmac_array;
use sha2::Sha512;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::secret::Secret;
use crate::error::{Error, Result};

/// How many rounds of PBKDF2 with HMAC-SHA-512 a new hash takes.
const ROUNDS: u32 = 210_000;
/// How many hashes are made at once.
const AT_ONCE: usize = 2;

/// What a user's password is checked against.
#[derive(Debug, Clone)]
pub enum Password {
    /// As the seed file has it.
    Plain(Secret),
    /// The hash of one that was set by an operation.
    Hashed(PasswordHash),
}

/// A salted hash of a password. Prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    /// Random, for this password only.
    pub salt: [u8; 16],
    /// How many rounds it took.
    pub rounds: u32,
    /// What came out.
    pub hash: [u8; 32],
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Makes and checks hashes.
#[derive(Debug)]
pub struct PasswordHasher(Arc<Semaphore>);

impl Default for PasswordHasher {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl PasswordHasher {
    /// A new hash of a password.
    pub async fn hash(&self, password: &Secret) -> Result<PasswordHash> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(Error::internal)?;
        let hash = self.derive(password, salt, ROUNDS).await?;
        Ok(PasswordHash {
            salt,
            rounds: ROUNDS,
            hash,
        })
    }

    /// Whether a password is the expected one. Where none is expected, the answer takes as long as
    /// for a user who was made by an operation.
    pub async fn matches(&self, expected: Option<&Password>, given: &Secret) -> Result<bool> {
        match expected {
            Some(Password::Plain(expected)) => Ok(expected.matches(given.expose())),
            Some(Password::Hashed(PasswordHash { salt, rounds, hash })) => {
                let derived = self.derive(given, *salt, *rounds).await?;
                Ok(derived.ct_eq(hash).into())
            }
            None => {
                self.derive(given, [0; 16], ROUNDS).await?;
                Ok(false)
            }
        }
    }

    async fn derive(&self, password: &Secret, salt: [u8; 16], rounds: u32) -> Result<[u8; 32]> {
        let turn = Arc::clone(&self.0).acquire_owned().await;
        let turn = turn.map_err(Error::internal)?;
        let password = password.clone();
        let work = move || {
            // Held to the end, also where nobody waits for it any more.
            let _turn = turn;
            pbkdf2_hmac_array::<Sha512, 32>(password.expose().as_bytes(), &salt, rounds)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_is_of_its_password_and_of_no_other() {
        let hasher = PasswordHasher::default();
        let secret = |text: &str| Secret::new(text);
        let hash = hasher.hash(&secret("right-1")).await.expect("made");
        let again = hasher.hash(&secret("right-1")).await.expect("made");
        assert_ne!(hash, again, "the salt differs");
        assert_eq!(format!("{hash:?}"), "***");
        let check = async |expected: Option<&Password>, given: &str, matches: bool| {
            let found = hasher.matches(expected, &secret(given)).await;
            assert_eq!(found.expect("checked"), matches, "{given}");
        };
        let hashed = Password::Hashed(hash);
        check(Some(&hashed), "right-1", true).await;
        check(Some(&hashed), "right-2", false).await;
        check(Some(&Password::Plain(secret("right-1"))), "right-1", true).await;
        check(Some(&Password::Plain(secret("right-1"))), "", false).await;
        check(None, "", false).await;
    }

    #[test]
    fn the_hash_is_the_known_one_of_pbkdf2() {
        // Computed with Python: hashlib.pbkdf2_hmac("sha512", b"password", b"salt" * 4, 1000, 32).
        let hash = pbkdf2_hmac_array::<Sha512, 32>(b"password", b"saltsaltsaltsalt", 1000);
        assert_eq!(
            hex::encode(hash),
            "ef5e6ba88af97573953e9061aaab2e825d37ef34f96d6253598999b4870af210"
        );
    }
}
