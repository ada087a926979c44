//! The accounts and users of an instance: the built-in one and those of the seed file, which are
//! what the file says at this start, or the seed that was posted last, and whose secrets live in
//! memory only; and the users that were made by IAM's operations, which join and leave while it
//! runs.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, MutexGuard};

use super::password::Password;
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
pub const BUILTIN_PROJECT_ID: &str = "00000000000000000000000000000001";

/// An account (IAM: domain).
#[derive(Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id, 32 hex digits.
    pub id: String,
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
    /// Whether it may log in; what it logged in with before has ended, if not.
    pub is_enabled: bool,
    /// For `POST /v3/auth/tokens`.
    pub password: Option<Password>,
    /// The access key that it signs with.
    pub access_key: Option<String>,
    /// For signatures.
    pub secret_key: Option<Secret>,
    /// The token that never expires.
    pub token: Option<Secret>,
}

/// An account as the seed file gives it.
#[derive(Debug, Default)]
pub struct NewAccount {
    pub name: String,
    /// Its id, else derived from the name.
    pub id: Option<String>,
    pub users: Vec<NewUser>,
}

/// A user as the seed file gives it.
#[derive(Debug, Default)]
pub struct NewUser {
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
#[error("{what} {value} appears twice; it must be unique")]
pub struct DirectoryError {
    what: &'static str,
    /// Names and ids; never a secret.
    value: String,
}

/// All accounts and users, by what they are looked up by. A seed that is posted replaces them.
#[derive(Debug, Default)]
pub struct Directory {
    known: RwLock<Known>,
    /// Held by whoever changes it together with the database.
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    has_builtin: bool,
    accounts: Vec<Arc<Account>>,
    seeded: Users,
    by_access_key: HashMap<String, Arc<User>>,
    by_token: HashMap<TokenHash, Arc<User>>,
    made: Users,
}

/// Users in order.
#[derive(Debug, Default)]
struct Users {
    all: Vec<Arc<User>>,
    by_id: HashMap<String, Arc<User>>,
}

impl Users {
    fn of(&self, account: &Account) -> impl Iterator<Item = &Arc<User>> {
        self.all
            .iter()
            .filter(move |user| user.account.id == account.id)
    }

    /// Adds a user, or puts it in the place of the one with its id.
    fn put(&mut self, user: User) -> Arc<User> {
        let user = Arc::new(user);
        let older = self.by_id.insert(user.id.clone(), Arc::clone(&user));
        match older.and_then(|older| self.all.iter_mut().find(|known| **known == older)) {
            Some(place) => *place = Arc::clone(&user),
            None => self.all.push(Arc::clone(&user)),
        }
        user
    }

    fn remove(&mut self, id: &str) {
        if self.by_id.remove(id).is_some() {
            self.all.retain(|user| user.id != id);
        }
    }
}

/// Two users are the same if they have one id.
impl PartialEq for User {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Known {
    fn account_named(&self, name: &str) -> Option<&Arc<Account>> {
        self.accounts.iter().find(|account| account.name == name)
    }

    fn account_with_id(&self, id: &str) -> Option<&Arc<Account>> {
        self.accounts.iter().find(|account| account.id == id)
    }

