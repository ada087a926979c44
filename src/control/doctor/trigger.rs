//! What can be wrong between a trigger and its workload.

use std::collections::BTreeSet;

use super::Finding;
use crate::account::NO_AGENCY;
use crate::app::App;
use crate::engine::Hindrance;
use crate::engine::pushes::list_pushes;
use crate::error::{Error, Result};
use crate::excerpt::excerpt;
use crate::repository::RepositoryRef;
use crate::tag::TagName;
use crate::trigger::{self, Expression, Trigger, lint};

/// How many of the newest pushes are looked at.
const MOST_PUSHES: u32 = 1000;
/// How many characters of a condition are repeated.
const MAX_CONDITION: usize = 100;

/// The tags of the newest pushes of a repository.
pub(super) async fn pushed_tags(app: &App, repository: &RepositoryRef) -> Result<Vec<TagName>> {
    let pushes = list_pushes(app.db.readers(), repository.id, None, None, MOST_PUSHES).await?;
    let tags: BTreeSet<_> = pushes.into_iter().map(|push| push.tag).collect();
    Ok(tags.iter().filter_map(|tag| TagName::parse(tag)).collect())
}

/// All checks of a trigger.
pub(super) async fn examine(
    app: &App,
    repository: &RepositoryRef,
    trigger: &Trigger,
    pushed: &[TagName],
) -> Result<Vec<Finding>> {
    let mut findings = vec![enabled(repository, trigger)];
    findings.push(agency(app, repository, trigger).await?);
    findings.push(target(app, repository, trigger).await?);
    findings.push(condition(app, trigger, pushed).await?);
    Ok(findings)
}

/// What a finding about a trigger is called.
fn check(trigger: &Trigger, part: &str) -> String {
    format!("{part} of trigger {}", trigger.name.as_str())
}

/// How a trigger gets another value of a field: nothing but `enable` can be changed.
fn again(trigger: &Trigger, what: &str) -> String {
    let name = trigger.name.as_str();
    format!("delete the trigger {name}, and create it again with {what}")
}

fn enabled(repository: &RepositoryRef, trigger: &Trigger) -> Finding {
    let check = check(trigger, "switch");
    if trigger.enabled {
        return Finding::fine(check, "the trigger is enabled");
    }
    let path = format!(
        "/v2/manage/namespaces/{}/repos/{}/triggers/{}",
        repository.namespace.name,
        repository.name.as_str().replace('/', "$"),
        trigger.name.as_str()
    );
    let fix = format!("PATCH {path} with {{\"enable\":\"true\"}}");
    Finding::warning(check, "the trigger is disabled, so no push fires it", fix)
}

async fn agency(app: &App, repository: &RepositoryRef, trigger: &Trigger) -> Result<Finding> {
    let check = check(trigger, "agency");
    let lacks = app.engine.lacks_agency(&repository.namespace.account_id);
    Ok(if lacks.await? {
        let fix = "POST /v2/manage/agency, or write agency: true into the seed file";
        Finding::error(check, NO_AGENCY, fix)
    } else {
        Finding::fine(check, "nothing is missing")
    })
}

/// Whether the trigger leads to a workload that it can update.
async fn target(app: &App, repository: &RepositoryRef, trigger: &Trigger) -> Result<Finding> {
    let named = check(trigger, "workload");
    Ok(match app.engine.hindrance(repository, trigger).await? {
        None => match app.engine.misnamed_cluster(trigger).await? {
            Some(reason) => {
                let fix = again(trigger, "the cluster_name of that cluster");
                Finding::warning(check(trigger, "cluster_name"), reason, fix)
            }
            None => {
                let (kind, name) = (trigger.app_type.as_str(), &trigger.application);
                Finding::fine(named, format!("{kind}/{name} is there and uses the image"))
            }
        },
        Some(Hindrance::Field {
            field,
            reason,
            meant,
        }) => {
            let fix = match meant {
                Some(name) => again(trigger, &format!("{field} {name}")),
                None => again(trigger, &format!("another {field}")),
            };
            Finding::error(check(trigger, field), reason, fix)
        }
        Some(Hindrance::OtherImage { reason, images }) => {
            let fix = match foreign_host(repository, &images) {
                Some(host) => format!(
                    "start the emulator with --registry-host {host}, which that image names"
                ),
                None => format!(
                    "let a container use {}/{}/{}",
                    app.registry_host,
                    repository.namespace.name,
                    repository.name.as_str()
                ),
            };
            Finding::error(check(trigger, "image"), reason, fix)
        }
        Some(Hindrance::Refused(reason)) => {
            let fix = if reason.contains("answered 403") {
                "let the user of the kubeconfig get and patch the workload; swr-emulator doctor \
                 says in which namespace"
            } else {
                "write the kubeconfig of the cluster anew"
            };
            Finding::error(named, reason, fix)
        }
        Some(Hindrance::Silent(reason)) => {
            let fix = "start the cluster, or correct its kubeconfig; swr-emulator doctor says more";
            Finding::error(named, reason, fix)
        }
    })
}

/// The registry of an image that is this repository under a name which is not of this registry.
fn foreign_host<'a>(repository: &RepositoryRef, images: &'a [String]) -> Option<&'a str> {
    let path = format!("{}/{}", repository.namespace.name, repository.name.as_str());
    images.iter().find_map(|image| {
        let (host, rest) = image.split_once('/')?;
        let rest = rest.strip_prefix(&path)?;
        (rest.is_empty() || rest.starts_with([':', '@'])).then_some(host)
    })
}

/// Whether the condition describes some of what was pushed, and no more than was meant.
async fn condition(app: &App, trigger: &Trigger, pushed: &[TagName]) -> Result<Finding> {
    let check = check(trigger, "condition");
    let shown = excerpt(trigger.condition.text(), MAX_CONDITION).into_owned();
    let matched = matching(app, trigger, pushed).await?;
    if matched == 0
        && let Some(tag) = pushed.last()
    {
        let (count, tag) = (pushed.len(), tag.as_str());
        return Ok(Finding::warning(
            check,
            format!("{shown} matches none of the {count} tags that were pushed, like {tag}"),
            again(trigger, "a condition that matches the tags that you push"),
        ));
    }
    let hints = lint::of_condition(&trigger.condition);
    if let Some(hint) = hints.first() {
        let hint = hint.strip_prefix("condition: ").unwrap_or(hint);
        let fix = again(trigger, "a condition that matches no more than you mean");
        return Ok(Finding::warning(check, hint, fix));
    }
    let finding = match pushed.len() {
        0 => format!("{shown}; nothing was pushed yet"),
        count => format!("{shown} matches {matched} of the {count} tags that were pushed"),
    };
    Ok(Finding::fine(check, finding))
}

/// How many of the tags the condition describes. It may compile an expression, so it takes a while.
async fn matching(app: &App, trigger: &Trigger, pushed: &[TagName]) -> Result<usize> {
    let (matcher, condition) = (app.matcher.clone(), trigger.condition.clone());
    let tags = pushed.to_owned();
    let count = move || {
        let mut matched = 0;
        for tag in &tags {
            let is_match =
                |expression: &Expression| matcher.is_match(expression.as_str(), tag.as_str());
            let verdict = trigger::judge(true, &condition, tag, is_match)?;
            matched += usize::from(verdict.fires());
        }
        Ok::<_, Error>(matched)
    };
    let counted = tokio::task::spawn_blocking(count).await;
    counted.map_err(Error::internal)?
}
