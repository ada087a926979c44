//! From a push to its effects.

use serde::{Deserialize, Serialize};
use swr_emulator::internal::nearest;

use super::record::{Change, Decision, Place, Push, Request, Rollout, Workload};
use super::subject::Image;
use super::tree::Tree;
use crate::command::ask::{Target, escaped, with_query};

const PUSHES: &str = "/_emulator/pushes";
const REQUESTS: &str = "/_emulator/requests?limit=1000";

/// How many firings of a push are traced to their workloads, each of which takes a request.
const MOST_WORKLOADS: usize = 100;

/// A push with its effects.
#[derive(Debug, Serialize)]
pub(super) struct Trace {
    namespace: String,
    repository: String,
    push: PushView,
    triggers: Vec<Traced>,
    /// Triggers that the push did not see.
    younger: Vec<Younger>,
    /// How many triggers the push saw.
    trigger_count: usize,
    /// Whether all that fired reached healthy, as far as that is known.
    healthy: bool,
    /// The push on the emulator's page.
    page: String,
}

#[derive(Debug, Serialize)]
struct PushView {
    id: i64,
    tag: String,
    digest: String,
    pushed_by: String,
    pushed_at: String,
    /// The request that pushed, if it is remembered.
    request: Option<Request>,
}

/// A trigger that the push saw.
#[derive(Debug, Serialize)]
struct Traced {
    #[serde(flatten)]
    decision: Decision,
    /// How close the tag came to the condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    near_miss: Option<String>,
    /// What its workload got.
    changes: Vec<Change>,
}

/// A trigger that was made after the push.
#[derive(Debug, Serialize)]
struct Younger {
    trigger: String,
    /// What another push of the tag would do: `updates`, `unchanged`, `fails` or `skipped`.
    outcome: String,
    reason: String,
}

/// What a push would mean for a trigger now.
#[derive(Debug, Deserialize)]
struct Explained {
    trigger: String,
    outcome: String,
    reason: String,
}

/// A trigger, as far as it says where its workload is.
#[derive(Debug, Deserialize)]
struct Trigger {
    name: String,
    app_type: String,
    application: String,
    cluster_id: String,
    cluster_name: String,
    cluster_ns: String,
}

/// The newest push of an image, with its effects.
pub(super) async fn trace(target: &Target, image: &Image) -> Result<Trace, String> {
    let push = newest_push(target, image).await?;
    let Image {
        namespace,
        repository,
        ..
    } = image;
    let names = [
        ("namespace", namespace.as_str()),
        ("repository", repository.as_str()),
        ("tag", push.tag.as_str()),
        ("limit", "1000"),
    ];
    let explained: Vec<Explained> = target
        .read(&with_query("/_emulator/explain", &names))
        .await?;
    let request = match &push.request_id {
        Some(id) => request(target, id).await?,
        None => None,
    };
    let mut triggers = Vec::new();
    let mut places = Places::of(target, image);
    let mut looked_at = 0;
    let is_whole = push.triggers.len() == push.trigger_count;
    let is_younger = |one: &&Explained| {
        let mut seen = push.triggers.iter();
        is_whole && !seen.any(|decision| decision.trigger == one.trigger)
    };
    let younger = explained.iter().filter(is_younger).map(|one| Younger {
        trigger: one.trigger.clone(),
        outcome: one.outcome.clone(),
        reason: one.reason.clone(),
    });
    let younger = younger.collect();
    for mut decision in push.triggers {
        let mut changes = Vec::new();
        if decision.fires && looked_at < MOST_WORKLOADS {
            looked_at += 1;
            if decision.workload.is_none() {
                decision.workload = places.find(&decision.trigger).await?;
            }
            if let Some(place) = &decision.workload {
                changes = changes_at(target, place).await?;
                changes.retain(|change| {
                    change.trigger == decision.trigger
                        && change.tag == push.tag
                        && change.digest == push.digest
                });
            }
        }
        let near_miss = explained
            .iter()
            .find(|one| one.trigger == decision.trigger && !decision.fires)
            .and_then(|one| {
                one.reason
                    .strip_prefix(&decision.reason)?
                    .strip_prefix(": ")
            });
        triggers.push(Traced {
            near_miss: near_miss.map(str::to_owned),
            decision,
            changes,
        });
    }
    Ok(Trace {
        namespace: namespace.clone(),
        repository: repository.clone(),
        healthy: triggers.iter().all(|one| one.decision.is_healthy()),
        triggers,
        younger,
        trigger_count: push.trigger_count,
        page: page(target, image, push.id),
        push: PushView {
            id: push.id,
            tag: push.tag,
            digest: push.digest,
            pushed_by: push.pushed_by,
            pushed_at: push.pushed_at,
            request,
        },
    })
}

/// The newest push of an image; the error names the tags that were pushed instead.
pub(super) async fn newest_push(target: &Target, image: &Image) -> Result<Push, String> {
    let mut pushes = list_pushes(target, image, image.tag.as_deref(), "1").await?;
    if let Some(push) = pushes.pop() {
        return Ok(push);
    }
    let others = list_pushes(target, image, None, "100").await?;
    let mut tags: Vec<_> = others.iter().map(|push| push.tag.as_str()).collect();
    let meant = image.tag.as_deref();
    let instead = if let Some(tag) = meant.and_then(|tag| nearest(tag, tags.iter().copied())) {
        format!("; did you mean {tag}?")
    } else if tags.is_empty() {
        String::new()
    } else {
        tags.dedup();
        tags.truncate(5);
        format!("; the newest pushes are of {}", tags.join(", "))
    };
    Err(format!("no push of {image} is remembered{instead}"))
}

