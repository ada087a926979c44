//! How far a rollout in a real cluster is, as its Deployment or StatefulSet and its pods tell it: by
//! the rules of `kubectl rollout status`, and by what keeps a pod from starting. Pure.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{ContainerStateWaiting, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::short;
use crate::workload::{Health, RolloutState};

/// The annotation of a Deployment, and of the `ReplicaSet` that has its present pod template.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// The label of a pod that names its pod template.
const OF_REPLICA_SET: &str = "pod-template-hash";
const OF_STATEFUL_SET: &str = "controller-revision-hash";
/// How long a rollout may make no progress, where the workload does not say it, in seconds.
const PROGRESS_DEADLINE: i32 = 600;

/// A workload as its cluster has it.
#[derive(Debug)]
pub(super) enum Workload {
    Deployment(Box<Deployment>),
    StatefulSet(Box<StatefulSet>),
}

impl Workload {
    pub(super) fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Deployment(found) => &found.metadata,
            Self::StatefulSet(found) => &found.metadata,
        }
    }

    /// Which pods are its own.
    pub(super) fn selector(&self) -> &LabelSelector {
        match self {
            Self::Deployment(found) => &found.spec.selector,
            Self::StatefulSet(found) => &found.spec.selector,
        }
    }

    /// How long its rollouts may make no progress, in seconds.
    pub(super) fn progress_deadline(&self) -> u64 {
        let seconds = match self {
            Self::Deployment(found) => found.spec.progress_deadline_seconds,
            Self::StatefulSet(_) => None,
        };
        u64::try_from(seconds.unwrap_or(PROGRESS_DEADLINE)).unwrap_or_default()
    }

    /// How far the rollout of a generation is, as far as the workload itself tells.
    pub(super) fn health(&self, generation: i64) -> Health {
        let observed = match self {
            Self::Deployment(found) => found.status.as_ref().and_then(|s| s.observed_generation),
            Self::StatefulSet(found) => found.status.as_ref().and_then(|s| s.observed_generation),
        };
        if observed.unwrap_or_default() < generation {
            return progressing("the controller has not observed the update yet");
        }
        match self {
            Self::Deployment(found) => of_deployment(found),
            Self::StatefulSet(found) => of_stateful_set(found),
        }
    }

    /// The label, and its value, of the pods that run the present pod template. Those of a
    /// Deployment belong to one of its `ReplicaSets`.
    pub(super) fn present_pods(&self, replica_sets: &[ReplicaSet]) -> Option<(&str, String)> {
        match self {
            Self::Deployment(found) => {
                let revision = annotation(&found.metadata)?;
                let present = replica_sets.iter().find(|set| {
                    is_owned(&set.metadata, &found.metadata)
                        && annotation(&set.metadata) == Some(revision)
                })?;
                let labels = present.metadata.labels.as_ref()?;
                Some((OF_REPLICA_SET, labels.get(OF_REPLICA_SET)?.clone()))
            }
            Self::StatefulSet(found) => {
                let revision = found.status.as_ref()?.update_revision.clone()?;
                Some((OF_STATEFUL_SET, revision))
            }
        }
    }
}

fn annotation(metadata: &ObjectMeta) -> Option<&String> {
    metadata.annotations.as_ref()?.get(REVISION)
}

fn is_owned(metadata: &ObjectMeta, by: &ObjectMeta) -> bool {
    let owners = metadata.owner_references.iter().flatten();
    owners
        .into_iter()
        .any(|owner| Some(&owner.uid) == by.uid.as_ref())
}

fn progressing(message: impl Into<String>) -> Health {
    Health::new(RolloutState::Progressing, "", message)
}

fn of_deployment(found: &Deployment) -> Health {
    let Some(status) = &found.status else {
        return progressing("the Deployment has no status yet");
    };
    let conditions = status.conditions.iter().flatten();
    let exceeded = conditions.into_iter().find(|condition| {
        condition.type_.as_deref() == Some("Progressing")
            && condition.reason.as_deref() == Some("ProgressDeadlineExceeded")
    });
    if let Some(condition) = exceeded {
        let message = condition.message.as_deref().unwrap_or_default();
        return degraded("ProgressDeadlineExceeded", message);
    }
    let wanted = found.spec.replicas.unwrap_or(1);
    let updated = status.updated_replicas.unwrap_or_default();
    let all = status.replicas.unwrap_or_default();
    let available = status.available_replicas.unwrap_or_default();
    if updated < wanted {
        progressing(format!("{updated} of {wanted} replicas are updated"))
    } else if all > updated {
        progressing(format!("{} old replicas are left", all - updated))
    } else if available < updated {
        progressing(format!(
            "{available} of {updated} updated replicas are available"
        ))
    } else {
        Health::healthy()
    }
}

