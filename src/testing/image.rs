//! The name of an image, `organization/repository:tag`.

use std::fmt;
use std::sync::Arc;

use super::Error;
use crate::app::App;
use crate::error;
use crate::namespace::{Namespace, NamespaceName};
use crate::repository::{RepositoryName, RepositoryRef};
use crate::tag::TagName;

/// The name of an image.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) namespace: NamespaceName,
    pub(super) repository: RepositoryName,
    pub(super) tag: TagName,
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path(), self.tag.as_str())
    }
}

impl Image {
    /// Reads a name; the name of the registry may stand before it.
    pub(super) fn parse(text: &str, app: &App) -> Result<Self, Error> {
        let mut names = app.registry_names.iter();
        let without = names.find_map(|name| text.strip_prefix(name)?.strip_prefix('/'));
        let parts = without
            .unwrap_or(text)
            .split_once('/')
            .and_then(|(namespace, rest)| Some((namespace, rest.rsplit_once(':')?)));
        let Some((namespace, (repository, tag))) = parts else {
            return Err(Error::Refused(format!(
                "image: must be organization/repository:tag, like group/busybox:v2, not {text:?}"
            )));
        };
        Ok(Self {
            namespace: NamespaceName::parse(namespace)?,
            repository: RepositoryName::parse(repository)?,
            tag: TagName::parse_field("tag", tag)?,
        })
    }

    /// The repository's name with its organization.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.namespace.as_str(), self.repository.as_str())
    }

    pub(super) async fn find_namespace(&self, app: &App) -> error::Result<Arc<Namespace>> {
        let found = app.lookup.namespace(&self.namespace).await?;
        found.ok_or_else(|| error::Error::NoNamespace(self.namespace.to_string()))
    }

    pub(super) async fn find_repository(&self, app: &App) -> error::Result<RepositoryRef> {
        let namespace = self.find_namespace(app).await?;
        let found = app.lookup.repository(&namespace, &self.repository).await?;
        found.ok_or(error::Error::NotFound(error::Resource::Repository))
    }
}
