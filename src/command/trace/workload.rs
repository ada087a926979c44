//! From a workload back to the pushes that it runs.

use serde::{Deserialize, Serialize};
use swr_emulator::internal::nearest;

use super::image::{newest_push, page, push_with_digest, request};
use super::record::{Change, Decision, Place, Push, Request, Rollout, Workload};
use super::subject::{Image, Workload as Wanted};
use super::tree::Tree;
use crate::command::ask::{Target, with_query};

/// How many pages of workloads are read, each of a thousand.
const MOST_PAGES: usize = 100;
const PAGE: usize = 1000;

/// Which workload is meant.
pub(super) struct Chosen<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) namespace: Option<&'a str>,
    /// The cluster's id or name.
    pub(super) cluster: Option<&'a str>,
}

/// A workload, and the origin of its images.
#[derive(Debug, Serialize)]
pub(super) struct Trace {
    workload: Place,
    /// Its latest rollout, where that is known.
    status: Option<Rollout>,
    /// Those of a simulated workload.
    containers: Vec<Traced>,
    /// The newest update of a workload in a real cluster, which is not asked for its containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    update: Option<Update>,
    /// Whether the latest rollout is healthy, as far as that is known.
    healthy: bool,
}

#[derive(Debug, Serialize)]
struct Traced {
    container: String,
    image: String,
    /// The update that set the image; none where it is as it was put.
    change: Option<Change>,
    /// The push that caused it, if it is remembered.
    push: Option<Origin>,
    /// A newer push of the repository, which the container does not run.
    newer: Option<Newer>,
}

#[derive(Debug, Serialize)]
struct Origin {
    id: i64,
    image: String,
    pushed_by: String,
    pushed_at: String,
    request: Option<Request>,
    page: String,
}

#[derive(Debug, Serialize)]
struct Update {
    push: Origin,
    #[serde(flatten)]
    decision: Decision,
}

/// What the emulator remembers of pushes to all repositories.
#[derive(Debug, Deserialize)]
struct Report {
    pushes: Vec<Located>,
}

#[derive(Debug, Deserialize)]
struct Located {
    namespace: String,
    repository: String,
    #[serde(flatten)]
    push: Push,
}

#[derive(Debug, Serialize)]
struct Newer {
    id: i64,
    image: String,
    pushed_at: String,
    triggers: Vec<Decision>,
}

#[derive(Debug, Deserialize)]
struct Clusters {
    clusters: Vec<Cluster>,
}

#[derive(Debug, Deserialize)]
struct Cluster {
    id: String,
    name: String,
    /// `namespace/kind/name` of each.
    workloads: Vec<String>,
}

pub(super) async fn trace(target: &Target, chosen: &Chosen<'_>) -> Result<Trace, String> {
    let clusters = list(target).await?;
    let place = match chosen.find(&clusters)? {
        Found::Simulated(place) => place,
        Found::None(reason) => {
            let updated = chosen.find_updated(target, &clusters).await?;
            return updated.ok_or(reason);
        }
    };
    let workload: Option<Workload> = target.find(&place.path()).await?;
    let Some(workload) = workload else {
        return Err(format!("the emulator does not show {place}"));
    };
    let Workload {
        containers,
        init_containers,
        rollouts,
        status,
    } = workload;
    let mut traced = Vec::new();
    for container in init_containers.into_iter().chain(containers) {
        let mut changes = rollouts.iter();
        let change = changes.find(|change| change.container == container.name);
        let change = change.filter(|change| change.after == container.image);
        let image = Image::of_container(&container.image);
        let (mut push, mut newer) = (None, None);
        if let Some(image) = &image {
            if let Some(change) = change {
                push = origin(target, image, change).await?;
            }
            newer = newer_push(target, image, change).await?;
        }
        traced.push(Traced {
            container: container.name,
            image: container.image,
            change: change.cloned(),
            push,
            newer,
        });
    }
    Ok(Trace {
        workload: place,
        healthy: status.as_ref().is_none_or(Rollout::is_healthy),
        status,
        containers: traced,
        update: None,
    })
}

