//! What a push of a tag would do now, trigger by trigger, without doing it; and whether a new
//! trigger has something to update.

use std::collections::HashMap;

use serde_json::Value;

use super::destination::{Destination, Look, Missing, WorkloadSnapshot};
use super::matching::{Matcher, Verdicts, weight};
use super::plan::{Obstacle, Plan, Target, plan};
use super::{Engine, LONGEST_REASON, nearest_miss};
use crate::account::NO_AGENCY;
use crate::cce;
use crate::error::{Error, Result};
use crate::excerpt::beginning;
use crate::http::cut_to_page;
use crate::nearest::nearest;
use crate::repository::RepositoryRef;
use crate::tag::{self, TagName};
use crate::trigger::{self, ClusterRef, Condition, Expression, NewTrigger, Trigger};

/// How much the expressions may weigh together whose nearest miss is looked for. Each is compiled
/// twice for that, and nothing of it is remembered.
const MOST_HINTED: u64 = 250_000;

/// How many containers are looked at for a page, but for those of its last trigger.
const MOST_LOOKED_AT: usize = 50_000;

/// What a push of a tag would mean for a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    pub trigger_name: String,
    /// What would become of its workload.
    pub expected: Expected,
    /// Why it would fire or not, or that it would change nothing.
    pub reason: String,
    /// What its cluster would be sent.
    pub patch: Option<Value>,
}

/// What would become of a trigger's workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It gets the tag.
    Updates,
    /// It is as the trigger wants it.
    Unchanged,
    /// The trigger fires, and cannot update it.
    Fails,
    /// The trigger does not fire.
    Skipped,
}

/// What stands between a trigger and its workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hindrance {
    /// A field of the trigger names something that is not there.
    Field {
        field: &'static str,
        /// What is missing, and what there is instead.
        reason: String,
        /// The name that is most like it.
        meant: Option<String>,
    },
    /// What is to be updated does not use the image.
    OtherImage {
        reason: String,
        /// The images that there are.
        images: Vec<String>,
    },
    /// The cluster does not show the workload, and why.
    Refused(String),
    /// The cluster does not answer, or not now, and why.
    Silent(String),
}

