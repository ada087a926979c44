//! What a firing changes in a pod template. Pure: trigger, template and push in, patch out.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::excerpt::excerpt;
use crate::workload::{Container, PodTemplate};

/// The annotation that holds the digest which a container's tag had when it was fired: it makes
/// new content under an old tag roll the pods, and old content not.
const DIGEST_ANNOTATION: &str = "digest.swr-emulator/";

/// How many things a reason names that are there instead, and how much of each.
pub(super) const MOST_NAMED: usize = 5;
const LONGEST_NAME: usize = 100;
/// How much of an image a reason repeats that is about it: more than a legal one has.
const LONGEST_IMAGE: usize = 500;

/// What was pushed, and what the trigger wants with it.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// All names of the registry in images.
    pub registry_names: &'a [String],
    /// The organization.
    pub namespace: &'a str,
    pub repository: &'a str,
    /// The pushed tag.
    pub tag: &'a str,
    /// The digest that it has.
    pub digest: &'a str,
    /// The trigger's `container`; `""` means all that use the image.
    pub container: &'a str,
}

/// What a firing does to a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// The template is to be this, with these changes of images.
    Update {
        /// The template after the update.
        template: PodTemplate,
        /// Container, image before, image after.
        changes: Vec<(String, String, String)>,
    },
    /// Nothing of the template would change.
    Unchanged,
    /// The workload is not one that this trigger can update.
    Impossible(Obstacle),
}

/// Why a workload cannot be updated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// It does not have the container that the trigger names.
    NoContainer(String),
    /// What is to be updated does not use the image.
    OtherImage(String),
}

impl Obstacle {
    /// What there is to know.
    pub fn reason(self) -> String {
        match self {
            Self::NoContainer(reason) | Self::OtherImage(reason) => reason,
        }
    }
}

impl Plan {
    /// The strategic merge patch that says the update to a Kubernetes API server; none where
    /// nothing is to be sent. Containers are merged by name, and all that are named exist at this
    /// `resource_version`. A simulated cluster has none.
    pub fn patch(&self, resource_version: Option<&str>) -> Option<Value> {
        let Self::Update { template, changes } = self else {
            return None;
        };
        let mut annotations = Map::new();
        let mut spec = Map::new();
        for (key, containers) in [
            ("containers", &template.containers),
            ("initContainers", &template.init_containers),
        ] {
            let names: HashSet<_> = containers.iter().map(|container| &container.name).collect();
            let mut patched = Vec::new();
            for (name, _, image) in changes {
                if names.contains(name) {
                    patched.push(json!({"name": name, "image": image}));
                    let annotation = format!("{DIGEST_ANNOTATION}{name}");
                    let digest = template.annotations.get(&annotation).cloned();
                    annotations.insert(annotation, digest.into());
                }
            }
            if !patched.is_empty() {
                spec.insert(key.to_owned(), patched.into());
            }
        }
        let template = json!({"metadata": {"annotations": annotations}, "spec": spec});
        let mut patch = json!({"spec": {"template": template}});
        if let Some(version) = resource_version {
            patch["metadata"] = json!({"resourceVersion": version});
        }
        Some(patch)
    }
}

/// Plans what a firing does. It never adds a container.
pub fn plan(target: Target<'_>, template: &PodTemplate) -> Plan {
    let named = !target.container.is_empty();
    let mut updated = template.clone();
    let mut changes = Vec::new();
    let mut is_found = false;
    let containers = updated
        .init_containers
        .iter_mut()
        .chain(&mut updated.containers);
    for container in containers {
        if named && container.name != target.container {
            continue;
        }
        let Some(image) = target.image_for(container) else {
            if named {
                return Plan::Impossible(Obstacle::OtherImage(format!(
                    "container {} uses {}, not {}/{}",
                    container.name,
                    excerpt(&container.image, LONGEST_IMAGE),
                    target.namespace,
                    target.repository
                )));
            }
            continue;
        };
        is_found = true;
        let annotation = format!("{DIGEST_ANNOTATION}{}", container.name);
        let digest = target.digest.to_owned();
        let is_new =
            updated.annotations.insert(annotation, digest).as_deref() != Some(target.digest);
        if is_new || container.image != image {
            let before = std::mem::replace(&mut container.image, image.clone());
            changes.push((container.name.clone(), before, image));
        }
    }
    if !is_found {
        let containers = template.containers.iter().chain(&template.init_containers);
        return Plan::Impossible(if named {
            let there = there(containers.map(|container| container.name.as_str()));
            Obstacle::NoContainer(format!("there is no container {}{there}", target.container))
        } else {
            let there = there(containers.map(|container| container.image.as_str()));
            Obstacle::OtherImage(format!(
                "no container uses {}/{}{there}",
                target.namespace, target.repository
            ))
        });
    }
    if changes.is_empty() {
        return Plan::Unchanged;
    }
    Plan::Update {
        template: updated,
        changes,
    }
}

/// What a reason names that is there instead: the first few of them.
pub(super) fn there<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names = names.map(|name| excerpt(name, LONGEST_NAME)).peekable();
    let first: Vec<_> = names.by_ref().take(MOST_NAMED).collect();
    if first.is_empty() {
        return String::new();
    }
    let more = if names.peek().is_some() { ", …" } else { "" };
    format!("; available: {}{more}", first.join(", "))
}