fn of_stateful_set(found: &StatefulSet) -> Health {
    let Some(status) = &found.status else {
        return progressing("the StatefulSet has no status yet");
    };
    let spec = &found.spec;
    let strategy = spec.update_strategy.as_ref();
    if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
        let message = "the update strategy is OnDelete: pods change when somebody deletes them";
        return Health::new(RolloutState::Unknown, "OnDelete", message);
    }
    let wanted = spec.replicas.unwrap_or(1);
    let updated = status.updated_replicas.unwrap_or_default();
    let ready = status.ready_replicas.unwrap_or_default();
    // A cluster before 1.22 does not tell it.
    let available = status.available_replicas.unwrap_or(ready);
    let partition = strategy
        .and_then(|strategy| strategy.rolling_update.as_ref())
        .and_then(|update| update.partition)
        .unwrap_or_default();
    let updated_wanted = (wanted - partition).max(0);
    let is_updated = partition > 0 || status.update_revision == status.current_revision;
    if updated < updated_wanted && !(partition == 0 && is_updated) {
        progressing(format!(
            "{updated} of {updated_wanted} replicas are updated"
        ))
    } else if ready < wanted {
        progressing(format!("{ready} of {wanted} replicas are ready"))
    } else if available < wanted {
        progressing(format!("{available} of {wanted} replicas are available"))
    } else if !is_updated {
        progressing("the last old replica is about to end")
    } else {
        Health::healthy()
    }
}

/// Why a pod of the present template, which has this label, does not start.
pub(super) fn obstacle(pods: &[Pod], (label, value): (&str, &str)) -> Option<Health> {
    let present = pods.iter().filter(|pod| {
        let labels = pod.metadata.labels.as_ref();
        let is_present = labels
            .and_then(|labels| labels.get(label))
            .is_some_and(|of| of == value);
        is_present && pod.metadata.deletion_timestamp.is_none()
    });
    present.into_iter().find_map(|pod| {
        let waiting = waiting(pod).find(|waiting| is_obstacle(waiting))?;
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let message = waiting
            .message
            .clone()
            .unwrap_or_else(|| format!("the pod {name} does not start"));
        Some(degraded(reason, &message))
    })
}

fn waiting(pod: &Pod) -> impl Iterator<Item = &ContainerStateWaiting> {
    let status = pod.status.iter();
    let statuses = status.flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    });
    statuses.filter_map(|status| status.state.as_ref()?.waiting.as_ref())
}

/// Whether a container waits for something that does not pass by itself.
fn is_obstacle(waiting: &ContainerStateWaiting) -> bool {
    let reason = waiting.reason.as_deref().unwrap_or_default();
    reason.starts_with("Err") || reason.ends_with("Error") || reason.ends_with("BackOff")
}