async fn list_pushes(
    target: &Target,
    image: &Image,
    tag: Option<&str>,
    limit: &str,
) -> Result<Vec<Push>, String> {
    let mut query = vec![
        ("namespace", image.namespace.as_str()),
        ("repository", image.repository.as_str()),
        ("limit", limit),
    ];
    query.extend(tag.map(|tag| ("tag", tag)));
    target.read(&with_query(PUSHES, &query)).await
}

/// The push of an image with a digest, among its newest ones.
pub(super) async fn push_with_digest(
    target: &Target,
    image: &Image,
    digest: &str,
) -> Result<Option<Push>, String> {
    let query = [
        ("namespace", image.namespace.as_str()),
        ("repository", image.repository.as_str()),
        ("tag", image.tag.as_deref().unwrap_or_default()),
    ];
    let pushes: Option<Vec<Push>> = target.find(&with_query(PUSHES, &query)).await?;
    let mut pushes = pushes.unwrap_or_default().into_iter();
    Ok(pushes.find(|push| push.digest == digest))
}

/// A request, while it is remembered.
pub(super) async fn request(target: &Target, id: &str) -> Result<Option<Request>, String> {
    let requests: Vec<Request> = target.read(REQUESTS).await?;
    let mut requests = requests.into_iter();
    Ok(requests.find(|request| request.request_id == id))
}

/// Where the emulator's page shows a push.
pub(super) fn page(target: &Target, image: &Image, id: i64) -> String {
    let (namespace, repository) = (escaped(&image.namespace), escaped(&image.repository));
    format!(
        "{}/_emulator/#/push/{namespace}/{repository}/{id}",
        target.url
    )
}

async fn changes_at(target: &Target, place: &Place) -> Result<Vec<Change>, String> {
    let workload: Option<Workload> = target.find(&place.path()).await?;
    Ok(workload.map_or_else(Vec::new, |workload| workload.rollouts))
}

/// Where the triggers of a repository act, asked for once.
struct Places<'a> {
    target: &'a Target,
    image: &'a Image,
    triggers: Option<Vec<Trigger>>,
    only_cluster: Option<String>,
}

impl<'a> Places<'a> {
    fn of(target: &'a Target, image: &'a Image) -> Self {
        Self {
            target,
            image,
            triggers: None,
            only_cluster: None,
        }
    }

    async fn find(&mut self, trigger: &str) -> Result<Option<Place>, String> {
        let triggers = match self.triggers.take() {
            Some(triggers) => triggers,
            None => self.list().await?,
        };
        let triggers = self.triggers.insert(triggers);
        let Some(found) = triggers.iter().find(|one| one.name == trigger) else {
            return Ok(None);
        };
        let mut clusters = [&found.cluster_id, &found.cluster_name].into_iter();
        let cluster = clusters.find(|text| !text.is_empty());
        let cluster = cluster.or(self.only_cluster.as_ref()).cloned();
        Ok(cluster.map(|cluster| Place {
            cluster,
            namespace: found.cluster_ns.clone(),
            kind: found.app_type.clone(),
            name: found.application.clone(),
        }))
    }

    /// All triggers, and the cluster that those mean which name none.
    async fn list(&mut self) -> Result<Vec<Trigger>, String> {
        #[derive(Deserialize)]
        struct Clusters {
            clusters: Vec<Cluster>,
        }
        #[derive(Deserialize)]
        struct Cluster {
            id: String,
        }
        let repository = self.image.repository.replace('/', "$");
        let namespace = &self.image.namespace;
        let path = format!("/v2/manage/namespaces/{namespace}/repos/{repository}/triggers");
        let triggers = self.target.read(&path).await?;
        let Clusters { mut clusters } = self.target.read("/_emulator/clusters?limit=1000").await?;
        if clusters.len() == 1 {
            self.only_cluster = clusters.pop().map(|cluster| cluster.id);
        }
        Ok(triggers)
    }
}

impl Trace {
    pub(super) fn is_healthy(&self) -> bool {
        self.healthy
    }

    pub(super) fn tree(&self) -> Tree {
        let Self {
            namespace,
            repository,
            push,
            triggers,
            younger,
            trigger_count,
            page,
            ..
        } = self;
        let PushView {
            id,
            tag,
            digest,
            pushed_by,
            pushed_at,
            request,
        } = push;
        let pushed = Tree::new(format!("push {id} by {pushed_by} at {pushed_at}"))
            .with(format!("digest {digest}"))
            .with_all(request.as_ref().map(Request::told))
            .with(format!("page {page}"));
        let mut tree = Tree::new(format!("{namespace}/{repository}:{tag}"))
            .with(pushed)
            .with_all(triggers.iter().map(Traced::tree));
        let more = trigger_count.saturating_sub(triggers.len());
        if more > 0 {
            tree = tree.with(format!("{more} more triggers"));
        }
        if triggers.is_empty() {
            tree = tree.with("the repository had no triggers".to_owned());
        }
        tree.with_all(younger.iter().map(|one| {
            let Younger {
                trigger,
                outcome,
                reason,
            } = one;
            format!("{trigger} was made after this push; a push of {tag} now: {outcome}, {reason}")
        }))
    }
}

impl Traced {
    fn tree(&self) -> Tree {
        let Self {
            decision,
            near_miss,
            changes,
        } = self;
        let next_try = decision.next_try_at.as_ref();
        let mut tree = Tree::new(decision.told())
            .with_all(near_miss.as_ref().map(|near| format!("near miss: {near}")))
            .with_all(next_try.map(|at| format!("next try at {at}")));
        if let Some(place) = decision.workload.as_ref().filter(|_| decision.fires) {
            tree =
                tree.with(Tree::new(place.to_string()).with_all(changes.iter().map(Change::told)));
        }
        tree.with_all(decision.rollout.as_ref().map(Rollout::tree))
    }
}
