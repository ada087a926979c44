//! The extractors through which handlers reach organizations and repositories. Nothing else leads
//! to one, so what a caller may not touch is refused in this place only.
//!
//! Order (emulator's decision on the order of checks): names 400, organization 404, repository
//! 404, permission 403.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use super::Level;
use crate::answers::keep;
use crate::app::{App, AppState};
use crate::auth::Caller;
use crate::db::Subject;
use crate::error::{Error, Fault, Resource, Result};
use crate::http::Segment;
use crate::namespace::{Namespace, NamespaceName};
use crate::repository::{RepositoryName, RepositoryRef};

/// An organization or repository that the caller may look at.
#[derive(Debug)]
pub struct Viewable<R>(pub R);

/// An organization or repository that the caller may change.
#[derive(Debug)]
pub struct Editable<R>(pub R);

/// An organization or repository that the caller may delete.
#[derive(Debug)]
pub struct Manageable<R>(pub R);

/// A repository for which the caller may grant rights: who may edit in its organization, or manage
/// it (API reference, adding an image permission).
#[derive(Debug)]
pub struct Grantable(pub RepositoryRef);

/// What a path can name and a caller can have a level in.
trait Reachable: Sized {
    async fn reach(parts: &mut Parts, app: &App, caller: &Caller) -> Result<(Self, Option<Level>)>;
}

impl Reachable for Arc<Namespace> {
    async fn reach(parts: &mut Parts, app: &App, caller: &Caller) -> Result<(Self, Option<Level>)> {
        let name = namespace_name(parts).await?;
        let namespace = reach_namespace(&name, app, caller).await?;
        let level = Level::of(caller.user(), &namespace, None);
        Ok((namespace, level))
    }
}

impl Reachable for RepositoryRef {
    async fn reach(parts: &mut Parts, app: &App, caller: &Caller) -> Result<(Self, Option<Level>)> {
        let namespace = namespace_name(parts).await?;
        let segment = Segment::read(parts, "repository", Fault::RepositoryName).await?;
        let name = RepositoryName::from_path(&segment)?;
        let namespace = reach_namespace(&namespace, app, caller).await?;
        let repository = app.lookup.repository(&namespace, &name).await?;
        let repository = repository.ok_or(Error::NotFound(Resource::Repository))?;
        let level = Level::of(caller.user(), &namespace, Some(&repository));
        Ok((repository, level))
    }
}

async fn namespace_name(parts: &mut Parts) -> Result<NamespaceName> {
    let segment = Segment::read(parts, "namespace", Fault::NamespaceName).await?;
    NamespaceName::parse(&segment)
}

/// Another account's organization is as good as none. What the caller may do in it is for the
/// caller of this function to ask.
async fn reach_namespace(
    name: &NamespaceName,
    app: &App,
    caller: &Caller,
) -> Result<Arc<Namespace>> {
    let namespace = app.lookup.namespace(name).await?;
    namespace
        .filter(|namespace| namespace.account_id == caller.account_id())
        .ok_or(Error::NotFound(Resource::Namespace))
}

async fn reach_at_least<R: Reachable>(needed: Level, parts: &mut Parts, app: &App) -> Result<R> {
    let caller = Caller::from_request_parts(parts, &()).await?;
    let (resource, level) = R::reach(parts, app, &caller).await?;
    at_least(needed, level)?;
    Ok(resource)
}

impl FromRequestParts<AppState> for Grantable {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self> {
        let caller = Caller::from_request_parts(parts, &()).await?;
        let (repository, level) = RepositoryRef::reach(parts, app, &caller).await?;
        let in_namespace = Level::of(caller.user(), &repository.namespace, None);
        if level < Some(Level::Manage) && in_namespace < Some(Level::Edit) {
            return Err(Error::Forbidden);
        }
        Ok(Self(repository))
    }
}

impl Viewable<RepositoryRef> {
    /// The repository that a query or a body names.
    pub async fn named(
        app: &App,
        caller: &Caller,
        namespace: &NamespaceName,
        repository: &RepositoryName,
    ) -> Result<Self> {
        let namespace = named_namespace(namespace, app, caller).await?;
        let repository = app.lookup.repository(&namespace, repository).await?;
        let repository = repository.ok_or(Error::NotFound(Resource::Repository))?;
        let level = Level::of(caller.user(), &namespace, Some(&repository));
        at_least(Level::Read, level)?;
        Ok(Self(repository))
    }
}

impl Editable<Arc<Namespace>> {
    /// The organization that a body names, where the caller may push to this repository of it,
    /// which need not exist yet.
    pub async fn named_for_push(
        app: &App,
        caller: &Caller,
        namespace: &NamespaceName,
        repository: &RepositoryName,
    ) -> Result<Self> {
        let namespace = named_namespace(namespace, app, caller).await?;
        let existing = app.lookup.repository(&namespace, repository).await?;
        let level = Level::of(caller.user(), &namespace, existing.as_ref());
        at_least(Level::Edit, level)?;
        Ok(Self(namespace))
    }
}

/// An organization of the caller's account. A request without it in its path is told the name of
/// one that does not exist.
async fn named_namespace(
    name: &NamespaceName,
    app: &App,
    caller: &Caller,
) -> Result<Arc<Namespace>> {
    let reached = reach_namespace(name, app, caller).await;
    reached.map_err(|error| match error {
        Error::NotFound(Resource::Namespace) => Error::NoNamespace(name.to_string()),
        error => error,
    })
}

/// An answer about a repository that may be kept ready: it is the same for all who may read there,
/// and changes when the subject is written, or names or rights are.
pub fn for_readers_of(
    repository: RepositoryRef,
    subject: Option<Subject>,
    answer: impl IntoResponse,
) -> Response {
    let allows = move |caller: &Caller| {
        let level = Level::of(caller.user(), &repository.namespace, Some(&repository));
        at_least(Level::Read, level).is_ok()
    };
    keep(subject, allows, answer)
}

fn at_least(needed: Level, level: Option<Level>) -> Result<()> {
    if level < Some(needed) {
        return Err(Error::Forbidden);
    }
    Ok(())
}

macro_rules! extractor {
    ($extractor:ident, $level:expr, $resource:ty) => {
        impl FromRequestParts<AppState> for $extractor<$resource> {
            type Rejection = Error;

            async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self> {
                reach_at_least($level, parts, app).await.map(Self)
            }
        }
    };
}

extractor!(Viewable, Level::Read, Arc<Namespace>);
extractor!(Manageable, Level::Manage, Arc<Namespace>);
extractor!(Editable, Level::Edit, Arc<Namespace>);
extractor!(Viewable, Level::Read, RepositoryRef);
extractor!(Editable, Level::Edit, RepositoryRef);
extractor!(Manageable, Level::Manage, RepositoryRef);