fn degraded(reason: &str, message: &str) -> Health {
    Health::new(RolloutState::Degraded, &short(reason), short(message))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deployment(replicas: i32, status: &Value) -> Workload {
        let object = json!({
            "metadata": {"uid": "d", "annotations": {REVISION: "2"}},
            "spec": {
                "replicas": replicas, "selector": {}, "template": {},
                "progressDeadlineSeconds": 7,
            },
            "status": status,
        });
        let found = serde_json::from_value(object).expect("a Deployment");
        Workload::Deployment(Box::new(found))
    }

    fn stateful_set(strategy: &Value, status: &Value) -> Workload {
        let object = json!({
            "spec": {
                "replicas": 2, "selector": {}, "serviceName": "s", "template": {},
                "updateStrategy": strategy,
            },
            "status": status,
        });
        let found = serde_json::from_value(object).expect("a StatefulSet");
        Workload::StatefulSet(Box::new(found))
    }

    fn told(health: Health) -> (RolloutState, String) {
        let Health {
            state,
            reason,
            message,
        } = health;
        let colon = if reason.is_empty() { "" } else { ": " };
        (state, format!("{reason}{colon}{message}"))
    }

    #[test]
    fn a_deployment_is_healthy_once_all_its_replicas_are_new_and_available() {
        use RolloutState::{Degraded, Healthy, Progressing};
        let check = |status: Value, state, message: &str| {
            let health = deployment(2, &status).health(3);
            assert_eq!(told(health), (state, message.to_owned()));
        };
        let unseen = "the controller has not observed the update yet";
        check(json!(null), Progressing, unseen);
        let old = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        check(old, Progressing, unseen);
        let status = |updated: i32, all: i32, available: i32| {
            json!({
                "observedGeneration": 3, "updatedReplicas": updated, "replicas": all,
                "availableReplicas": available,
            })
        };
        check(status(1, 3, 2), Progressing, "1 of 2 replicas are updated");
        check(status(2, 3, 2), Progressing, "1 old replicas are left");
        let unavailable = "1 of 2 updated replicas are available";
        check(status(2, 2, 1), Progressing, unavailable);
        check(status(2, 2, 2), Healthy, "");
        let mut late = status(1, 3, 2);
        late["conditions"] = json!([
            {"type": "Available", "status": "True"},
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
             "message": "ReplicaSet \"web-1\" has timed out progressing."},
        ]);
        let message = "ProgressDeadlineExceeded: ReplicaSet \"web-1\" has timed out progressing.";
        check(late, Degraded, message);
        assert_eq!(deployment(2, &json!({})).progress_deadline(), 7);
    }

    #[test]
    fn a_stateful_set_is_healthy_by_its_own_rules() {
        use RolloutState::{Healthy, Progressing, Unknown};
        let check = |strategy: Value, status: Value, state, message: &str| {
            let health = stateful_set(&strategy, &status).health(3);
            assert_eq!(told(health), (state, message.to_owned()));
        };
        let rolling = || json!({"type": "RollingUpdate"});
        let status = |updated: i32, ready: i32, current: &str| {
            json!({
                "observedGeneration": 3, "replicas": 2, "updatedReplicas": updated,
                "readyReplicas": ready, "availableReplicas": ready,
                "currentRevision": current, "updateRevision": "b",
            })
        };
        let unseen = "the controller has not observed the update yet";
        check(rolling(), json!({"replicas": 2}), Progressing, unseen);
        let one = "1 of 2 replicas are updated";
        check(rolling(), status(1, 2, "a"), Progressing, one);
        let ready = "1 of 2 replicas are ready";
        check(rolling(), status(2, 1, "a"), Progressing, ready);
        let last = "the last old replica is about to end";
        check(rolling(), status(2, 2, "a"), Progressing, last);
        check(rolling(), status(2, 2, "b"), Healthy, "");
        let mut early = status(2, 2, "b");
        early["availableReplicas"] = json!(1);
        let available = "1 of 2 replicas are available";
        check(rolling(), early, Progressing, available);
        let partition = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
        check(partition.clone(), status(1, 2, "a"), Healthy, "");
        let none = "0 of 1 replicas are updated";
        check(partition, status(0, 2, "a"), Progressing, none);
        let by_hand =
            "OnDelete: the update strategy is OnDelete: pods change when somebody deletes them";
        check(
            json!({"type": "OnDelete"}),
            status(0, 2, "a"),
            Unknown,
            by_hand,
        );
        assert_eq!(
            stateful_set(&rolling(), &json!({"replicas": 2})).progress_deadline(),
            600
        );
    }

    fn pod(hash: &str, waiting: &Value) -> Pod {
        let pod = json!({
            "metadata": {"name": "web-1", "labels": {OF_REPLICA_SET: hash}},
            "status": {
                "initContainerStatuses": [{"name": "i", "image": "", "imageID": "", "ready": true,
                    "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}],
                "containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": false,
                    "restartCount": 0, "state": {"waiting": waiting}}],
            },
        });
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn a_pod_of_the_present_template_that_cannot_start_degrades_the_rollout() {
        let found = |pods: &[Pod]| obstacle(pods, (OF_REPLICA_SET, "new")).map(told);
        let waits = |reason: &str| json!({"reason": reason, "message": "why"});
        for reason in [
            "ErrImagePull",
            "ImagePullBackOff",
            "CrashLoopBackOff",
            "CreateContainerConfigError",
        ] {
            let expected = (RolloutState::Degraded, format!("{reason}: why"));
            assert_eq!(found(&[pod("new", &waits(reason))]), Some(expected));
            assert_eq!(found(&[pod("old", &waits(reason))]), None);
        }
        for reason in ["ContainerCreating", "PodInitializing"] {
            assert_eq!(found(&[pod("new", &waits(reason))]), None);
        }
        let mut ending = pod("new", &waits("ErrImagePull"));
        ending.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).ok();
        assert_eq!(found(&[ending]), None);
        let silent = found(&[pod("new", &json!({"reason": "ErrImagePull"}))]);
        let expected = "ErrImagePull: the pod web-1 does not start".to_owned();
        assert_eq!(silent, Some((RolloutState::Degraded, expected)));
    }

    #[test]
    fn the_present_pods_of_a_deployment_are_those_of_its_present_replica_set() {
        let set = |owner: &str, revision: &str, hash: &str| {
            let set = json!({"metadata": {
                "annotations": {REVISION: revision}, "labels": {OF_REPLICA_SET: hash},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web",
                                     "uid": owner}],
            }});
            serde_json::from_value(set).expect("a ReplicaSet")
        };
        let sets = [
            set("d", "1", "old"),
            set("x", "2", "other"),
            set("d", "2", "new"),
        ];
        let found = deployment(1, &json!({}));
        assert_eq!(
            found.present_pods(&sets),
            Some((OF_REPLICA_SET, "new".to_owned()))
        );
        assert_eq!(found.present_pods(&sets[..2]), None);
    }
}
