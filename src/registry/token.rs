//! The bearer tokens of the registry: JWTs that say who may do what with which repository for a
//! quarter of an hour. What one grants is looked up again when it is used.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::access::Actions;
use super::reference::ImagePath;
use crate::clock::Moment;
use crate::error::{Error, Result};

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
    pub fn new(user_id: Option<&str>, access: Vec<Grant>, now: Moment) -> Self {
        let now = now.as_seconds();
        Self {
            iss: ISSUER.to_owned(),
            aud: SERVICE.to_owned(),
            sub: user_id.unwrap_or_default().to_owned(),
            iat: now,
            exp: now + LIFETIME,
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
    encoding: EncodingKey,
    decoding: DecodingKey,
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
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
        }
    }

    /// Writes a token.
    pub fn sign(&self, claims: &Claims) -> Result<String> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding)
            .map_err(Error::internal)
    }

    /// Reads a token; none when it is not ours, or not of now.
    pub fn verify(&self, token: &str, now: Moment) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[SERVICE]);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        // The library would ask the machine's clock; tokens age by the emulator's.
        validation.validate_exp = false;
        let claims: Claims = jsonwebtoken::decode(token, &self.decoding, &validation)
            .ok()?
            .claims;
        (claims.exp > now.as_seconds()).then_some(claims)
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
        let claims = Claims::new(
            Some("u"),
            vec![Grant::new(&path("g/a"), Actions::PULL)],
            now,
        );
        let token = key.sign(&claims).expect("signed");

        assert_eq!(key.verify(&token, now), Some(claims));
        assert_eq!(key.verify(&token, now.plus_hours(1)), None);
        assert_eq!(SigningKey::new(&[2; 32]).verify(&token, now), None);
        let (front, _) = token.rsplit_once('.').expect("three parts");
        assert_eq!(key.verify(&format!("{front}."), now), None);
    }

    #[test]
    fn a_token_of_another_algorithm_issuer_or_audience_is_none() {
        let key = SigningKey::new(&[1; 32]);
        let now = Clock::default().now();
        let claims = Claims::new(Some("u"), Vec::new(), now);
        let sign = |algorithm, claims: &Claims| {
            jsonwebtoken::encode(&Header::new(algorithm), claims, &key.encoding).expect("signed")
        };
        assert!(key.verify(&sign(Algorithm::HS256, &claims), now).is_some());
        assert_eq!(key.verify(&sign(Algorithm::HS512, &claims), now), None);
        let other = Claims {
            iss: "other".to_owned(),
            ..claims.clone()
        };
        assert_eq!(key.verify(&sign(Algorithm::HS256, &other), now), None);
        let other = Claims {
            aud: "other".to_owned(),
            ..claims
        };
        assert_eq!(key.verify(&sign(Algorithm::HS256, &other), now), None);
    }

    #[test]
    fn a_token_allows_what_it_grants_and_no_more() {
        let grants = vec![
            Grant::new(&path("g/a"), Actions::PULL),
            Grant::new(&path("g/b"), Actions::ALL),
        ];
        let claims = Claims::new(None, grants, Clock::default().now());
        assert!(claims.allows(&path("g/a"), Actions::PULL));
        assert!(!claims.allows(&path("g/a"), Actions::PUSH));
        assert!(claims.allows(&path("g/b"), Actions::ALL));
        assert!(!claims.allows(&path("g/c"), Actions::PULL));
    }
}
