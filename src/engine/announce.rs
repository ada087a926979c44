//! Tells those who listen of pushes, of what was decided at each, and of the outcomes of firings.
//!
//! Pushes are read from the table once they are on disk, before their firings are taken up: so each
//! is told before its outcomes. Where nobody listens, nothing is read.

use serde_json::json;
use tokio::sync::MutexGuard;

use super::Engine;
use super::pushes::{NewPush, find_newest_id, list_new};
use super::rollout::{FiringRollout, RolloutChange};
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

    /// Tells of those pushes that nobody was told of yet.
    pub(super) async fn tell_of_pushes(&self) -> Result<()> {
        if !self.events.are_kept() {
            return Ok(());
        }
        let mut told = self.told.lock().await;
        let Some(last) = *told else {
            return Ok(());
        };
        for new in list_new(self.db.lookups(), last).await? {
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
        Ok(())
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

impl Engine {
    /// Tells of a rollout that begins, goes on or ends.
    pub(super) fn tell_of_rollout(&self, change: &RolloutChange<'_>) {
        self.events.publish(|| Event::Rollout(change.into()));
    }
}

impl From<&RolloutChange<'_>> for ChangedRollout {
    fn from(change: &RolloutChange<'_>) -> Self {
        let FiringRollout {
            health,
            since,
            observed,
        } = change.rollout;
        Self {
            push_id: change.push_id,
            namespace: change.namespace.to_owned(),
            repository: change.repository.to_owned(),
            tag: change.tag.to_owned(),
            trigger: change.trigger.to_owned(),
            workload: json!(change.workload),
            rollout: json!({
                "state": health.state,
                "reason": health.reason,
                "message": health.message,
                "observed": observed.to_string(),
                "since": since.to_string(),
            }),
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
