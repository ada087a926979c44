//! What can be wrong with the clusters: those that triggers name and that are not there, and real
//! ones that cannot be reached or do not let the emulator do its work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;

use super::Finding;
use crate::app::App;
use crate::cce;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::kubernetes::{Failure, RealCluster};
use crate::trigger::{self, AppType};

/// How many places of triggers are looked at.
const MOST_SCENES: u32 = 1000;
/// How many namespaces of a real cluster are asked about.
const MOST_NAMESPACES: usize = 10;
/// How long a real cluster may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a firing does with a workload.
const VERBS: [&str; 2] = ["get", "patch"];
/// What else is looked at to follow a rollout: group and resource.
const FOLLOWED: [(&str, &str); 2] = [("", "pods"), ("apps", "replicasets")];

/// All checks.
pub(super) async fn examine(app: &App) -> Result<Vec<Finding>> {
    let db = app.db.readers();
    let clusters = cce::store::list(db).await?;
    let mut missing = BTreeSet::new();
    let mut places: BTreeMap<String, BTreeSet<(String, &'static str)>> = BTreeMap::new();
    for scene in trigger::store::list_scenes(db, MOST_SCENES).await? {
        match Engine::choose(&scene.cluster, &clusters) {
            Ok(cluster) => {
                let place = (scene.cluster_ns, scene.app_type.as_str());
                places.entry(cluster.id.clone()).or_default().insert(place);
            }
            Err(reason) => drop(missing.insert(reason)),
        }
    }
    let mut findings = vec![named(clusters.len(), &missing)];
    let real = app.engine.real_clusters();
    let none = BTreeSet::new();
    let asked = clusters.iter().filter_map(|cluster| {
        let access = real.get(&cluster.id)?;
        let places = places.get(&cluster.id).unwrap_or(&none);
        Some(cluster_findings(&cluster.name, access, places))
    });
    for asked in join_all(asked).await {
        findings.extend(asked?);
    }
    Ok(findings)
}

/// Whether triggers name clusters that there are.
fn named(clusters: usize, missing: &BTreeSet<String>) -> Finding {
    let check = "clusters";
    match missing.first() {
        None => Finding::fine(
            check,
            format!("{clusters} known; no trigger names another one"),
        ),
        Some(reason) => Finding::error(
            check,
            format!("a trigger leads nowhere: {reason}"),
            "run swr-emulator doctor ORGANIZATION/REPOSITORY for the trigger, and add the cluster \
             to the seed file or create the trigger again",
        ),
    }
}

/// The checks of a real cluster, the first of which that fails ends them.
async fn cluster_findings(
    name: &str,
    cluster: &RealCluster,
    places: &BTreeSet<(String, &'static str)>,
) -> Result<Vec<Finding>> {
    let file = cluster.kubeconfig();
    let check = format!("kubeconfig of cluster {name}");
    let shown = file.clone().unwrap_or_else(|| "in_cluster".to_owned());
    // It may be on a file system that does not answer: reached in vain, that is told below.
    if let Some(reason) = unreadable(cluster).await? {
        let fix = format!("correct {shown}, or the path in the seed file");
        return Ok(vec![Finding::error(check, reason, fix)]);
    }
    let mut findings = vec![Finding::fine(check, format!("{shown} can be read"))];
    let usual = BTreeSet::from([("default".to_owned(), AppType::Deployments.as_str())]);
    let places = if places.is_empty() { &usual } else { places };
    let mut lacking = Vec::new();
    for (namespace, kind) in places.iter().take(MOST_NAMESPACES) {
        for verb in VERBS {
            match may(cluster, verb, ("apps", kind), namespace).await {
                Ok(true) => {}
                Ok(false) => lacking.push((verb, *kind, namespace.clone())),
                Err(failure) => {
                    findings.push(unreached(name, &shown, failure));
                    return Ok(findings);
                }
            }
        }
    }
    let check = format!("cluster {name}");
    findings.push(Finding::fine(check, "it answers, and knows the emulator"));
    let check = format!("rights in cluster {name}");
    findings.push(match lacking.first() {
        None => {
            let verbs = VERBS.join(" and ");
            Finding::fine(
                check,
                format!("the emulator may {verbs} the workloads of triggers"),
            )
        }
        Some((_, kind, namespace)) => {
            let denied: Vec<_> = lacking
                .iter()
                .filter(|(_, of, place)| of == kind && place == namespace)
                .map(|(verb, ..)| *verb)
                .collect();
            Finding::error(
                check,
                format!(
                    "the emulator may not {} {kind} in namespace {namespace}",
                    denied.join(" and ")
                ),
                format!(
                    "kubectl create role swr-emulator --namespace {namespace} --verb=get,patch \
                     --resource={kind}.apps, and bind it to the user of {shown}"
                ),
            )
        }
    });
    let first = places.first().filter(|_| lacking.is_empty());
    if let Some((namespace, _)) = first {
        let followed = followed(name, cluster, namespace).await;
        findings.push(followed.unwrap_or_else(|failure| unreached(name, &shown, failure)));
    }
    Ok(findings)
}

/// Whether the emulator may look at what tells how a rollout goes, in the first namespace.
async fn followed(
    name: &str,
    cluster: &RealCluster,
    namespace: &str,
) -> std::result::Result<Finding, Failure> {
    let check = format!("rollouts in cluster {name}");
    for resource in FOLLOWED {
        if !may(cluster, "list", resource, namespace).await? {
            let (_, resource) = resource;
            return Ok(Finding::warning(
                check,
                format!(
                    "the emulator may not list {resource} in namespace {namespace}, so no rollout \
                     tells the message of a pod"
                ),
                "add the optional rules of the Role in the guide, Real clusters",
            ));
        }
    }
    let finding = "the emulator may look at pods and ReplicaSets";
    Ok(Finding::fine(check, finding))
}

async fn may(
    cluster: &RealCluster,
    verb: &str,
    resource: (&str, &str),
    namespace: &str,
) -> std::result::Result<bool, Failure> {
    let asked = tokio::time::timeout(PATIENCE, cluster.may(verb, resource, namespace)).await;
    asked.unwrap_or_else(|_| {
        let seconds = PATIENCE.as_secs();
        Err(Failure::Passing(format!(
            "the cluster did not answer within {seconds} s"
        )))
    })
}

async fn unreadable(cluster: &RealCluster) -> Result<Option<String>> {
    let access = cluster.access().clone();
    let read = tokio::task::spawn_blocking(move || access.unreadable());
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(read) => read.map_err(Error::internal),
        Err(_) => Ok(None),
    }
}

fn unreached(name: &str, kubeconfig: &str, failure: Failure) -> Finding {
    let (Failure::Final(reason) | Failure::Passing(reason)) = failure;
    let is_unknown = reason.contains("answered 401");
    let fix = if is_unknown {
        format!("{kubeconfig} is stale; write it anew, as for kind with kind export kubeconfig")
    } else {
        format!("start the cluster, or write its present address into {kubeconfig}")
    };
    Finding::error(format!("cluster {name}"), reason, fix)
}