/// What is meant, as far as the simulated clusters tell.
enum Found {
    Simulated(Place),
    /// None of theirs, and why.
    None(String),
}

impl Chosen<'_> {
    /// Whether a cluster may be the one that is meant.
    fn admits(&self, cluster: &Cluster) -> bool {
        let Cluster { id, name, .. } = cluster;
        self.cluster.is_none_or(|text| text == id || text == name)
    }

    /// The workload in a real cluster that was updated last, of those that are meant.
    async fn find_updated(
        &self,
        target: &Target,
        clusters: &[Cluster],
    ) -> Result<Option<Trace>, String> {
        let report: Option<Report> = target.find("/_emulator/report").await?;
        let is_meant = |place: &Place| {
            let mut clusters = clusters.iter().filter(|cluster| self.admits(cluster));
            let namespace = self.namespace;
            place.kind == self.wanted.kind
                && place.name == self.wanted.name
                && namespace.is_none_or(|namespace| namespace == place.namespace)
                && clusters.any(|cluster| cluster.id == place.cluster)
        };
        for located in report.map_or_else(Vec::new, |report| report.pushes) {
            let Located {
                namespace,
                repository,
                push,
            } = located;
            let mut decisions = push.triggers.iter().filter(|decision| {
                let is_done = decision.result.as_deref() == Some("success");
                is_done && decision.workload.as_ref().is_some_and(is_meant)
            });
            let Some(decision) = decisions.next_back().cloned() else {
                continue;
            };
            let Some(place) = decision.workload.clone() else {
                continue;
            };
            let image = Image {
                namespace,
                repository,
                tag: Some(push.tag.clone()),
            };
            return Ok(Some(Trace {
                workload: place,
                healthy: decision.is_healthy(),
                status: decision.rollout.clone(),
                containers: Vec::new(),
                update: Some(Update {
                    push: Origin::of(target, &image, push).await?,
                    decision,
                }),
            }));
        }
        Ok(None)
    }

    /// The one workload of a simulated cluster that is meant.
    fn find(&self, clusters: &[Cluster]) -> Result<Found, String> {
        let Self {
            wanted, namespace, ..
        } = self;
        let mut found = Vec::new();
        let mut names = Vec::new();
        for listed in clusters {
            let is_meant = self.admits(listed);
            for place in listed.workloads.iter().filter(|_| is_meant) {
                let mut parts = place.split('/');
                let (Some(space), Some(kind), Some(name)) =
                    (parts.next(), parts.next(), parts.next())
                else {
                    continue;
                };
                if kind != wanted.kind || namespace.is_some_and(|namespace| namespace != space) {
                    continue;
                }
                if name == wanted.name {
                    found.push(Place {
                        cluster: listed.id.clone(),
                        namespace: space.to_owned(),
                        kind: kind.to_owned(),
                        name: name.to_owned(),
                    });
                }
                names.push(name.to_owned());
            }
        }
        match &found[..] {
            [place] => Ok(Found::Simulated(place.clone())),
            [] => {
                let there = match nearest(&wanted.name, names.iter().map(String::as_str)) {
                    Some(name) => format!("; did you mean {name}?"),
                    None if names.is_empty() => String::new(),
                    None => format!("; there: {}", first(&names)),
                };
                let reason = format!(
                    "no simulated cluster has {wanted}, and no push that is remembered updated it in \
                     a real one{there}"
                );
                Ok(Found::None(reason))
            }
            several => {
                let places: Vec<_> = several.iter().map(Place::to_string).collect();
                Err(format!(
                    "there are several {wanted}; choose one with --namespace and --cluster: {}",
                    first(&places)
                ))
            }
        }
    }
}

fn first(texts: &[String]) -> String {
    let shown: Vec<_> = texts.iter().take(5).map(String::as_str).collect();
    let more = if texts.len() > shown.len() {
        ", …"
    } else {
        ""
    };
    format!("{}{more}", shown.join(", "))
}

