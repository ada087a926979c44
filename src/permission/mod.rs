//! Permissions: what a user of an account may do in an organization or with an image (API
//! reference, organization and image permission management; user guide, permissions).
//!
//! `api` is their HTTP, `store` their SQL, `access` the extractors through which handlers reach
//! organizations and repositories.

mod access;
mod api;
pub mod store;

use std::collections::HashMap;
use std::sync::Arc;

use crate::auth::User;
use crate::error::{Error, Fault, Resource, Result};
use crate::namespace::Namespace;
use crate::repository::RepositoryRef;

pub use access::{Editable, Grantable, Manageable, Viewable, for_readers_of};
pub use api::routes;

/// What a user may do with an organization or repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Pull, look.
    Read = 1,
    /// And push, change attributes, add triggers.
    Edit = 3,
    /// And delete images and tags, grant permissions, share.
    Manage = 7,
}

impl Level {
    /// A user's level in an organization, or in a repository of it, which inherits that of the
    /// organization. None where the user has no right; of another account's user never any.
    pub fn of(
        user: &User,
        namespace: &Namespace,
        repository: Option<&RepositoryRef>,
    ) -> Option<Self> {
        if user.account.id != namespace.account_id {
            return None;
        }
        if user.admin {
            return Some(Self::Manage);
        }
        let granted = namespace.permissions.of(user);
        let Some(repository) = repository else {
            return granted;
        };
        let public = repository.is_public.then_some(Self::Read);
        granted.max(repository.permissions.of(user)).max(public)
    }

    /// The number that stands for it in `auth`.
    pub fn auth(self) -> u8 {
        self as u8
    }

    /// The level that a number stands for.
    pub fn from_auth(auth: u64) -> Option<Self> {
        match auth {
            1 => Some(Self::Read),
            3 => Some(Self::Edit),
            7 => Some(Self::Manage),
            _ => None,
        }
    }
}

/// The levels that were granted in an organization or repository, by the user's id.
#[derive(Debug, Clone, Default)]
pub struct Permissions(Arc<HashMap<String, Level>>);

impl Permissions {
    /// From the JSON array that SQL made of the rows: `[["user id", auth]]`. (As the key of an
    /// object, SQLite would cut an id off at a NUL.)
    pub fn from_json(json: &str) -> Result<Self> {
        let rows: Vec<(String, u64)> = serde_json::from_str(json).map_err(Error::internal)?;
        let levels = rows.into_iter().map(|(user_id, auth)| {
            let level = Level::from_auth(auth);
            Ok((
                user_id,
                level.ok_or_else(|| Error::internal("an unknown level"))?,
            ))
        });
        Ok(Self(Arc::new(levels.collect::<Result<_>>()?)))
    }

    fn of(&self, user: &User) -> Option<Level> {
        self.0.get(&user.id).copied()
    }
}

/// What permissions are granted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantTarget {
    /// An organization, by its number.
    Namespace(i64),
    /// A repository, by its number.
    Repository(i64),
}

impl GrantTarget {
    /// Whether they are rights in an organization, or for a single image.
    fn scope(self) -> GrantScope {
        match self {
            Self::Namespace(_) => GrantScope::InNamespace,
            Self::Repository(_) => GrantScope::ForImage,
        }
    }
}

/// The two kinds of rights; the API has a chapter for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GrantScope {
    /// Rights in an organization.
    InNamespace,
    /// Rights for a single image.
    ForImage,
}

impl GrantScope {
    /// The fault of a wrong `auth`.
    fn auth_fault(self) -> Fault {
        match self {
            Self::InNamespace => Fault::NamespaceAuth,
            Self::ForImage => Fault::Auth,
        }
    }

    /// The right itself, as errors name it.
    fn permission(self) -> Resource {
        match self {
            Self::InNamespace => Resource::NamespacePermission,
            Self::ForImage => Resource::RepositoryPermission,
        }
    }
}

/// A right that somebody is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub user_id: String,
    pub user_name: String,
    /// What they may do.
    pub level: Level,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Directory, NewAccount, NewUser};
    use crate::namespace::NamespaceName;
    use crate::repository::RepositoryName;

    fn users() -> Directory {
        let user = |name: &str, admin| NewUser {
            name: name.to_owned(),
            id: Some(name.to_owned()),
            admin,
            ..NewUser::default()
        };
        let account = |name: &str, users| NewAccount {
            name: name.to_owned(),
            id: Some(name.to_owned()),
            users,
        };
        let ours = vec![user("boss", true), user("ann", false), user("bob", false)];
        let accounts = vec![
            account("ours", ours),
            account("theirs", vec![user("eve", true)]),
        ];
        Directory::new(false, accounts).expect("distinct")
    }

    #[test]
    fn the_highest_right_counts_and_never_that_of_another_account() {
        let directory = users();
        let check = |user: &str, in_namespace: &str, in_repository: &str, public, expected| {
            let namespace = Arc::new(Namespace {
                id: 1,
                region: "r1".to_owned(),
                name: NamespaceName::parse("g").expect("legal"),
                account_id: "ours".to_owned(),
                creator_name: "boss".to_owned(),
                permissions: Permissions::from_json(in_namespace).expect("legal"),
            });
            let repository = RepositoryRef {
                id: 1,
                name: RepositoryName::parse("r").expect("legal"),
                namespace: Arc::clone(&namespace),
                is_public: public,
                permissions: Permissions::from_json(in_repository).expect("legal"),
                shares: crate::sharing::Shares::default(),
            };
            let user = directory.user_with_id(user).expect("there");
            let levels = [None, Some(&repository)]
                .map(|repository| Level::of(&user, &namespace, repository).map(Level::auth));
            assert_eq!(
                levels, expected,
                "{} {in_namespace} {in_repository}",
                user.name
            );
        };
        check("boss", "[]", "[]", false, [Some(7), Some(7)]);
        check("ann", "[]", "[]", false, [None, None]);
        check("ann", "[]", "[]", true, [None, Some(1)]);
        check(
            "ann",
            r#"[["bob",7]]"#,
            r#"[["bob",7]]"#,
            false,
            [None, None],
        );
        check("ann", r#"[["ann",3]]"#, "[]", false, [Some(3), Some(3)]);
        check(
            "ann",
            r#"[["ann",3]]"#,
            r#"[["ann",1]]"#,
            false,
            [Some(3), Some(3)],
        );
        check(
            "ann",
            r#"[["ann",1]]"#,
            r#"[["ann",7]]"#,
            true,
            [Some(1), Some(7)],
        );
        check(
            "eve",
            r#"[["eve",7]]"#,
            r#"[["eve",7]]"#,
            true,
            [None, None],
        );
    }
}
