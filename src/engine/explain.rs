//! What a push of a tag would do now, trigger by trigger, without doing it; and whether a new
//! trigger has something to update.

use std::collections::HashMap;

use serde_json::Value;

use super::destination::{Destination, Sighting};
use super::matching::Judgement;
use super::plan::{Plan, Target, plan};
use super::{Engine, nearest_miss};
use crate::account::NO_AGENCY;
use crate::error::{Error, Result};
use crate::kubernetes::Failure;
use crate::repository::RepositoryRef;
use crate::tag::{self, TagName};
use crate::trigger::{self, NewTrigger, Trigger};

/// What a push of a tag would mean for a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The trigger's name.
    pub trigger_name: String,
    /// Whether it would fire.
    pub fires: bool,
    /// Why, or why not; where it fires and would change nothing, that.
    pub reason: String,
    /// What its cluster would be sent.
    pub patch: Option<Value>,
}

impl Engine {
    /// What a push of a tag would mean for each trigger of a repository now. Real clusters are
    /// asked; one that does not answer is asked once.
    pub async fn explain(
        &self,
        repository: &RepositoryRef,
        tag: &TagName,
        mut judgement: Judgement,
    ) -> Result<Vec<Explained>> {
        let db = self.db.readers();
        let digest = tag::store::find_digest(db, repository.id, tag).await?;
        let digest = digest.unwrap_or_else(|| "{digest}".to_owned());
        let mut seen: HashMap<Destination, std::result::Result<Sighting, Failure>> = HashMap::new();
        let mut silent: HashMap<(String, String), Failure> = HashMap::new();
        let mut explained = Vec::new();
        let lacks_agency = self.lacks_agency(&repository.namespace.account_id).await?;
        for trigger in trigger::store::list(db, repository.id).await? {
            let (fires, reason) = verdict(&trigger, tag, &mut judgement)?;
            let mut entry = Explained {
                trigger_name: trigger.name.clone(),
                fires,
                reason,
                patch: None,
            };
            if fires && lacks_agency {
                NO_AGENCY.clone_into(&mut entry.reason);
            } else if fires {
                let destination = Destination::from(&trigger);
                let cluster = (
                    destination.cluster_id.clone(),
                    destination.cluster_name.clone(),
                );
                let sighting = match (seen.get(&destination), silent.get(&cluster)) {
                    (Some(sighting), _) => sighting.clone(),
                    (None, Some(failure)) => Err(failure.clone()),
                    (None, None) => {
                        let sighting = destination.look(db, &self.real_clusters).await?;
                        if let Err(failure @ Failure::Passing(_)) = &sighting {
                            silent.insert(cluster, failure.clone());
                        }
                        seen.insert(destination, sighting.clone());
                        sighting
                    }
                };
                let target = Target {
                    registry_names: self.regions.registry_names(&repository.namespace.region),
                    namespace: repository.namespace.name.as_str(),
                    repository: repository.name.as_str(),
                    tag: tag.as_str(),
                    digest: &digest,
                    container: &trigger.container,
                };
                describe(&mut entry, target, sighting);
            }
            explained.push(entry);
        }
        Ok(explained)
    }

    /// Checks that a new trigger has a workload to update, and that it uses the repository's
    /// image, as the live service does (`--strict-targets`).
    pub async fn check_target(
        &self,
        repository: &RepositoryRef,
        trigger: &NewTrigger,
    ) -> Result<()> {
        let destination = Destination::from(trigger);
        let sighting = destination
            .look(self.db.readers(), &self.real_clusters)
            .await?;
        let sighting = match sighting {
            Ok(sighting) => sighting,
            Err(Failure::Passing(reason)) => return Err(Error::ClusterUnavailable(reason)),
            Err(Failure::Final(reason)) => return Err(Error::invalid("application", reason)),
        };
        let target = Target {
            registry_names: self.regions.registry_names(&repository.namespace.region),
            namespace: repository.namespace.name.as_str(),
            repository: repository.name.as_str(),
            tag: "",
            digest: "",
            container: &trigger.container,
        };
        match plan(target, &sighting.template) {
            Plan::Impossible(reason) if trigger.container.is_empty() => {
                Err(Error::invalid("application", reason))
            }
            Plan::Impossible(reason) => Err(Error::invalid("container", reason)),
            Plan::Update { .. } | Plan::Unchanged => Ok(()),
        }
    }
}

/// Whether a trigger fires for a tag, and why, naming what was compared.
fn verdict(trigger: &Trigger, tag: &TagName, judgement: &mut Judgement) -> Result<(bool, String)> {
    let tag_name = tag.as_str();
    let condition = &trigger.condition;
    Ok(match trigger.trigger_type.as_str() {
        _ if !trigger.enabled => (false, "the trigger is disabled".to_owned()),
        "all" => (true, "every tag matches .*".to_owned()),
        "tag" => {
            let tags: Vec<_> = condition.split(';').collect();
            let is_one = tags.contains(&tag_name);
            let verb = if is_one { "is" } else { "is not" };
            (
                is_one,
                format!("tag {tag_name} {verb} one of {}", tags.join(", ")),
            )
        }
        _ if judgement.judge(condition, tag)? => (true, format!("{condition} matches {tag_name}")),
        _ => {
            let mut reason = format!("{condition} does not match {tag_name}");
            if let Some(hint) = nearest_miss::hint(condition, tag_name) {
                reason.push_str(": ");
                reason.push_str(&hint);
            }
            (false, reason)
        }
    })
}

/// Says in an entry what the trigger would do to what it finds.
fn describe(
    entry: &mut Explained,
    target: Target<'_>,
    sighting: std::result::Result<Sighting, Failure>,
) {
    let sighting = match sighting {
        Ok(sighting) => sighting,
        Err(Failure::Final(reason) | Failure::Passing(reason)) => {
            entry.reason = reason;
            return;
        }
    };
    let plan = plan(target, &sighting.template);
    entry.patch = plan.patch(sighting.resource_version.as_deref());
    match plan {
        Plan::Update { .. } => {}
        Plan::Unchanged => super::UNCHANGED.clone_into(&mut entry.reason),
        Plan::Impossible(reason) => entry.reason = reason,
    }
}
