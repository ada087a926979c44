//! Tells those who listen of pushes, of what was decided at each, and of the outcomes of firings;
//! `rollout` tells of rollouts itself.
//!
//! Pushes are read from the table once they are on disk, before their firings are taken up: so each
//! is told before its outcomes. Where nobody listens, nothing is read.

use tokio::sync::MutexGuard;
use tracing::warn;

use super::Engine;
use super::pushes::{NewPush, find_newest_id, list_new};
use super::rollout::{Landed, RolloutChange};
use super::store::{Deployed, Record};
use crate::db::Db;
use crate::error::Result;
use crate::events::{ChangedRollout, EndedFiring, Event, Listener};

impl Engine {
    /// Listens to what happens: from now on, or from after an event on. Nothing where there are too
    /// many listeners.
    pub async fn listen(&self, after: Option<u64>) -> Result<Option<Listener>> {
        // Whoever tells of pushes waits until it is known which ones are new.
        let mut told = self.told.lock().await;
        let Some(listener) = self.events.listen(after) else {
            return Ok(None);
        };
        if listener.begins() || told.is_none() {
            *told = None;
            *told = Some(find_newest_id(self.db.lookups()).await?);
        }
        Ok(Some(listener))
    }

    /// Tells of no push for as long as the value lives.
    pub async fn hold_pushes(&self) -> HeldPushes<'_> {
        HeldPushes {
            told: self.told.lock().await,
            db: &self.db,
        }
    }

    /// Tells of those pushes that nobody was told of yet. That they cannot be read holds up nobody.
    pub(super) async fn tell_of_pushes(&self) {
        if !self.events.are_kept() {
            return;
        }
        let mut told = self.told.lock().await;
        let Some(last) = *told else {
            return;
        };
        let pushes = match list_new(self.db.lookups(), last).await {
            Ok(pushes) => pushes,
            Err(error) => {
                warn!(
                    chain = error.chain(),
                    "Could not read the pushes that listeners wait for"
                );
                return;
            }
        };
        for new in pushes {
            let NewPush {
                push,
                fired,
                passed_over,
            } = new;
            let push_id = push.push.id;
            *told = Some(push_id);
            self.events.publish(|| Event::Push(push));
            self.events.publish(|| Event::Verdicts {
                push_id,
                fired,
                passed_over,
            });
        }
    }

    /// Tells of the firings that have ended among some.
    pub(super) fn tell_of_outcomes(&self, firings: &[Deployed]) {
        for deployed in firings {
            if let Deployed::Recorded(record) = deployed {
                self.events
                    .publish(|| Event::Firing(record.as_ref().into()));
            }
        }
    }
}

impl From<&Record> for EndedFiring {
    fn from(record: &Record) -> Self {
        Self {
            push_id: record.push_id,
            namespace: record.namespace.clone(),
            repository: record.repository.clone(),
            tag: record.tag.clone(),
            trigger: record.trigger.clone(),
            result: record.result,
            detail: record.detail.clone(),
            tries: record.tries,
        }
    }
}

impl From<&RolloutChange<'_>> for ChangedRollout {
    fn from(change: &RolloutChange<'_>) -> Self {
        Self {
            push_id: change.push_id,
            namespace: change.namespace.to_owned(),
            repository: change.repository.to_owned(),
            tag: change.tag.to_owned(),
            trigger: change.trigger.to_owned(),
            landed: Landed {
                workload: Some(change.workload.clone()),
                rollout: Some(change.rollout.clone()),
            },
        }
    }
}

/// That nobody is told of pushes.
#[derive(Debug)]
pub struct HeldPushes<'a> {
    told: MutexGuard<'a, Option<i64>>,
    db: &'a Db,
}

impl HeldPushes<'_> {
    /// Tells of none of those that there are by now.
    pub async fn skip(mut self) {
        if self.told.is_some() {
            // Where that cannot be read, the next listener makes it known.
            *self.told = find_newest_id(self.db.lookups()).await.ok();
        }
    }
}
