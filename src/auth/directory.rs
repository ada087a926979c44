//! The accounts and users of an instance: the built-in one and those of the seed file. They are
//! what the file says at this start; their secrets live in memory only.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::secret::Secret;
use super::token::TokenHash;

/// The name of the built-in account.
pub const BUILTIN_ACCOUNT: &str = "swr-emulator";
/// The name of its user.
pub const BUILTIN_USER: &str = "admin";
/// That user's password.
pub const BUILTIN_PASSWORD: &str = "swr-emulator";
/// That user's access key (AK).
pub const BUILTIN_ACCESS_KEY: &str = "SWREMULATOR000000001";
/// That user's secret key (SK).
pub const BUILTIN_SECRET_KEY: &str = "SwrEmulatorExampleSecretKey0000000000001";
/// That user's token, which never expires.
pub const BUILTIN_TOKEN: &str = "swr-emulator";
/// The id of the built-in account's project in every region, so that settings hold for all.
const BUILTIN_PROJECT_ID: &str = "00000000000000000000000000000001";

/// An account (IAM: domain).
#[derive(Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id, 32 hex digits.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl Account {
    /// The id of the account's project in a region; the project's name is the region's.
    pub fn project_id(&self, region: &str) -> String {
        if self.name == BUILTIN_ACCOUNT {
            BUILTIN_PROJECT_ID.to_owned()
        } else {
            derived_id("project", &[&self.id, region])
        }
    }
}

/// An IAM user.
#[derive(Debug)]
pub struct User {
    /// Its id, 32 hex digits.
    pub id: String,
    /// Its name, unique in the account.
    pub name: String,
    /// The account it belongs to.
    pub account: Arc<Account>,
    /// Whether it may do all in its account.
    pub admin: bool,
    /// For `POST /v3/auth/tokens`.
    pub password: Option<Secret>,
    /// For signatures.
    pub secret_key: Option<Secret>,
}

/// An account as the seed file gives it.
#[derive(Debug, Default)]
pub struct NewAccount {
    /// Its name.
    pub name: String,
    /// Its id, else derived from the name.
    pub id: Option<String>,
    /// Its users.
    pub users: Vec<NewUser>,
}

/// A user as the seed file gives it.
#[derive(Debug, Default)]
pub struct NewUser {
    /// Its name.
    pub name: String,
    /// Its id, else derived from the names of account and user.
    pub id: Option<String>,
    /// See [`User::admin`].
    pub admin: bool,
    /// See [`User::password`].
    pub password: Option<Secret>,
    /// The access key (AK).
    pub access_key: Option<String>,
    /// The secret key (SK).
    pub secret_key: Option<Secret>,
    /// A token that never expires.
    pub token: Option<Secret>,
}

/// Why accounts cannot live beside each other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value} is given twice; it must be unique")]
pub struct DirectoryError {
    what: &'static str,
    /// Names and ids; never a secret.
    value: String,
}

/// All accounts and users, by what they are looked up by.
#[derive(Debug, Default)]
pub struct Directory {
    accounts: Vec<Arc<Account>>,
    users: Vec<Arc<User>>,
    by_access_key: HashMap<String, Arc<User>>,
    by_token: HashMap<TokenHash, Arc<User>>,
}

impl Directory {
    /// Brings accounts together. One named [`BUILTIN_ACCOUNT`] adds users to the built-in one.
    pub fn new(builtin: bool, accounts: Vec<NewAccount>) -> Result<Self, DirectoryError> {
        let mut directory = Self::default();
        if builtin {
            directory.add(NewAccount {
                name: BUILTIN_ACCOUNT.to_owned(),
                id: None,
                users: vec![NewUser {
                    name: BUILTIN_USER.to_owned(),
                    id: None,
                    admin: true,
                    password: Some(Secret::new(BUILTIN_PASSWORD)),
                    access_key: Some(BUILTIN_ACCESS_KEY.to_owned()),
                    secret_key: Some(Secret::new(BUILTIN_SECRET_KEY)),
                    token: Some(Secret::new(BUILTIN_TOKEN)),
                }],
            })?;
        }
        for account in accounts {
            directory.add(account)?;
        }
        Ok(directory)
    }