impl Engine {
    /// What a push of a tag would mean for the triggers of a repository now, in order of creation
    /// from the one after `after` on; `limit` at most, and the last one's number where there are
    /// more. Real clusters are asked; one that does not answer is asked once.
    pub async fn explain(
        &self,
        repository: &RepositoryRef,
        tag: &TagName,
        matcher: &Matcher,
        after: i64,
        limit: u32,
    ) -> Result<(Vec<Explained>, Option<i64>)> {
        let db = self.db.readers();
        let mut triggers = trigger::store::list(db, repository.id, after, limit + 1).await?;
        let mut next = cut_to_page(&mut triggers, limit, |last| last.id);
        let verdicts = judge(triggers, tag, matcher).await?;
        let digest = tag::store::find_digest(db, repository.id, tag).await?;
        let digest = digest.unwrap_or_else(|| "{digest}".to_owned());
        let mut seen: HashMap<Destination, Look> = HashMap::new();
        let mut silent: HashMap<ClusterRef, Look> = HashMap::new();
        let mut explained = Vec::new();
        let lacks_agency = self.lacks_agency(&repository.namespace.account_id).await?;
        let mut looked_at = 0;
        for (trigger, fires, reason) in verdicts {
            if looked_at > MOST_LOOKED_AT {
                next = Some(trigger.id - 1);
                break;
            }
            let mut entry = Explained {
                trigger_name: trigger.name.as_str().to_owned(),
                expected: if fires {
                    Expected::Fails
                } else {
                    Expected::Skipped
                },
                reason,
                patch: None,
            };
            if fires && lacks_agency {
                NO_AGENCY.clone_into(&mut entry.reason);
            } else if fires {
                let destination = Destination::from(&trigger);
                let known = seen.get(&destination);
                let look = match known.or_else(|| silent.get(&trigger.cluster)) {
                    Some(look) => look.clone(),
                    None => {
                        let look = destination.look(db, &self.real_clusters()).await?;
                        if let Look::Silent(_) = look {
                            silent.insert(trigger.cluster.clone(), look.clone());
                        }
                        seen.insert(destination, look.clone());
                        look
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
                if let Look::Seen(WorkloadSnapshot { template, .. }) = &look {
                    looked_at += template.containers.len() + template.init_containers.len();
                }
                describe(&mut entry, target, look);
                // A large workload takes a while.
                tokio::task::yield_now().await;
            }
            entry.reason = beginning(&entry.reason, LONGEST_REASON).to_owned();
            explained.push(entry);
        }
        Ok((explained, next))
    }

    /// Checks that a new trigger has a workload to update, with the container that it names, as the
    /// live service does (`--strict-targets`); the reason why it could update nothing yet.
    pub async fn check_target(
        &self,
        repository: &RepositoryRef,
        trigger: &NewTrigger,
    ) -> Result<Option<String>> {
        let destination = Destination::from(trigger);
        destination.check_name(&cce::store::list(self.db.readers()).await?)?;
        let container = &trigger.container;
        match self
            .find_hindrance(repository, &destination, container)
            .await?
        {
            None => Ok(None),
            Some(Hindrance::OtherImage { reason, .. }) => Ok(Some(reason)),
            Some(Hindrance::Field { field, reason, .. }) => Err(Error::invalid(field, reason)),
            Some(Hindrance::Refused(reason)) => Err(Error::invalid("application", reason)),
            Some(Hindrance::Silent(reason)) => {
                let kind = trigger.app_type.resource();
                Err(Error::ClusterUnavailable(format!("{kind}: {reason}")))
            }
        }
    }

    /// What stands between a trigger of a repository and its workload now, if anything does.
    pub async fn hindrance(
        &self,
        repository: &RepositoryRef,
        trigger: &Trigger,
    ) -> Result<Option<Hindrance>> {
        let destination = Destination::from(trigger);
        self.find_hindrance(repository, &destination, &trigger.container)
            .await
    }

    /// The reason why the cluster of a trigger is not the one that its `cluster_name` says, where its
    /// `cluster_id` is that of another one. A firing looks at the id only.
    pub async fn misnamed_cluster(&self, trigger: &Trigger) -> Result<Option<String>> {
        let clusters = cce::store::list(self.db.readers()).await?;
        let checked = Destination::from(trigger).check_name(&clusters);
        let wrong = checked
            .err()
            .filter(|missing| missing.field == "cluster_name");
        Ok(wrong.map(|missing| missing.reason))
    }

    async fn find_hindrance(
        &self,
        repository: &RepositoryRef,
        destination: &Destination,
        container: &str,
    ) -> Result<Option<Hindrance>> {
        let db = self.db.readers();
        let template = match destination.look(db, &self.real_clusters()).await? {
            Look::Seen(WorkloadSnapshot { template, .. }) => template,
            Look::Missing(Missing { field, reason }) => {
                let meant = destination.meant(db, field).await?;
                return Ok(Some(Hindrance::Field {
                    field,
                    reason,
                    meant,
                }));
            }
            Look::Refused(reason) => return Ok(Some(Hindrance::Refused(reason))),
            Look::Silent(reason) => return Ok(Some(Hindrance::Silent(reason))),
        };
        let target = Target {
            registry_names: self.regions.registry_names(&repository.namespace.region),
            namespace: repository.namespace.name.as_str(),
            repository: repository.name.as_str(),
            tag: "",
            digest: "",
            container,
        };
        let Plan::Impossible(obstacle) = plan(target, &template) else {
            return Ok(None);
        };
        let containers = template.containers.iter().chain(&template.init_containers);
        Ok(Some(match obstacle {
            Obstacle::NoContainer(reason) => {
                let names = containers.map(|container| container.name.as_str());
                Hindrance::Field {
                    field: "container",
                    reason,
                    meant: nearest(container, names).map(str::to_owned),
                }
            }
            Obstacle::OtherImage(reason) => Hindrance::OtherImage {
                reason,
                images: containers
                    .map(|container| container.image.clone())
                    .collect(),
            },
        }))
    }
}

/// Which triggers fire for a tag, and why, naming what was compared.
pub(super) async fn judge(
    triggers: Vec<Trigger>,
    tag: &TagName,
    matcher: &Matcher,
) -> Result<Vec<(Trigger, bool, String)>> {
    let regular = triggers
        .iter()
        .filter_map(|trigger| match &trigger.condition {
            Condition::Regular(expression) if trigger.enabled => {
                Some(expression.as_str().to_owned())
            }
            _ => None,
        });
    let verdicts = matcher.judge_all(regular.collect(), tag).await?;
    let tag = tag.clone();
    let verdicts = tokio::task::spawn_blocking(move || judge_each(triggers, &tag, verdicts));
    verdicts.await.map_err(Error::internal)?
}

/// It may compile expressions, so it takes a while.
fn judge_each(
    triggers: Vec<Trigger>,
    tag: &TagName,
    mut verdicts: Verdicts,
) -> Result<Vec<(Trigger, bool, String)>> {
    let mut hints = Hints::default();
    triggers
        .into_iter()
        .map(|trigger| {
            let is_match = |expression: &Expression| verdicts.judge(expression.as_str(), tag);
            let verdict = trigger::judge(trigger.enabled, &trigger.condition, tag, is_match)?;
            let (fires, mut reason) = (verdict.fires(), verdict.reason());
            let hint = verdict.missed().and_then(|missed| hints.of(missed, tag));
            if let Some(hint) = hint {
                reason.push_str(": ");
                reason.push_str(hint);
            }
            Ok((trigger, fires, reason))
        })
        .collect()
}

/// The nearest misses of one tag, by expression.
#[derive(Debug, Default)]
struct Hints {
    known: HashMap<String, Option<String>>,
    weight: u64,
}

impl Hints {
    fn of(&mut self, missed: &Expression, tag: &TagName) -> Option<&str> {
        let expression = missed.as_str();
        if !self.known.contains_key(expression) {
            let weight = weight(missed.size());
            let hint = if self.weight + weight <= MOST_HINTED {
                self.weight += weight;
                nearest_miss::hint(expression, tag.as_str())
            } else {
                None
            };
            self.known.insert(expression.to_owned(), hint);
        }
        self.known.get(expression)?.as_deref()
    }
}

/// Says in an entry what the trigger would do to what it finds.
fn describe(entry: &mut Explained, target: Target<'_>, look: Look) {
    let sighting = match look {
        Look::Seen(sighting) => sighting,
        Look::Missing(Missing { reason, .. }) | Look::Refused(reason) | Look::Silent(reason) => {
            entry.reason = reason;
            return;
        }
    };
    let plan = plan(target, &sighting.template);
    entry.patch = plan.patch(sighting.resource_version.as_deref());
    match plan {
        Plan::Update { .. } => entry.expected = Expected::Updates,
        Plan::Unchanged => {
            entry.expected = Expected::Unchanged;
            super::UNCHANGED.clone_into(&mut entry.reason);
        }
        Plan::Impossible(obstacle) => entry.reason = obstacle.reason(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::App;
    use crate::db::testing::TestDb;
    use crate::namespace::{self, NamespaceName};
    use crate::repository::{self, RepositoryName};

    #[tokio::test]
    async fn only_what_is_on_the_page_is_explained() {
        let trigger = |at: i64| {
            format!(
                "{{name: t{at}, action: update, app_type: deployments, application: a, \
                 cluster_ns: d, condition: '^{at}$', enable: 'true', trigger_type: regular}}"
            )
        };
        let triggers: Vec<_> = (1..=5).map(trigger).collect();
        let repository = format!("{{name: r, triggers: [{}]}}", triggers.join(", "));
        let test = TestDb::seeded(&format!(
            "organizations: [{{name: g, repositories: [{repository}]}}]"
        ))
        .await;
        let app = App::for_tests(test.db, test.directory, test.folder.path()).await;
        let (db, name) = (app.db.readers(), NamespaceName::parse("g").expect("legal"));
        let group = namespace::store::find(db, "r1", &name).await;
        let group = Arc::new(group.expect("read").expect("there"));
        let name = RepositoryName::parse("r").expect("legal");
        let repository = repository::store::find_ref(db, &group, &name).await;
        let repository = repository.expect("read").expect("there");
        let tag = TagName::parse("x").expect("legal");

        let explained = app.engine.explain(&repository, &tag, &app.matcher, 2, 2);
        let (explained, next) = explained.await.expect("explained");

        let names = explained.into_iter().map(|entry| entry.trigger_name);
        assert_eq!(names.collect::<Vec<_>>(), ["t3", "t4"]);
        assert_eq!(next, Some(4));
        for at in 1..=5 {
            let (_, weight) = app.matcher.compiled(&format!("^{at}$")).expect("legal");
            assert_eq!(weight == 0, [3, 4].contains(&at), "{at}");
        }
    }

    #[test]
    fn only_so_many_expressions_get_a_hint() {
        let mut hints = Hints::default();
        let tag = TagName::parse("x").expect("legal");
        let mut hint = |expression: &str| {
            let expression = Expression::parse(expression).expect("legal");
            hints.of(&expression, &tag).map(str::to_owned)
        };
        let expected = Some("it would match if case were ignored".to_owned());
        let large = |at: usize| format!("^(a{{1000}}){{50}}{at}|^X$");
        assert_eq!(hint(&large(1)), expected);
        assert_eq!(hint(&large(2)), expected);
        assert_eq!(hint(&large(3)), None);
        assert_eq!(hint(&large(1)), expected);
        assert_eq!(hint("^X"), expected);
    }
}
