//! Who is calling.
//!
//! `signature` checks `SDK-HMAC-SHA256`, `token` holds the issued tokens, `directory` the accounts
//! and users, `password` checks passwords, `extract` the extractors, also that for what concerns the instance as a whole. How a token is asked for is the business of `iam`.

mod directory;
mod extract;
mod password;
mod registry_login;
mod secret;
pub mod signature;
mod token;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Uri};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::excerpt::excerpt;
pub use directory::{
    Account, BUILTIN_ACCESS_KEY, BUILTIN_ACCOUNT, BUILTIN_PASSWORD, BUILTIN_PROJECT_ID,
    BUILTIN_SECRET_KEY, BUILTIN_TOKEN, BUILTIN_USER, Directory, DirectoryError, DirectoryTurn,
    NewAccount, NewUser, User, account_id, user_id,
};
pub use extract::Controller;
pub use password::{Password, PasswordHash, PasswordHasher};
pub use registry_login::long_term_password;
pub use secret::Secret;
pub use token::{
    StoredToken, TokenHash, Tokens, delete_of as delete_tokens_of, find_all as find_tokens,
};

/// How many characters of an access key that nobody has are repeated.
const MAX_ACCESS_KEY: usize = 64;

/// How strictly credentials are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// A valid token or signature is required.
    Strict,
    /// Any token or access key counts as the built-in admin.
    Any,
}

/// A request's caller, known and checked.
#[derive(Debug, Clone)]
pub struct Caller(std::sync::Arc<User>);

impl Caller {
    /// The user.
    pub fn user(&self) -> &std::sync::Arc<User> {
        &self.0
    }

    /// The user's name, as `creator_name` shows it.
    pub fn user_name(&self) -> &str {
        &self.0.name
    }

    /// Whether the user may do everything in the account.
    pub fn is_admin(&self) -> bool {
        self.0.admin
    }

    /// The user's id, where only what was granted may be seen; none for those who may see all.
    pub fn restricted_id(&self) -> Option<String> {
        (!self.0.admin).then(|| self.0.id.clone())
    }

    /// The id of the account that the user belongs to.
    pub fn account_id(&self) -> &str {
        &self.0.account.id
    }
}

/// What a request brings to prove who sent it.
#[derive(Debug)]
pub enum Credentials {
    /// `X-Auth-Token`.
    Token(Secret),
    /// `Authorization: SDK-HMAC-SHA256 …` and its relatives.
    Signature(signature::Authorization),
}

impl Credentials {
    /// Reads the headers. A token stands in for a signature where both are sent.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self> {
        if let Some(token) = headers.get("x-auth-token") {
            let token = token.to_str().unwrap_or_default();
            return Ok(Self::Token(Secret::new(token)));
        }
        let Some(authorization) = headers.get(AUTHORIZATION) else {
            return Err(Error::Unauthenticated("x-auth-token not found".to_owned()));
        };
        let text = authorization.to_str().unwrap_or_default();
        signature::Authorization::parse(text)
            .map(Self::Signature)
            .map_err(Error::Unauthenticated)
    }
}

/// Who sent a request, as far as its head tells.
#[derive(Debug)]
pub enum Claim {
    Known(Caller),
    /// This one, if the signature says so, which takes the body.
    Signed {
        /// The signature.
        authorization: signature::Authorization,
        /// Whose access key it names.
        user: std::sync::Arc<User>,
    },
}

/// Knows the callers of an instance.
#[derive(Debug, Clone, Copy)]
pub struct Authenticator<'a> {
    /// How strictly credentials are checked.
    pub mode: Mode,
    /// Accounts and users.
    pub directory: &'a Directory,
    /// Tokens that IAM issued.
    pub tokens: &'a Tokens,
    /// The time.
    pub clock: &'a Clock,
}

impl Authenticator<'_> {
    /// Finds out who a request says has sent it, or refuses it as the gateway does. Most of what
    /// can be wrong is found here, before anything of the body is read.
    pub fn identify(&self, headers: &HeaderMap) -> Result<Claim> {
        let credentials = Credentials::from_headers(headers)?;
        let known = |user| Claim::Known(Caller(user));
        if self.mode == Mode::Any {
            let admin = self.directory.builtin_admin();
            let nobody = || Error::Unauthenticated("no built-in account".to_owned());
            return admin.map(known).ok_or_else(nobody);
        }
        match credentials {
            Credentials::Token(token) => {
                let hash = TokenHash::of(&token);
                match self.directory.by_token(&hash) {
                    Some(user) => Ok(known(user)),
                    None => self.tokens.user(&hash, self.clock.now()).map(known),
                }
            }
            Credentials::Signature(authorization) => {
                let refused = Error::Unauthenticated;
                let access_key = authorization.access_key();
                let user = self.directory.by_access_key(access_key).ok_or_else(|| {
                    let access_key = excerpt(access_key, MAX_ACCESS_KEY);
                    refused(format!(
                        "Get secretKey failed,ak:{access_key},err:ak not exist"
                    ))
                })?;
                authorization
                    .check_head(headers, Clock::real_now())
                    .map_err(refused)?;
                Ok(Claim::Signed {
                    authorization,
                    user,
                })
            }
        }
    }
}

impl Claim {
    /// Who sent the request that is made of these.
    pub fn prove(
        self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Caller> {
        let (authorization, user) = match self {
            Self::Known(caller) => return Ok(caller),
            Self::Signed {
                authorization,
                user,
            } => (authorization, user),
        };
        let request = signature::SignedRequest {
            method: method.as_str(),
            path: uri.path(),
            query: uri.query().unwrap_or_default(),
            headers,
            body,
        };
        let secret = user.secret_key.as_ref().map_or("", Secret::expose);
        authorization
            .verify(&request, secret, Clock::real_now())
            .map_err(Error::Unauthenticated)?;
        Ok(Caller(user))
    }
}
