//! The bearer tokens of the registry: JWTs that say who may do what with which repository of which
//! region for a quarter of an hour. What one grants is looked up again when it is used. A reset,
//! or a clock that is moved back, creates a new key and so invalidates all tokens.

pub mod store;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::access::Actions;
use crate::clock::Timestamp;
use crate::db::Readers;
use crate::error::{Error, Result};
use crate::image::ImagePath;

/// How long a token is valid, in seconds.
pub const LIFETIME: i64 = 15 * 60;
/// The registry's name in the token dance (seen on the live service).
pub const SERVICE: &str = "dockyard";
const ISSUER: &str = "swr-emulator";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    /// The user's id; empty for nobody.
    pub sub: String,
    iat: i64,
    exp: i64,
    region: String,
    access: Vec<Grant>,
}

/// What a token allows with one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    r#type: String,
    name: String,
    actions: Vec<String>,
}

impl Grant {
    /// The grant of some actions on a repository.
    pub fn new(path: &ImagePath, actions: Actions) -> Self {
        Self {
            r#type: "repository".to_owned(),
            name: path.to_string(),
            actions: actions.names().map(str::to_owned).collect(),
        }
    }
}

impl Claims {
    /// A token's content, for a user or for nobody.
    pub fn new(user_id: Option<&str>, region: &str, access: Vec<Grant>, now: Timestamp) -> Self {
        let now = now.as_seconds();
        Self {
            iss: ISSUER.to_owned(),
            aud: SERVICE.to_owned(),
            sub: user_id.unwrap_or_default().to_owned(),
            iat: now,
            exp: now + LIFETIME,
            region: region.to_owned(),
            access,
        }
    }

    /// Whether the token allows all of these actions with a repository.
    pub fn allows(&self, path: &ImagePath, needed: Actions) -> bool {
        let name = path.to_string();
        let granted: Vec<_> = self
            .access
            .iter()
            .filter(|grant| grant.r#type == "repository" && grant.name == name)
            .flat_map(|grant| &grant.actions)
            .collect();
        needed
            .names()
            .all(|action| granted.iter().any(|granted| *granted == action))
    }
}

/// The key that signs and checks tokens, one for each data folder.
pub struct SigningKey {
    keys: RwLock<Keys>,
    /// Held while it is read anew, so that the newest one stays.
    reloading: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Keys {
    fn new(key: &[u8]) -> Self {
        Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
        }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

impl SigningKey {
    /// The key of a data folder.
    pub fn new(key: &[u8]) -> Self {
        Self {
            keys: RwLock::new(Keys::new(key)),
            reloading: tokio::sync::Mutex::default(),
        }
    }

    /// Takes the key that the database has by now.
    pub async fn reload(&self, db: &Readers) -> Result<()> {
        let _turn = self.reloading.lock().await;
        let key = store::signing_key(db).await?;
        *self.keys.write() = Keys::new(&key);
        Ok(())
    }

    fn keys(&self) -> Keys {
        let keys = self.keys.read();
        keys.clone()
    }

    /// Writes a token.
    pub fn sign(&self, claims: &Claims) -> Result<String> {
        let header = Header::new(Algorithm::HS256);
        jsonwebtoken::encode(&header, claims, &self.keys().encoding).map_err(Error::internal)
    }

    /// Reads a token; none when it is not ours, not of this region, or not of now.
    pub fn verify(&self, token: &str, region: &str, now: Timestamp) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[SERVICE]);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        // The library would ask the machine's clock; tokens age by the emulator's.
        validation.validate_exp = false;
        let claims: Claims = jsonwebtoken::decode(token, &self.keys().decoding, &validation)
            .ok()?
            .claims;
        // One that is issued later is of a clock that a restart put back.
        let is_of_now = (claims.iat..claims.exp).contains(&now.as_seconds());
        (is_of_now && claims.region == region).then_some(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text).expect("a legal name")
    }

    #[test]
    fn a_token_is_read_by_its_key_until_it_expires() {
        let key = SigningKey::new(&[1; 32]);
        let now = Clock::default().now();
        let grants = vec![Grant::new(&path("g/a"), Actions::PULL)];
        let claims = Claims::new(Some("u"), "r1", grants, now);
        let token = key.sign(&claims).expect("signed");

        assert_eq!(key.verify(&token, "r1", now), Some(claims));
        assert_eq!(key.verify(&token, "r2", now), None);
        assert_eq!(key.verify(&token, "r1", now.plus_hours(1)), None);
        assert_eq!(key.verify(&token, "r1", now.plus_seconds(-1)), None);
        assert_eq!(SigningKey::new(&[2; 32]).verify(&token, "r1", now), None);
        let (front, _) = token.rsplit_once('.').expect("three parts");
        assert_eq!(key.verify(&format!("{front}."), "r1", now), None);
    }

    #[test]
    fn a_token_of_another_algorithm_issuer_or_audience_is_none() {
        let key = SigningKey::new(&[1; 32]);
        let now = Clock::default().now();
        let claims = Claims::new(Some("u"), "r1", Vec::new(), now);
        let sign = |algorithm, claims: &Claims| {
            let header = Header::new(algorithm);
            jsonwebtoken::encode(&header, claims, &key.keys().encoding).expect("signed")
        };
        let verify = |token: &str| key.verify(token, "r1", now);
        assert!(verify(&sign(Algorithm::HS256, &claims)).is_some());
        assert_eq!(verify(&sign(Algorithm::HS512, &claims)), None);
        let other = Claims {
            iss: "other".to_owned(),
            ..claims.clone()
        };
        assert_eq!(verify(&sign(Algorithm::HS256, &other)), None);
        let other = Claims {
            aud: "other".to_owned(),
            ..claims
        };
        assert_eq!(verify(&sign(Algorithm::HS256, &other)), None);
    }

    #[test]
    fn a_token_allows_what_it_grants_and_no_more() {
        let grants = vec![
            Grant::new(&path("g/a"), Actions::PULL),
            Grant::new(&path("g/b"), Actions::ALL),
        ];
        let claims = Claims::new(None, "r1", grants, Clock::default().now());
        assert!(claims.allows(&path("g/a"), Actions::PULL));
        assert!(!claims.allows(&path("g/a"), Actions::PUSH));
        assert!(claims.allows(&path("g/b"), Actions::ALL));
        assert!(!claims.allows(&path("g/c"), Actions::PULL));
    }
}