    fn user_with_id(&self, id: &str) -> Option<&Arc<User>> {
        let seeded = self.seeded.by_id.get(id);
        seeded.or_else(|| self.made.by_id.get(id))
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
                let id = new.id.unwrap_or_else(|| account_id(&new.name));
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
            if self.seeded.of(&account).any(|user| user.name == new.name) {
                return twice("the user", &format!("{}/{}", account.name, new.name));
            }
            let id = new.id.unwrap_or_else(|| user_id(&account.name, &new.name));
            if self.seeded.by_id.contains_key(&id) {
                return twice("the user id", &id);
            }
            let name = format!("{}/{}", account.name, new.name);
            let user = self.seeded.put(User {
                id,
                name: new.name,
                account: Arc::clone(&account),
                admin: new.admin,
                is_enabled: true,
                password: new.password.map(Password::Plain),
                access_key: new.access_key.clone(),
                secret_key: new.secret_key,
                token: new.token.clone(),
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
        }
        Ok(())
    }
}

impl Directory {
    /// Brings accounts together. One named [`BUILTIN_ACCOUNT`] adds users to the built-in one.
    pub fn new(builtin: bool, accounts: Vec<NewAccount>) -> Result<Self, DirectoryError> {
        let mut known = Known {
            has_builtin: builtin,
            ..Known::default()
        };
        if builtin {
            known.add(NewAccount {
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
            known.add(account)?;
        }
        Ok(Self {
            known: RwLock::new(known),
            turn: Mutex::default(),
        })
    }

    /// Whether it has the built-in account.
    pub fn has_builtin(&self) -> bool {
        self.known().has_builtin
    }

    /// All accounts.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        self.known().accounts.clone()
    }

    /// The account with this name.
    pub fn account_named(&self, name: &str) -> Option<Arc<Account>> {
        self.known().account_named(name).cloned()
    }

    /// The account with this id.
    pub fn account_with_id(&self, id: &str) -> Option<Arc<Account>> {
        self.known().account_with_id(id).cloned()
    }

    /// The users of an account: those of the seed file in its order, then the others in that in
    /// which they were made.
    pub fn users_of(&self, account: &Account) -> impl Iterator<Item = Arc<User>> + use<> {
        let known = self.known();
        let users = known.seeded.of(account).chain(known.made.of(account));
        users.cloned().collect::<Vec<_>>().into_iter()
    }

    /// The user with this id.
    pub fn user_with_id(&self, id: &str) -> Option<Arc<User>> {
        self.known().user_with_id(id).cloned()
    }

    /// The same, if it was made by an operation.
    pub fn made_user(&self, id: &str) -> Option<Arc<User>> {
        self.known().made.by_id.get(id).cloned()
    }

    /// The user with this id, if it may use what it logged in with.
    pub fn enabled_user(&self, id: &str) -> Option<Arc<User>> {
        self.user_with_id(id).filter(|user| user.is_enabled)
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read()
    }

    /// Adds a user that IAM could have made.
    pub fn add_made(&mut self, user: User) {
        self.known.get_mut().made.put(user);
    }

    /// Waits for the turn to change which users there are, in the database and here.
    pub async fn turn(&self) -> DirectoryTurn<'_> {
        DirectoryTurn {
            directory: self,
            _turn: self.turn.lock().await,
        }
    }

    /// The user who signs with this access key.
    pub fn by_access_key(&self, access_key: &str) -> Option<Arc<User>> {
        self.known().by_access_key.get(access_key).cloned()
    }

    /// The user whose fixed token this is.
    pub fn by_token(&self, hash: &TokenHash) -> Option<Arc<User>> {
        self.known().by_token.get(hash).cloned()
    }

    /// The built-in account's own user, unless the seed file leaves it out.
    pub fn builtin_admin(&self) -> Option<Arc<User>> {
        self.by_access_key(BUILTIN_ACCESS_KEY)
    }
}

/// Leave to change which users there are.
#[derive(Debug)]
pub struct DirectoryTurn<'a> {
    directory: &'a Directory,
    _turn: MutexGuard<'a, ()>,
}

impl DirectoryTurn<'_> {
    /// The directory whose users nobody else changes meanwhile.
    pub fn directory(&self) -> &Directory {
        self.directory
    }

    /// Whether an account is one of now, and not of before a seed was posted.
    pub fn has(&self, account: &Arc<Account>) -> bool {
        let known = self.directory.known();
        let same = known.account_with_id(&account.id);
        same.is_some_and(|same| Arc::ptr_eq(same, account))
    }

    /// Adds a user, or puts it in the place of the one with its id.
    pub fn put(&self, user: User) -> Arc<User> {
        self.known().made.put(user)
    }

    /// Forgets a user.
    pub fn remove(&self, id: &str) {
        self.known().made.remove(id);
    }

    /// Forgets all users but those of the seed file.
    pub fn clear(&self) {
        self.known().made = Users::default();
    }

    /// Puts all accounts and users of another directory in the place of those that there are.
    pub fn replace(&self, other: Directory) {
        *self.known() = other.known.into_inner();
    }

    fn known(&self) -> RwLockWriteGuard<'_, Known> {
        self.directory.known.write()
    }
}

/// The id of an account that is given none.
pub fn account_id(name: &str) -> String {
    derived_id("account", &[name])
}

/// The id of a user of the seed file that is given none.
pub fn user_id(account: &str, name: &str) -> String {
    derived_id("user", &[account, name])
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
            let users = directory.known().seeded.all.clone();
            users.last().expect("a user").id.clone()
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
        let names: Vec<_> = users.map(|user| user.name.clone()).collect();
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
        let accounts = directory.accounts();
        let [builtin, partner] = &accounts[..] else {
            panic!("two accounts")
        };
        assert_eq!(builtin.project_id("cn-north-4"), BUILTIN_PROJECT_ID);
        assert_ne!(
            partner.project_id("cn-north-4"),
            partner.project_id("cn-east-3")
        );
    }
}
