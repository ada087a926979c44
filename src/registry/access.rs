//! Who may do what with a repository of the registry.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};

use super::error::RegistryError;
use super::token::{Claims, SERVICE, SigningKey};
use crate::auth::{Directory, User};
use crate::clock::Timestamp;
use crate::image::ImagePath;
use crate::lookup::Lookup;
use crate::namespace::Namespace;
use crate::permission::Level;
use crate::repository::RepositoryRef;
use crate::world::World;

/// The longest host, with its port, under which a token can be asked for.
const LONGEST_HOST: usize = 262;

/// Things to do with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions {
    /// Read manifests and blobs.
    pub pull: bool,
    /// Write them.
    pub push: bool,
    /// Remove them.
    pub delete: bool,
}

impl Actions {
    /// Nothing.
    pub const NONE: Self = Self::of(false, false, false);
    /// To read.
    pub const PULL: Self = Self::of(true, false, false);
    /// To write.
    pub const PUSH: Self = Self::of(false, true, false);
    /// To remove.
    pub const DELETE: Self = Self::of(false, false, true);
    /// Everything.
    pub const ALL: Self = Self::of(true, true, true);

    const fn of(pull: bool, push: bool, delete: bool) -> Self {
        Self { pull, push, delete }
    }

    /// Reads the actions of a scope, joined by commas; unknown ones are nothing.
    pub fn parse(text: &str) -> Self {
        text.split(',')
            .fold(Self::NONE, |actions, name| match name {
                "pull" => Self {
                    pull: true,
                    ..actions
                },
                "push" => Self {
                    push: true,
                    ..actions
                },
                "delete" => Self {
                    delete: true,
                    ..actions
                },
                "*" => Self::ALL,
                _ => actions,
            })
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::of(
            self.pull && other.pull,
            self.push && other.push,
            self.delete && other.delete,
        )
    }

    /// Whether it is nothing.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Their names in scopes and tokens.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.pull, "pull"),
            (self.push, "push"),
            (self.delete, "delete"),
        ];
        all.into_iter()
            .filter_map(|(is_in, name)| is_in.then_some(name))
    }
}

/// What a user, or nobody, may do with a repository that may not exist yet (user guide,
/// permissions): what was granted in the own account, and pulling from what is public or shared
/// with the account.
pub fn allowed(
    user: Option<&User>,
    namespace: &Namespace,
    repository: Option<&RepositoryRef>,
    now: Timestamp,
) -> Actions {
    let level = user.and_then(|user| Level::of(user, namespace, repository));
    let granted = match level {
        Some(Level::Manage) => return Actions::ALL,
        Some(Level::Edit) => Actions::of(true, true, false),
        Some(Level::Read) => Actions::PULL,
        None => Actions::NONE,
    };
    let is_open = repository.is_some_and(|repository| {
        let is_shared = |user: &User| repository.shares.reach(&user.account.id, now);
        repository.is_public || user.is_some_and(is_shared)
    });
    Actions {
        pull: granted.pull || is_open,
        ..granted
    }
}

/// A request whose token holds, with the place it is about.
#[derive(Debug)]
pub(super) struct Admitted {
    /// Who sent it; none for nobody.
    pub(super) user: Option<Arc<User>>,
    pub(super) namespace: Arc<Namespace>,
    /// None when it does not exist yet.
    repository: Option<RepositoryRef>,
}

impl Admitted {
    /// The repository, which has to exist.
    pub(super) fn repository(&self) -> Result<&RepositoryRef, RegistryError> {
        self.repository.as_ref().ok_or(RegistryError::NameUnknown)
    }

    /// The user's name, as it is recorded with a push.
    pub(super) fn user_name(&self) -> &str {
        self.user.as_ref().map_or("-", |user| &user.name)
    }
}

/// Lets requests to the registry of a region in, or refuses them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate<'a> {
    /// Checks bearer tokens.
    pub(super) key: &'a SigningKey,
    /// Where all of it is found out.
    pub(super) world: &'a World,
    pub(super) region: &'a str,
    /// Accounts and users.
    pub(super) directory: &'a Directory,
    /// What names refer to.
    pub(super) lookup: &'a Lookup,
    /// The time.
    pub(super) now: Timestamp,
}