/// All clusters with their workloads.
async fn list(target: &Target) -> Result<Vec<Cluster>, String> {
    let mut all = Vec::new();
    let mut marker = None;
    for _ in 0..MOST_PAGES {
        let limit = PAGE.to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(marker.as_deref().map(|marker| ("marker", marker)));
        let page: Clusters = target
            .read(&with_query("/_emulator/clusters", &query))
            .await?;
        let clusters = page.clusters.iter();
        let listed: usize = clusters.map(|one| one.workloads.len().max(1)).sum();
        marker = page.clusters.last().map(|last| {
            let place = last.workloads.last().map_or("//", String::as_str);
            format!("{}/{place}", last.id)
        });
        all.extend(page.clusters);
        if listed < PAGE {
            break;
        }
    }
    Ok(all)
}

/// The push that caused a change.
async fn origin(target: &Target, image: &Image, change: &Change) -> Result<Option<Origin>, String> {
    let image = Image {
        tag: Some(change.tag.clone()),
        ..image.clone()
    };
    let Some(push) = push_with_digest(target, &image, &change.digest).await? else {
        return Ok(None);
    };
    Origin::of(target, &image, push).await.map(Some)
}

impl Origin {
    async fn of(target: &Target, image: &Image, push: Push) -> Result<Self, String> {
        let request = match &push.request_id {
            Some(id) => request(target, id).await?,
            None => None,
        };
        Ok(Self {
            id: push.id,
            page: page(target, image, push.id),
            image: image.to_string(),
            pushed_by: push.pushed_by,
            pushed_at: push.pushed_at,
            request,
        })
    }

    fn tree(&self) -> Tree {
        let Self {
            id,
            image,
            pushed_by,
            pushed_at,
            request,
            page,
        } = self;
        Tree::new(format!(
            "push {id} of {image} by {pushed_by} at {pushed_at}"
        ))
        .with_all(request.as_ref().map(Request::told))
        .with(format!("page {page}"))
    }
}

/// The newest push of the repository, where it is not the one that the container runs.
async fn newer_push(
    target: &Target,
    image: &Image,
    change: Option<&Change>,
) -> Result<Option<Newer>, String> {
    let any_tag = Image {
        tag: None,
        ..image.clone()
    };
    // Without a push, or a right to see it, there is nothing to tell.
    let Ok(Push {
        id,
        tag,
        digest,
        pushed_at,
        triggers,
        ..
    }) = newest_push(target, &any_tag).await
    else {
        return Ok(None);
    };
    if change.is_some_and(|change| change.digest == digest && change.tag == tag) {
        return Ok(None);
    }
    Ok(Some(Newer {
        id,
        image: format!("{any_tag}:{tag}"),
        pushed_at,
        triggers,
    }))
}

impl Trace {
    pub(super) fn is_healthy(&self) -> bool {
        self.healthy
    }

    pub(super) fn tree(&self) -> Tree {
        Tree::new(self.workload.to_string())
            .with_all(self.containers.iter().map(Traced::tree))
            .with_all(self.update.as_ref().map(|update| update.push.tree()))
            .with_all(self.update.as_ref().map(|update| update.decision.told()))
            .with_all(self.status.as_ref().map(Rollout::tree))
    }
}

impl Traced {
    fn tree(&self) -> Tree {
        let Self {
            container,
            image,
            change,
            push,
            newer,
        } = self;
        let mut tree = Tree::new(format!("container {container}: {image}"));
        match change {
            None => tree = tree.with("no trigger has set this image".to_owned()),
            Some(change) => {
                let Change {
                    at,
                    trigger,
                    before,
                    digest,
                    ..
                } = change;
                let set = format!("set by the trigger {trigger} at {at}, before: {before}");
                tree = tree.with(set).with(format!("digest {digest}"));
            }
        }
        if let Some(push) = push {
            tree = tree.with(push.tree());
        }
        if let Some(newer) = newer {
            let Newer {
                id,
                image,
                pushed_at,
                triggers,
            } = newer;
            let line = format!("the newest push {id} is of {image} at {pushed_at}");
            tree = tree.with(Tree::new(line).with_all(triggers.iter().map(Decision::told)));
        }
        tree
    }
}
