//! The thing to trace, as it is named on the command line.

/// An image or a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    Image(Image),
    Workload(Workload),
}

/// A repository, or a tag of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// The organization.
    pub(super) namespace: String,
    pub(super) repository: String,
    pub(super) tag: Option<String>,
}

/// A workload, but for its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Workload {
    /// `deployments` or `statefulsets`.
    pub(super) kind: &'static str,
    pub(super) name: String,
}

impl Subject {
    /// Reads `group/busybox:v2` or `deployment/web`. The name of a workload has no `:`, so that an
    /// organization may have the name of a kind.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let rule = "must be an image like group/busybox:v2, or a workload like deployment/web or \
                    statefulset/db";
        let (first, rest) = text.split_once('/').ok_or(rule)?;
        let kind = match first {
            "deployment" | "deployments" => Some("deployments"),
            "statefulset" | "statefulsets" => Some("statefulsets"),
            _ => None,
        };
        if let Some(kind) = kind
            && !rest.contains([':', '/'])
            && !rest.is_empty()
        {
            let name = rest.to_owned();
            return Ok(Self::Workload(Workload { kind, name }));
        }
        Image::parse(text).map(Self::Image).ok_or(rule.to_owned())
    }
}

impl Image {
    /// Reads `group/busybox` or `group/busybox:v2`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (namespace, rest) = text.split_once('/')?;
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        let parts = [Some(namespace), Some(repository), tag];
        let are_there = parts.iter().flatten().all(|part| !part.is_empty());
        are_there.then(|| Self {
            namespace: namespace.to_owned(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
        })
    }

    /// The one in the reference of a container, without the name of the registry.
    pub(super) fn of_container(reference: &str) -> Option<Self> {
        let reference = reference.split('@').next().unwrap_or_default();
        let (registry, path) = reference.split_once('/')?;
        let is_registry = registry.contains(['.', ':']) || registry == "localhost";
        Self::parse(path).filter(|_| is_registry)
    }
}

impl std::fmt::Display for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.repository)?;
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_an_image_or_a_workload() {
        let check = |text: &str, expected: &str, is_workload: bool| {
            let subject = Subject::parse(text).expect(text);
            let (told, found) = match subject {
                Subject::Image(image) => (image.to_string(), false),
                Subject::Workload(workload) => (workload.to_string(), true),
            };
            assert_eq!((told.as_str(), found), (expected, is_workload), "{text}");
        };
        check("group/busybox:v2", "group/busybox:v2", false);
        check("group/team/app:v2", "group/team/app:v2", false);
        check("group/busybox", "group/busybox", false);
        check("deployment/web", "deployments/web", true);
        check("deployments/web.a", "deployments/web.a", true);
        check("statefulset/db", "statefulsets/db", true);
        check("statefulsets/db", "statefulsets/db", true);
        check("deployment/web:v2", "deployment/web:v2", false);
        check("deployment/web/app", "deployment/web/app", false);
        for text in [
            "",
            "web",
            "group/",
            "/a",
            "group/:v1",
            "group/a:",
            "deployment/",
        ] {
            assert!(Subject::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_image_of_a_container_has_the_name_of_a_registry() {
        let check = |text: &str, expected: Option<&str>| {
            let found = Image::of_container(text).map(|image| image.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("127.0.0.1:1/group/a:v1", Some("group/a:v1"));
        check("swr.test/group/a/b", Some("group/a/b"));
        check("localhost/g/a:v1@sha256:0", Some("g/a:v1"));
        check("nginx:1", None);
        check("library/nginx:1", None);
        check("swr.test/nginx:1", None);
    }
}