    fn add(&mut self, new: NewAccount) -> Result<(), DirectoryError> {
        let twice = |what, value: &str| {
            let value = value.to_owned();
            Err(DirectoryError { what, value })
        };
        let known = self.account_named(&new.name).map(Arc::clone);
        let account = match known {
            Some(account) if account.name == BUILTIN_ACCOUNT && new.id.is_none() => account,
            Some(_) => return twice("the account", &new.name),
            None => {
                let id = new
                    .id
                    .unwrap_or_else(|| derived_id("account", &[&new.name]));
                if self.accounts.iter().any(|account| account.id == id) {
                    return twice("the account id", &id);
                }
                let name = new.name;
                let account = Arc::new(Account { id, name });
                self.accounts.push(Arc::clone(&account));
                account
            }
        };
        for new in new.users {
            if self.users_of(&account).any(|user| user.name == new.name) {
                return twice("the user", &format!("{}/{}", account.name, new.name));
            }
            let id = new
                .id
                .unwrap_or_else(|| derived_id("user", &[&account.name, &new.name]));
            if self.user_with_id(&id).is_some() {
                return twice("the user id", &id);
            }
            let name = format!("{}/{}", account.name, new.name);
            let user = Arc::new(User {
                id,
                name: new.name,
                account: Arc::clone(&account),
                admin: new.admin,
                password: new.password,
                secret_key: new.secret_key,
            });
            if let Some(access_key) = new.access_key {
                let taken = self.by_access_key.insert(access_key, Arc::clone(&user));
                if taken.is_some() {
                    return twice("the access_key of user", &name);
                }
            }
            if let Some(token) = new.token {
                let hash = TokenHash::of(&token);
                if self.by_token.insert(hash, Arc::clone(&user)).is_some() {
                    return twice("the token of user", &name);
                }
            }
            self.users.push(user);
        }
        Ok(())
    }

    /// All accounts.
    pub fn accounts(&self) -> &[Arc<Account>] {
        &self.accounts
    }

    /// The account with this name.
    pub fn account_named(&self, name: &str) -> Option<&Arc<Account>> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// The users of an account, in the order in which they were given.
    pub fn users_of<'a>(&'a self, account: &'a Account) -> impl Iterator<Item = &'a Arc<User>> {
        self.users
            .iter()
            .filter(move |user| user.account.id == account.id)
    }

    /// The user with this id.
    pub fn user_with_id(&self, id: &str) -> Option<&Arc<User>> {
        self.users.iter().find(|user| user.id == id)
    }

    /// The user who signs with this access key.
    pub fn by_access_key(&self, access_key: &str) -> Option<&Arc<User>> {
        self.by_access_key.get(access_key)
    }

    /// The user whose fixed token this is.
    pub fn by_token(&self, hash: &TokenHash) -> Option<&Arc<User>> {
        self.by_token.get(hash)
    }

    /// The built-in account's own user, unless the seed file leaves it out.
    pub fn builtin_admin(&self) -> Option<&Arc<User>> {
        self.by_access_key.get(BUILTIN_ACCESS_KEY)
    }
}

/// An id of 32 hex digits that is always the same for the same names.
fn derived_id(kind: &str, names: &[&str]) -> String {
    let mut hash = Sha256::new_with_prefix(kind);
    for name in names {
        hash.update([0]);
        hash.update(name);
    }
    hex::encode(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str, user: &str) -> NewAccount {
        NewAccount {
            name: name.to_owned(),
            id: None,
            users: vec![NewUser {
                name: user.to_owned(),
                ..NewUser::default()
            }],
        }
    }

    #[test]
    fn ids_are_the_same_at_each_start_and_differ_between_names() {
        let id = |account_name: &str, user: &str| {
            let directory = Directory::new(true, vec![account(account_name, user)]);
            let directory = directory.expect("unique names");
            directory.users.last().expect("a user").id.clone()
        };
        assert_eq!(id("partner", "dev"), id("partner", "dev"));
        assert_ne!(id("partner", "dev"), id("partner", "ops"));
        assert_ne!(id("partner", "dev"), id("other", "dev"));
        assert_eq!(id("partner", "dev").len(), 32);
    }

    #[test]
    fn an_entry_with_the_builtin_name_adds_users_to_the_builtin_account() {
        let directory = Directory::new(true, vec![account(BUILTIN_ACCOUNT, "second")]);
        let directory = directory.expect("unique names");
        assert_eq!(directory.accounts().len(), 1);
        let users = directory.users_of(&directory.accounts()[0]);
        let names: Vec<_> = users.map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["admin", "second"]);
    }

    #[test]
    fn names_ids_keys_and_tokens_are_unique() {
        let check = |accounts: Vec<NewAccount>, what: &str| {
            let error = Directory::new(true, accounts).expect_err("refused");
            assert!(error.to_string().starts_with(what), "{error}");
        };
        check(vec![account("a", "u"), account("a", "v")], "the account a ");
        check(vec![account(BUILTIN_ACCOUNT, "admin")], "the user ");
        let mut keyed = account("a", "u");
        keyed.users[0].access_key = Some(BUILTIN_ACCESS_KEY.to_owned());
        check(vec![keyed], "the access_key of user a/u");
        let mut tokened = account("a", "u");
        tokened.users[0].token = Some(Secret::new(BUILTIN_TOKEN));
        check(vec![tokened], "the token of user a/u");
    }

    #[test]
    fn the_builtin_project_has_the_documented_id() {
        let directory = Directory::new(true, vec![account("partner", "dev")]).expect("unique");
        let [builtin, partner] = directory.accounts() else {
            panic!("two accounts")
        };
        assert_eq!(builtin.project_id("cn-north-4"), BUILTIN_PROJECT_ID);
        assert_ne!(
            partner.project_id("cn-north-4"),
            partner.project_id("cn-east-3")
        );
    }
}
