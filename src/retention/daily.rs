//! Runs all rules when the emulated day changes: tags age also where nobody pushes.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::warn;

use super::day;
use super::store::{self, RunAll};
use crate::clock::Clock;
use crate::db::Db;
use crate::engine::Matcher;
use crate::error::Result;

/// How often the clock is looked at.
const PAUSE: Duration = Duration::from_mins(1);

/// The background task; it ends with this value.
#[derive(Debug)]
pub struct Daily(JoinHandle<()>);

impl Drop for Daily {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Daily {
    /// Looks at the clock from time to time.
    pub fn start(db: Arc<Db>, clock: Clock, matcher: Matcher) -> Self {
        Self(tokio::spawn(async move {
            let mut ticks = interval_at(Instant::now() + PAUSE, PAUSE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if let Err(error) = run_due(&db, &clock, &matcher).await {
                    warn!(chain = error.chain(), "Could not run the retention rules");
                }
            }
        }))
    }
}

/// Runs all rules if they did not run on the clock's day yet; once this returns, what they delete
/// is gone. Whoever moves the clock calls it.
pub async fn run_due(db: &Db, clock: &Clock, matcher: &Matcher) -> Result<()> {
    let now = clock.now();
    if store::last_day(db.lookups()).await? == day(now) {
        return Ok(());
    }
    let matcher = matcher.clone();
    db.write(RunAll { matcher, now }).await
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, date_rule, noon};

    #[tokio::test]
    async fn rules_run_in_every_repository_when_the_day_changes_and_only_then() {
        let world = World::start().await;
        let a = world.repository("a").await;
        let b = world.repository("b").await;
        world.push(&a, "v1", 100).await;
        world.push(&b, "v1", 101).await;
        world.app.clock.set(noon(101).plus_hours(-1));
        for repository in [&a, &b] {
            let created = world.create(repository.id, date_rule(1)).await;
            created.expect("created");
        }
        world.run_due().await.expect("ran");
        assert_eq!(world.tags(a.id).await, ["v1"]);

        // Older than a day now, but the day is the same.
        world.app.clock.set(noon(101).plus_seconds(60));
        world.run_due().await.expect("nothing to do");
        assert_eq!(world.tags(a.id).await, ["v1"]);

        world.app.clock.set(noon(102).plus_hours(-12));
        world.run_due().await.expect("ran");
        assert!(world.tags(a.id).await.is_empty());
        assert_eq!(world.tags(b.id).await, ["v1"]);
        world.app.clock.set(noon(103));
        world.run_due().await.expect("ran");
        assert!(world.tags(b.id).await.is_empty());
        assert_eq!(world.deleted(b.id).await, ["v1"]);
    }
}
