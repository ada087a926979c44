//! What a login that is refused was to be: whom its user name means, and what its password is
//! instead. The log tells it, and clients are told nothing of it.

use std::sync::Arc;

use crate::auth::{
    Authenticator, Directory, PasswordHasher, Secret, TokenHash, User, long_term_password,
};
use crate::error::Result;
use crate::nearest::nearest;

/// How many users are looked at.
const MOST_USERS: usize = 1000;

/// Whom a user name without an access key of anybody means, as the end of a sentence; nothing where
/// that cannot be told.
pub(super) fn user(directory: &Directory, name: &str) -> String {
    let users: Vec<_> = users(directory).collect();
    if let Some((first, rest)) = name.split_once('@')
        && directory.by_access_key(first).is_some()
    {
        return format!("; the access key comes after the @: {rest}@{first}");
    }
    let last = name.rsplit(['@', '/', '\\']).next().unwrap_or_default();
    if let Some(user) = users.iter().find(|user| user.name == last) {
        let told = told(user);
        return match &user.access_key {
            Some(access_key) => format!("; {told} logs in as PROJECT@{access_key}"),
            None => format!("; {told} has no access key, so only a temporary login"),
        };
    }
    let keys = users.iter().filter_map(|user| user.access_key.as_deref());
    match nearest(last, keys) {
        Some(access_key) => format!("; did you mean PROJECT@{access_key}?"),
        None => String::new(),
    }
}

/// Whose login it is, and what the wrong password is instead, where that can be told; never the
/// password itself.
pub(super) async fn password(
    callers: Authenticator<'_>,
    passwords: &PasswordHasher,
    user: &User,
    given: &Secret,
) -> Result<String> {
    let (access_key, secret_key) = (user.access_key.as_deref(), user.secret_key.as_ref());
    let expected = access_key.zip(secret_key);
    let expected = expected.map(|(key, secret)| Secret::new(long_term_password(key, secret)));
    let is_expected = |text: &str| expected.as_ref().is_some_and(|one| one.matches(text));
    let text = given.expose();
    let hash = TokenHash::of(given);
    let is_token = || {
        callers.directory.by_token(&hash).is_some()
            || callers.tokens.user(&hash, callers.clock.now()).is_ok()
    };
    let instead = if secret_key.is_some_and(|secret_key| secret_key.matches(text)) {
        ": it is the secret key itself, not the password that is derived from it"
    } else if access_key == Some(text) {
        ": it is the access key"
    } else if is_expected(text.trim()) {
        ": there is white space around it"
    } else if is_expected(&text.to_ascii_lowercase()) {
        ": it has lower-case letters only"
    } else if user.password.is_some() && passwords.matches(user.password.as_ref(), given).await? {
        ": it is the user's password for IAM"
    } else if is_token() {
        ": it is a token of IAM"
    } else {
        ""
    };
    Ok(format!("{instead} ({})", told(user)))
}

/// Users of all accounts, not too many.
fn users(directory: &Directory) -> impl Iterator<Item = Arc<User>> {
    let accounts = directory.accounts().into_iter();
    accounts
        .flat_map(|account| directory.users_of(&account))
        .take(MOST_USERS)
}

fn told(user: &User) -> String {
    format!(
        "the user {} of the account {}",
        user.name, user.account.name
    )
}
