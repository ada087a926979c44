//! The extractors through which handlers reach organizations and repositories. Nothing else leads
//! to one, so what a caller may not touch is refused in this place only.
//!
//! Order (emulator's decision on the order of checks): names 400, organization 404, repository
//! 404, permission 403.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::Caller;
use crate::app::{App, AppState};
use crate::error::{Error, Fault, Resource, Result};
use crate::http::Segment;
use crate::namespace::{Namespace, NamespaceName};
use crate::repository::{RepositoryName, RepositoryRef};

/// What a caller may do with an organization or repository (user guide, permissions).
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
    /// The caller's level in an organization; none where it belongs to another account.
    ///
    /// Inside an account everyone may do all: single permissions are not emulated yet.
    pub fn of(caller: &Caller, namespace: &Namespace) -> Option<Self> {
        (namespace.account_id == caller.account_id()).then_some(Self::Manage)
    }

    /// The number that stands for it in `auth`.
    pub fn auth(self) -> u8 {
        self as u8
    }
}

/// An organization or repository that the caller may look at.
#[derive(Debug)]
pub struct Viewable<R>(pub R);

/// An organization or repository that the caller may change.
#[derive(Debug)]
pub struct Editable<R>(pub R);

/// An organization or repository that the caller may delete.
#[derive(Debug)]
pub struct Manageable<R>(pub R);

/// What a path can name and a caller can have a level in.
trait Reachable: Sized {
    async fn reach(parts: &mut Parts, app: &App, caller: &Caller) -> Result<(Self, Level)>;
}

impl Reachable for Arc<Namespace> {
    async fn reach(parts: &mut Parts, app: &App, caller: &Caller) -> Result<(Self, Level)> {
        let name = namespace_name(parts).await?;
        reach_namespace(&name, app, caller).await
    }
}

impl Reachable for RepositoryRef {
    async fn reach(parts: &mut Parts, app: &App, caller: &Caller) -> Result<(Self, Level)> {
        let namespace = namespace_name(parts).await?;
        let segment = Segment::read(parts, "repository", Fault::RepositoryName).await?;
        let name = RepositoryName::from_path(&segment)?;
        let (namespace, level) = reach_namespace(&namespace, app, caller).await?;
        let repository = app.lookup.repository(&namespace, &name).await?;
        let repository = repository.ok_or(Error::NotFound(Resource::Repository))?;
        Ok((repository, level))
    }
}

async fn namespace_name(parts: &mut Parts) -> Result<NamespaceName> {
    let segment = Segment::read(parts, "namespace", Fault::NamespaceName).await?;
    NamespaceName::parse(&segment)
}

/// Another account's organization is as good as none.
pub(crate) async fn reach_namespace(
    name: &NamespaceName,
    app: &App,
    caller: &Caller,
) -> Result<(Arc<Namespace>, Level)> {
    let namespace = app.lookup.namespace(name).await?;
    namespace
        .and_then(|namespace| {
            let level = Level::of(caller, &namespace)?;
            Some((namespace, level))
        })
        .ok_or(Error::NotFound(Resource::Namespace))
}

async fn reach_at_least<R: Reachable>(needed: Level, parts: &mut Parts, app: &App) -> Result<R> {
    let caller = Caller::from_request_parts(parts, &()).await?;
    let (resource, level) = R::reach(parts, app, &caller).await?;
    if level < needed {
        return Err(Error::Forbidden);
    }
    Ok(resource)
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
