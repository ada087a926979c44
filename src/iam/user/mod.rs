//! Users that are made, changed and deleted while the emulator runs (IAM, user management).
//!
//! `api` is their HTTP, `store` their SQL. `auth` knows of each what a login needs.

mod api;
pub(super) mod store;

use std::sync::Arc;

use serde_json::Value;

use crate::auth::{Account, Password, PasswordHash, Secret, User};
use crate::clock::Timestamp;
use crate::error::{Error, Result};

pub use api::read_seeded;
pub(super) use api::{UserView, routes};
pub use store::insert_missing;

/// How many users an account may have besides those of the seed file.
pub const MOST: usize = 10_000;
const ACCESS_MODES: [&str; 3] = ["default", "programmatic", "console"];
const MAX_NAME: usize = 64;
const PASSWORD: std::ops::RangeInclusive<usize> = 6..=32;

/// A user as it is kept.
#[derive(Debug, Clone)]
pub struct MadeUser {
    id: String,
    account_id: String,
    name: String,
    is_enabled: bool,
    password: Option<PasswordHash>,
    /// Whether the password is to be changed at the first login; shown only.
    pwd_status: bool,
    texts: Texts,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What is only shown; empty where nothing was said.
#[derive(Debug, Clone, Default)]
struct Texts {
    email: String,
    areacode: String,
    phone: String,
    xuser_id: String,
    xuser_type: String,
    access_mode: String,
    description: String,
}

impl MadeUser {
    /// One of whom nothing is said yet.
    fn new(id: String, account: &Account, name: String, now: Timestamp) -> Self {
        Self {
            id,
            account_id: account.id.clone(),
            name,
            is_enabled: true,
            password: None,
            pwd_status: false,
            texts: Texts {
                access_mode: ACCESS_MODES[0].to_owned(),
                ..Texts::default()
            },
            created_at: now,
            updated_at: now,
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn account_id(&self) -> &str {
        &self.account_id
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the seed file says of it besides its id and its name; no defaults.
    pub fn seeded_fields(&self) -> Vec<(&'static str, Value)> {
        let mut fields = Vec::new();
        if !self.is_enabled {
            fields.push(("enabled", false.into()));
        }
        if self.pwd_status {
            fields.push(("pwd_status", true.into()));
        }
        let texts = &self.texts;
        for (key, text, default) in [
            ("email", &texts.email, ""),
            ("areacode", &texts.areacode, ""),
            ("phone", &texts.phone, ""),
            ("xuser_id", &texts.xuser_id, ""),
            ("xuser_type", &texts.xuser_type, ""),
            ("access_mode", &texts.access_mode, ACCESS_MODES[0]),
            ("description", &texts.description, ""),
        ] {
            if text != default {
                fields.push((key, text.as_str().into()));
            }
        }
        fields
    }

    /// What a login needs of it.
    pub fn to_user(&self, account: &Arc<Account>) -> User {
        User {
            id: self.id.clone(),
            name: self.name.clone(),
            account: Arc::clone(account),
            admin: false,
            is_enabled: self.is_enabled,
            password: self.password.clone().map(Password::Hashed),
            access_key: None,
            secret_key: None,
            token: None,
        }
    }
}

/// What is said about a user; what is not said stays as it is.
#[derive(Debug, Default)]
struct Changes {
    name: Option<String>,
    password: Option<PasswordHash>,
    is_enabled: Option<bool>,
    pwd_status: Option<bool>,
    email: Option<String>,
    areacode: Option<String>,
    phone: Option<String>,
    xuser_id: Option<String>,
    xuser_type: Option<String>,
    access_mode: Option<String>,
    description: Option<String>,
}

impl Changes {
    /// Whether what the user logged in with ends.
    fn end_logins(&self) -> bool {
        self.password.is_some() || self.is_enabled == Some(false)
    }

    fn apply(self, user: &mut MadeUser, now: Timestamp) {
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        set(&mut user.name, self.name);
        set(&mut user.is_enabled, self.is_enabled);
        set(&mut user.pwd_status, self.pwd_status);
        user.password = self.password.or(user.password.take());
        let texts = &mut user.texts;
        set(&mut texts.email, self.email);
        set(&mut texts.areacode, self.areacode);
        set(&mut texts.phone, self.phone);
        set(&mut texts.xuser_id, self.xuser_id);
        set(&mut texts.xuser_type, self.xuser_type);
        set(&mut texts.access_mode, self.access_mode);
        set(&mut texts.description, self.description);
        user.updated_at = now;
    }
}

fn parse_name(text: &str) -> Result<String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b" -_.".contains(&byte);
    let begins_well = |byte: &u8| !byte.is_ascii_digit() && *byte != b' ';
    if text.len() > MAX_NAME
        || !text.bytes().all(legal)
        || !text.as_bytes().first().is_some_and(begins_well)
    {
        let rule = format!(
            "must have 1 to {MAX_NAME} letters, digits, spaces, hyphens, underscores and dots, and \
             not start with a digit or a space"
        );
        return Err(Error::invalid("name", rule));
    }
    Ok(text.to_owned())
}

fn parse_password(text: &str) -> Result<Secret> {
    let kinds = [
        text.chars().any(char::is_uppercase),
        text.chars().any(char::is_lowercase),
        text.chars().any(char::is_numeric),
        text.chars().any(|c| !c.is_alphanumeric()),
    ];
    let kinds = kinds.into_iter().filter(|kind| *kind).count();
    if !PASSWORD.contains(&text.chars().count()) || kinds < 2 || text.contains(char::is_control) {
        let (least, most) = (PASSWORD.start(), PASSWORD.end());
        let rule = format!(
            "must have {least} to {most} characters of at least two kinds: upper-case letters, \
             lower-case letters, digits, others"
        );
        return Err(Error::invalid("password", rule));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_follow_the_reference() {
        let name = |text: &str, accepted| assert_eq!(parse_name(text).is_ok(), accepted, "{text}");
        name("Ann B. c-d_e1", true);
        name(&"a".repeat(64), true);
        name(&"a".repeat(65), false);
        name("", false);
        name("1a", false);
        name(" a", false);
        name("ä", false);
        let password =
            |text: &str, accepted| assert_eq!(parse_password(text).is_ok(), accepted, "{text}");
        password("abc123", true);
        password("abcdefgh", false);
        password("a1", false);
        password(&"a1".repeat(16), true);
        password(&"a1".repeat(17), false);
        password("abc123\n", false);
    }
}
