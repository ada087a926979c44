//! The words of the registry: digests, references to manifests, and paths of repositories (OCI
//! distribution specification, pulling manifests).

use sha2::{Digest as _, Sha256, Sha512};

use super::error::RegistryError;
use crate::namespace::NamespaceName;
use crate::repository::RepositoryName;
use crate::tag::TagName;

/// `sha256:…` or `sha512:…` of some content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// Checks a digest's form.
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_legal = match text.split_once(':') {
            Some(("sha256", hex)) => hex.len() == 64 && hex.bytes().all(is_hex),
            Some(("sha512", hex)) => hex.len() == 128 && hex.bytes().all(is_hex),
            _ => false,
        };
        if !is_legal {
            let rule = "a digest must be sha256: or sha512: followed by lower-case hex digits";
            return Err(RegistryError::DigestInvalid(rule.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The digest of some bytes, in SHA-256.
    pub fn of(content: &[u8]) -> Self {
        Self(format!("sha256:{}", hex::encode(Sha256::digest(content))))
    }

    /// The digest of bytes that were hashed on their way.
    pub fn from_sha256(hash: Sha256) -> Self {
        Self(format!("sha256:{}", hex::encode(hash.finalize())))
    }

    /// The digest of bytes that were hashed on their way.
    pub fn from_sha512(hash: Sha512) -> Self {
        Self(format!("sha512:{}", hex::encode(hash.finalize())))
    }

    /// Whether it is the digest of some bytes.
    pub fn matches(&self, content: &[u8]) -> bool {
        if self.is_sha512() {
            *self == Self(format!("sha512:{}", hex::encode(Sha512::digest(content))))
        } else {
            *self == Self::of(content)
        }
    }

    /// Whether the algorithm is SHA-512.
    pub fn is_sha512(&self) -> bool {
        self.0.starts_with("sha512:")
    }

    /// The digest as text, with its algorithm.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hex digits alone.
    pub fn hex(&self) -> &str {
        &self.0[7..]
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a manifest is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A tag.
    Tag(TagName),
    /// A digest.
    Digest(Digest),
}

impl Reference {
    fn parse(text: &str) -> Result<Self, RegistryError> {
        if text.contains(':') {
            return Digest::parse(text).map(Self::Digest);
        }
        TagName::parse(text)
            .map(Self::Tag)
            .ok_or_else(|| RegistryError::ManifestInvalid(format!("the tag {}", TagName::RULE)))
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
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let invalid = |rule: String| RegistryError::NameInvalid(rule);
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

/// What a path below `/v2/` names. Names hold slashes, so it is read from its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `/v2/`
    Base,
    /// `{name}/blobs/uploads/`
    Uploads(ImagePath),
    /// `{name}/blobs/uploads/{id}`
    Upload(ImagePath, String),
    /// `{name}/blobs/{digest}`
    Blob(ImagePath, Digest),
    /// `{name}/manifests/{reference}`
    Manifest(ImagePath, Reference),
    /// `{name}/tags/list`
    Tags(ImagePath),
    /// `{name}/referrers/{digest}`
    Referrers(ImagePath, Digest),
}

impl Target {
    /// Reads what comes after `/v2/`; none when no operation of the registry has such a path.
    pub fn parse(path: &str) -> Result<Option<Self>, RegistryError> {
        if path.is_empty() {
            return Ok(Some(Self::Base));
        }
        let uploads = path
            .strip_suffix("/blobs/uploads/")
            .or_else(|| path.strip_suffix("/blobs/uploads"));
        if let Some(name) = uploads {
            return Ok(Some(Self::Uploads(ImagePath::parse(name)?)));
        }
        if let Some(name) = path.strip_suffix("/tags/list") {
            return Ok(Some(Self::Tags(ImagePath::parse(name)?)));
        }
        let Some((front, last)) = path.rsplit_once('/') else {
            return Ok(None);
        };
        let target = if let Some(name) = front.strip_suffix("/blobs/uploads") {
            Self::Upload(ImagePath::parse(name)?, last.to_owned())
        } else if let Some(name) = front.strip_suffix("/blobs") {
            Self::Blob(ImagePath::parse(name)?, Digest::parse(last)?)
        } else if let Some(name) = front.strip_suffix("/manifests") {
            Self::Manifest(ImagePath::parse(name)?, Reference::parse(last)?)
        } else if let Some(name) = front.strip_suffix("/referrers") {
            Self::Referrers(ImagePath::parse(name)?, Digest::parse(last)?)
        } else {
            return Ok(None);
        };
        Ok(Some(target))
    }

    /// The tag that the path names.
    pub fn tag(&self) -> Option<&str> {
        match self {
            Self::Manifest(_, Reference::Tag(tag)) => Some(tag.as_str()),
            _ => None,
        }
    }

    /// The digest that the path names.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Blob(_, digest)
            | Self::Manifest(_, Reference::Digest(digest))
            | Self::Referrers(_, digest) => Some(digest.as_str()),
            _ => None,
        }
    }

    /// The repository that the path is about.
    pub fn path(&self) -> Option<&ImagePath> {
        match self {
            Self::Base => None,
            Self::Uploads(path)
            | Self::Upload(path, _)
            | Self::Blob(path, _)
            | Self::Manifest(path, _)
            | Self::Tags(path)
            | Self::Referrers(path, _) => Some(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_a_known_algorithm_and_its_length_of_lower_case_hex() {
        let check = |text: &str, accepted: bool| {
            assert_eq!(Digest::parse(text).is_ok(), accepted, "{text}");
        };
        check(&format!("sha256:{}", "a".repeat(64)), true);
        check(&format!("sha512:{}", "0".repeat(128)), true);
        check(&format!("sha256:{}", "A".repeat(64)), false);
        check(&format!("sha256:{}", "a".repeat(63)), false);
        check(&format!("sha256:{}", "g".repeat(64)), false);
        check(&format!("sha512:{}", "a".repeat(64)), false);
        check(&format!("md5:{}", "a".repeat(32)), false);
        check("sha256:", false);
        check("", false);
        assert!(Digest::of(b"x").matches(b"x"));
        assert!(!Digest::of(b"x").matches(b"y"));
    }

    #[test]
    fn a_path_is_read_from_its_end() {
        let image = |text: &str| ImagePath::parse(text).expect("a legal name");
        let digest = Digest::of(b"");
        let check = |path: &str, expected: Option<Target>| {
            assert_eq!(Target::parse(path).ok().flatten(), expected, "{path}");
        };
        check("", Some(Target::Base));
        check(
            "g/a/b/blobs/uploads/",
            Some(Target::Uploads(image("g/a/b"))),
        );
        check(
            "g/a/blobs/uploads/x-1",
            Some(Target::Upload(image("g/a"), "x-1".to_owned())),
        );
        check(
            &format!("g/a/blobs/{digest}"),
            Some(Target::Blob(image("g/a"), digest.clone())),
        );
        let tag = Reference::Tag(TagName::parse("v1").expect("a tag"));
        check(
            "g/a/manifests/v1",
            Some(Target::Manifest(image("g/a"), tag.clone())),
        );
        check(
            "g/tags/list/manifests/v1",
            Some(Target::Manifest(image("g/tags/list"), tag)),
        );
        check("g/a/tags/list", Some(Target::Tags(image("g/a"))));
        check(
            &format!("g/a/referrers/{digest}"),
            Some(Target::Referrers(image("g/a"), digest)),
        );
        check("g/a/nonsense", None);
        check("_catalog", None);
        check("g/blobs/x", None);
        check("../../etc/manifests/v1", None);
        check("g/../b/manifests/v1", None);
        check("g/a/manifests/..", None);
        check("G/a/tags/list", None);
    }
}