impl Target<'_> {
    /// The image that a container is to run, under the registry's name that it uses now; none
    /// where it runs something else.
    fn image_for(&self, container: &Container) -> Option<String> {
        let image = container.image.as_str();
        let image = image.split('@').next().unwrap_or(image);
        let path = format!("/{}/{}", self.namespace, self.repository);
        self.registry_names.iter().find_map(|host| {
            let rest = image
                .strip_prefix(host.as_str())?
                .strip_prefix(path.as_str())?;
            (rest.is_empty() || rest.starts_with(':')).then(|| format!("{host}{path}:{}", self.tag))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn containers(images: &[(&str, &str)]) -> Vec<Container> {
        let images = images.iter();
        images
            .map(|(name, image)| Container {
                name: (*name).to_owned(),
                image: (*image).to_owned(),
            })
            .collect()
    }

    fn template(init: &[(&str, &str)], main: &[(&str, &str)]) -> PodTemplate {
        PodTemplate {
            containers: containers(main),
            init_containers: containers(init),
            ..PodTemplate::default()
        }
    }

    fn planned(container: &str, template: &PodTemplate) -> Plan {
        let names = ["r.test:5000".to_owned(), "localhost:1".to_owned()];
        let target = Target {
            registry_names: &names,
            namespace: "g",
            repository: "a/b",
            tag: "v2",
            digest: "sha256:new",
            container,
        };
        plan(target, template)
    }

    #[test]
    fn every_container_that_uses_the_image_is_updated_under_its_own_host() {
        let check = |image: &str, expected: Option<&str>| {
            let plan = planned("", &template(&[], &[("c", image)]));
            let after = match plan {
                Plan::Update { changes, .. } => Some(changes[0].2.clone()),
                _ => None,
            };
            assert_eq!(after.as_deref(), expected, "{image}");
        };
        check("r.test:5000/g/a/b:v1", Some("r.test:5000/g/a/b:v2"));
        check("r.test:5000/g/a/b", Some("r.test:5000/g/a/b:v2"));
        check("r.test:5000/g/a/b:v2", Some("r.test:5000/g/a/b:v2"));
        check("localhost:1/g/a/b@sha256:old", Some("localhost:1/g/a/b:v2"));
        check(
            "localhost:1/g/a/b:v1@sha256:old",
            Some("localhost:1/g/a/b:v2"),
        );
        check("other.test/g/a/b:v1", None);
        check("r.test:5000/g/a:v1", None);
        check("r.test:5000/g/a/bc:v1", None);
        check("r.test:5000/g/a/b/c:v1", None);
        check("g/a/b:v1", None);
    }

    #[test]
    fn init_containers_count_too_and_others_are_left_alone() {
        let before = template(
            &[("init", "localhost:1/g/a/b:v1")],
            &[("main", "localhost:1/g/a/b:v1"), ("side", "nginx:1")],
        );
        let Plan::Update { template, changes } = planned("", &before) else {
            panic!("an update")
        };
        assert_eq!(changes.len(), 2);
        assert_eq!(template.containers[1], before.containers[1]);
        assert_eq!(template.init_containers[0].image, "localhost:1/g/a/b:v2");
        let annotations: Vec<_> = template.annotations.iter().collect();
        assert_eq!(annotations.len(), 2);
        assert_eq!(
            template.annotations["digest.swr-emulator/main"],
            "sha256:new"
        );
    }

    #[test]
    fn the_same_content_again_changes_nothing_and_new_content_does() {
        let before = template(&[], &[("c", "localhost:1/g/a/b:v1")]);
        let Plan::Update {
            template: after, ..
        } = planned("", &before)
        else {
            panic!("an update")
        };
        assert_eq!(planned("", &after), Plan::Unchanged);
        let mut older = after.clone();
        let annotation = "digest.swr-emulator/c".to_owned();
        older
            .annotations
            .insert(annotation, "sha256:old".to_owned());
        let plan = planned("", &older);
        assert!(matches!(plan, Plan::Update { template, .. } if template == after));
    }

    #[test]
    fn a_named_container_is_the_only_one_and_must_use_the_image() {
        let before = template(
            &[],
            &[
                ("a", "localhost:1/g/a/b:v1"),
                ("b", "localhost:1/g/a/b:v1"),
                ("c", "nginx:1"),
            ],
        );
        let Plan::Update { changes, .. } = planned("b", &before) else {
            panic!("an update")
        };
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].0, "b");
        let obstacle = |container| match planned(container, &before) {
            Plan::Impossible(obstacle) => obstacle,
            plan => panic!("{plan:?}"),
        };
        let other = |reason: &str| Obstacle::OtherImage(reason.to_owned());
        let none = |reason: &str| Obstacle::NoContainer(reason.to_owned());
        assert_eq!(obstacle("c"), other("container c uses nginx:1, not g/a/b"));
        assert_eq!(
            obstacle("d"),
            none("there is no container d; available: a, b, c")
        );
        let foreign = planned("", &template(&[], &[("c", "nginx:1")]));
        let reason = other("no container uses g/a/b; available: nginx:1");
        assert_eq!(foreign, Plan::Impossible(reason));
    }

    #[test]
    fn what_is_there_instead_is_named_up_to_a_bound() {
        let long = "x".repeat(10_000);
        assert_eq!(there([].into_iter()), "");
        assert_eq!(
            there(["a", "b", "c", "d", "e"].into_iter()),
            "; available: a, b, c, d, e"
        );
        assert_eq!(
            there(["a", "b", "c", "d", "e", "f"].into_iter()),
            "; available: a, b, c, d, e, …"
        );
        let cut = format!("; available: {}…", "x".repeat(100));
        assert_eq!(there([long.as_str()].into_iter()), cut);
        let before = template(&[], &[("c", &long)]);
        let Plan::Impossible(obstacle) = planned("c", &before) else {
            panic!("impossible")
        };
        assert!(obstacle.reason().ends_with("x…, not g/a/b"));
    }
}
