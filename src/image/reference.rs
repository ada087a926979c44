//! The names of images: paths of repositories, and references to manifests (OCI distribution
//! specification, pulling manifests).

use super::digest::Digest;
use super::error::ImageError;
use crate::namespace::NamespaceName;
use crate::repository::RepositoryName;
use crate::tag::TagName;

/// What a manifest is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A tag.
    Tag(TagName),
    /// A digest.
    Digest(Digest),
}

impl Reference {
    /// Reads a tag or a digest.
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        if text.contains(':') {
            return Digest::parse(text).map(Self::Digest);
        }
        TagName::parse(text)
            .map(Self::Tag)
            .ok_or_else(|| ImageError::ManifestInvalid(format!("the tag {}", TagName::RULE)))
    }
}

/// A repository's name in the registry: `group/team/app` is organization `group`, repository
/// `team/app`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePath {
    /// The organization.
    pub namespace: NamespaceName,
    /// The repository.
    pub repository: RepositoryName,
}

impl ImagePath {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        let invalid = |rule: String| ImageError::NameInvalid(rule);
        let (namespace, repository) = text.split_once('/').ok_or_else(|| {
            invalid(format!(
                "{text:?} must consist of an organization and a repository"
            ))
        })?;
        Ok(Self {
            namespace: NamespaceName::parse(namespace)
                .map_err(|error| invalid(error.to_string()))?,
            repository: RepositoryName::parse(repository)
                .map_err(|error| invalid(error.to_string()))?,
        })
    }
}

impl std::fmt::Display for ImagePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.repository)
    }
}