impl Gate<'_> {
    /// Checks the bearer token of a request, and that its user still may do what it grants. Who needs
    /// another token is told to ask for pulling from `source`, too.
    pub(super) async fn admit(
        self,
        headers: &HeaderMap,
        path: &ImagePath,
        needed: Actions,
        source: Option<&ImagePath>,
    ) -> Result<Admitted, RegistryError> {
        let _stay = self.world.stay().await;
        let claims = self.claims(headers);
        let is_enough = |claims: &&Claims| claims.allows(path, needed);
        let Some(claims) = claims.as_ref().filter(is_enough) else {
            let source = match source {
                Some(source) => self.known_source(source).await?,
                None => None,
            };
            let mut challenge = challenge(headers, Some((path, needed)), source);
            if claims.is_some() {
                challenge.push_str(",error=\"insufficient_scope\"");
            }
            return Err(RegistryError::Unauthorized { challenge });
        };
        let user = self.directory.user_with_id(&claims.sub);
        let admitted = self.locate(user, path).await?;
        let rights = allowed(
            admitted.user.as_deref(),
            &admitted.namespace,
            admitted.repository.as_ref(),
            self.now,
        );
        if rights.and(needed) != needed {
            return Err(RegistryError::Denied(
                "requested access to the resource is denied".to_owned(),
            ));
        }
        Ok(admitted)
    }

    /// A source, if its organization exists: else the token service would refuse the whole list of
    /// scopes, and with it a push that needs no source.
    async fn known_source(self, source: &ImagePath) -> Result<Option<&ImagePath>, RegistryError> {
        let namespace = self.lookup.namespace(&source.namespace).await?;
        Ok(namespace.map(|_| source))
    }

    async fn locate(
        self,
        user: Option<Arc<User>>,
        path: &ImagePath,
    ) -> Result<Admitted, RegistryError> {
        let namespace = self.lookup.namespace(&path.namespace).await?;
        let namespace = namespace.ok_or(RegistryError::NameUnknown)?;
        let repository = self.lookup.repository(&namespace, &path.repository).await?;
        Ok(Admitted {
            user,
            namespace,
            repository,
        })
    }

    /// The repository that a blob shall be mounted from, where this request's token and its user may
    /// pull from it.
    pub(super) async fn mount_source(
        self,
        headers: &HeaderMap,
        path: &ImagePath,
    ) -> Option<RepositoryRef> {
        let admitted = self.admit(headers, path, Actions::PULL, None).await.ok()?;
        admitted.repository
    }

    /// The user's name, or `-`, of a request that has any token of ours, which is all that `/v2/` asks
    /// for.
    pub(super) fn name_of_any(self, headers: &HeaderMap) -> Option<String> {
        let claims = self.claims(headers)?;
        let user = self.directory.user_with_id(&claims.sub);
        Some(user.map_or_else(|| "-".to_owned(), |user| user.name.clone()))
    }

    /// Whether the request has any token of ours.
    pub(super) fn has_token(self, headers: &HeaderMap) -> bool {
        self.claims(headers).is_some()
    }

    /// What the request's token says, unless it is of a user who has gone or may not log in.
    fn claims(self, headers: &HeaderMap) -> Option<Claims> {
        let key = self.key;
        let claims = key.verify(bearer(headers)?, self.region, self.now)?;
        let is_held = claims.sub.is_empty() || self.directory.enabled_user(&claims.sub).is_some();
        is_held.then_some(claims)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// Where to get a token, and for what: under the scheme and host that the request itself used. With
/// a `source`, the scope is a list, joined by a space as distribution has it.
pub(super) fn challenge(
    headers: &HeaderMap,
    scope: Option<(&ImagePath, Actions)>,
    source: Option<&ImagePath>,
) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let legal =
        |host: &&str| host.len() <= LONGEST_HOST && host.parse::<http::uri::Authority>().is_ok();
    let host = text(HOST.as_str()).filter(legal).unwrap_or("localhost");
    // A proxy that speaks TLS says so.
    let scheme = match text("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    let realm = format!("{scheme}://{host}/swr/auth/v2/registry/auth/");
    let challenge = format!("Bearer realm=\"{realm}\",service=\"{SERVICE}\"");
    match scope {
        None => challenge,
        Some((path, actions)) => {
            // More than is needed now: some clients keep the first token that they get. The token
            // service leaves out what the caller has no right to.
            let actions = Actions {
                pull: true,
                push: true,
                ..actions
            };
            let mut scope = scope_of(path, actions);
            if let Some(source) = source.filter(|source| *source != path) {
                scope = format!("{scope} {}", scope_of(source, Actions::PULL));
            }
            format!("{challenge},scope=\"{scope}\"")
        }
    }
}

fn scope_of(path: &ImagePath, actions: Actions) -> String {
    let names: Vec<_> = actions.names().collect();
    format!("repository:{path}:{}", names.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_and_written_as_scopes_have_them() {
        let check = |text: &str, expected: &[&str]| {
            let names: Vec<_> = Actions::parse(text).names().collect();
            assert_eq!(names, expected, "{text}");
        };
        check("pull", &["pull"]);
        check("push,pull", &["pull", "push"]);
        check("*", &["pull", "push", "delete"]);
        check("nonsense,pull", &["pull"]);
        check("", &[]);
    }
}
