//! Waiting for the push of a tag, and until it has settled for a trigger or for all of them.

use tokio::time::{Instant, timeout_at};

use super::matching::Matcher;
use super::pushes::{self, Decision, FiringState, RecordedPush, find_newest_push};
use super::{Ended, Engine, Fate};
use crate::error::{Error, Resource, Result};
use crate::repository::RepositoryRef;
use crate::tag::TagName;
use crate::trigger::TriggerName;
use crate::workload::RolloutState;

/// How far somebody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until each firing has an outcome.
    Fired,
    /// Until the workloads run the update.
    Healthy,
}

/// What somebody waits for.
#[derive(Debug, Clone, Copy)]
pub struct Wait<'a> {
    /// The tag whose newest push counts, or its next one where there is none yet.
    pub tag: &'a TagName,
    /// The trigger that has to come to an outcome; all that fire where none is named.
    pub trigger: Option<&'a TriggerName>,
    pub until: Until,
    /// Only pushes with a larger number count.
    pub after: i64,
    /// When to give up.
    pub deadline: Instant,
}

impl Ended {
    /// The same as what the push tells of the trigger.
    fn decision(self, trigger: &TriggerName) -> Decision {
        Decision {
            trigger_name: trigger.as_str().to_owned(),
            state: FiringState::Ended {
                result: self.entry.result,
                detail: self.entry.detail,
                tries: self.tries,
                landed: Box::new(self.landed),
            },
        }
    }
}

/// How a wait ends.
#[derive(Debug, Clone)]
pub enum Waited {
    /// The trigger fired, and this is the outcome.
    Ended(Box<Ended>),
    /// The trigger has no outcome at this push, and never will.
    Without(Decision),
    /// All that the push fired has an outcome.
    Settled(RecordedPush),
    /// Something that the push fired will not become healthy.
    Lost(RecordedPush),
    /// The push came, and an outcome did not in time.
    Unsettled(RecordedPush),
    /// No push came in time.
    NoPush,
}

impl Engine {
    /// Waits. `locate` finds the repository, which may go away meanwhile.
    pub async fn wait<F>(
        &self,
        wait: Wait<'_>,
        matcher: &Matcher,
        locate: impl Fn() -> F,
    ) -> Result<Waited>
    where
        F: Future<Output = Result<RepositoryRef>>,
    {
        let Wait {
            tag,
            after,
            deadline,
            ..
        } = wait;
        let mut pushes = self.db.pushes();
        let mut changes = self.db.firing_changes();
        let (repository_id, push) = loop {
            pushes.mark_unchanged();
            changes.mark_unchanged();
            let repository_id = locate().await?.id;
            let found = find_newest_push(self.db.lookups(), repository_id, tag, after);
            if let Some(push) = found.await? {
                break (repository_id, push);
            }
            let changed = async {
                tokio::select! {
                    changed = pushes.changed() => changed,
                    // The repository may be gone.
                    changed = changes.changed() => changed,
                }
            };
            if timeout_at(deadline, changed).await.is_err() {
                return Ok(Waited::NoPush);
            }
        };

        let mut counts = self.counts();
        loop {
            counts.mark_unchanged();
            let settled = self.settled(repository_id, &push, wait, matcher).await;
            // What went away with its repository did not settle.
            if locate().await?.id != repository_id {
                return Err(Error::NotFound(Resource::Repository));
            }
            if let Some(settled) = settled? {
                return Ok(settled);
            }
            if timeout_at(deadline, counts.changed()).await.is_err() {
                return Ok(Waited::Unsettled(push));
            }
        }
    }

    /// How a wait for a push that is there ends, once it does.
    async fn settled(
        &self,
        repository_id: i64,
        push: &RecordedPush,
        wait: Wait<'_>,
        matcher: &Matcher,
    ) -> Result<Option<Waited>> {
        let Some(trigger) = wait.trigger else {
            return self.all_settled(push, wait.until).await;
        };
        let fate = self
            .fate(push, wait.tag, repository_id, trigger, matcher)
            .await?;
        Ok(match fate.ok_or(Error::NotFound(Resource::Trigger))? {
            Fate::Open => None,
            Fate::Ended(ended) if wait.until == Until::Healthy => {
                let rollout = ended.landed.rollout.as_ref();
                match rollout.map(|rollout| rollout.health.state) {
                    Some(RolloutState::Healthy) => Some(Waited::Ended(ended)),
                    Some(RolloutState::Progressing) => None,
                    _ => Some(Waited::Without(ended.decision(trigger))),
                }
            }
            Fate::Ended(ended) => Some(Waited::Ended(ended)),
            Fate::Without(decision) => Some(Waited::Without(decision)),
        })
    }

    async fn all_settled(&self, push: &RecordedPush, until: Until) -> Result<Option<Waited>> {
        let db = self.db.lookups();
        // In this order: what has no firing any more has an entry.
        let is_open = pushes::is_open(db, push.id).await?;
        if until == Until::Healthy {
            let rollouts = pushes::find_rollouts(db, push.id).await?;
            if rollouts.is_any_lost {
                return Ok(Some(Waited::Lost(push.clone())));
            }
            if rollouts.is_any_open {
                return Ok(None);
            }
        }
        Ok((!is_open).then(|| Waited::Settled(push.clone())))
    }
}
