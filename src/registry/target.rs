//! The paths of the registry.

use super::error::RegistryError;
use crate::image::{Digest, ImagePath, Reference};

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
    use crate::tag::TagName;

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
