//! What became of one trigger at one push, for whoever waits for it. The push remembers it for some
//! triggers only, and a history has an end: beyond both, the trigger itself is asked.

use super::history::{self, HistoryEntry};
use super::matching::Matcher;
use super::pushes::{Decision, FiringState, RecordedPush};
use super::{Engine, LONGEST_REASON, Landed};
use crate::error::Result;
use crate::excerpt::beginning;
use crate::tag::TagName;
use crate::trigger::{self, Trigger, TriggerName, Verdict};

/// Why a trigger did not fire that was created after the push.
const MADE_LATER: &str = "the trigger was created after this push";

/// A trigger that fired, and what came of it.
#[derive(Debug, Clone)]
pub struct Ended {
    pub entry: HistoryEntry,
    /// How often it was tried.
    pub tries: u32,
    /// Where it went, and what came of it there.
    pub landed: Landed,
}

/// What became of a trigger at a push.
#[derive(Debug, Clone)]
pub enum Fate {
    /// It fired, and has no outcome yet.
    Open,
    /// It fired, and this is the outcome.
    Ended(Box<Ended>),
    /// It has no outcome, and never will.
    Without(Decision),
}

impl Engine {
    /// What became of the trigger with this name at a push of a tag; nothing where no trigger has
    /// the name.
    pub async fn fate(
        &self,
        push: &RecordedPush,
        tag: &TagName,
        repository_id: i64,
        name: &TriggerName,
        matcher: &Matcher,
    ) -> Result<Option<Fate>> {
        let db = self.db.lookups();
        let found = history::find_trace(db, push.id, repository_id, name.as_str()).await?;
        let Some(trace) = found else {
            return Ok(None);
        };
        if let Some((entry, tries, landed)) = trace.entry {
            let ended = Ended {
                entry,
                tries,
                landed,
            };
            return Ok(Some(Fate::Ended(Box::new(ended))));
        }
        if trace.is_open {
            return Ok(Some(Fate::Open));
        }
        // The number tells it, not the reason: one that was passed over may have had this name.
        let state = if trace.trigger_id > push.newest_trigger {
            made_later()
        } else if let Some(reason) = trace.reason {
            FiringState::PassedOver { reason }
        } else {
            match trigger::store::find(db, repository_id, name).await? {
                None => return Ok(None),
                Some(trigger) => self.recall(push, tag, trigger, matcher).await?,
            }
        };
        Ok(Some(Fate::Without(Decision {
            trigger_name: name.as_str().to_owned(),
            state,
        })))
    }

    /// What became of a trigger that left no trace of the push. Its condition is what it was.
    async fn recall(
        &self,
        push: &RecordedPush,
        tag: &TagName,
        trigger: Trigger,
        matcher: &Matcher,
    ) -> Result<FiringState> {
        let id = trigger.id;
        if id > push.newest_trigger {
            return Ok(made_later());
        }
        let enabled = Trigger {
            enabled: true,
            ..trigger
        };
        let verdicts = super::explain::judge(vec![enabled], tag, matcher).await?;
        for (_, fires, reason) in verdicts {
            if !fires {
                let reason = beginning(&reason, LONGEST_REASON).to_owned();
                return Ok(FiringState::PassedOver { reason });
            }
        }
        let reaches = history::reaches_back_to(self.db.lookups(), id, push.id).await?;
        Ok(if reaches {
            FiringState::PassedOver {
                reason: Verdict::Disabled.reason(),
            }
        } else {
            FiringState::Forgotten
        })
    }
}

fn made_later() -> FiringState {
    FiringState::PassedOver {
        reason: MADE_LATER.to_owned(),
    }
}
