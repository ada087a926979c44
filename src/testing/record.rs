//! What is known of the pushes of an image, as the text of a failed assertion.

use std::fmt::Write as _;

use super::image::Image;
use crate::app::App;
use crate::engine::pushes::{FiringState, RecordedPush, list_decisions, list_pushes};
use crate::engine::{Expected, FiringRollout};
use crate::error::Result;
use crate::workload::{Health, RolloutState};

/// How many triggers are told of.
const MOST_TRIGGERS: u32 = 50;
/// How many pushes of other tags are named.
const MOST_PUSHES: u32 = 10;

/// The newest push of an image, trigger by trigger, and what a push of it would do now.
pub(super) async fn of(app: &App, image: &Image) -> Result<String> {
    let mut text = String::new();
    let repository = image.find_repository(app).await?;
    let db = app.db.readers();
    let tag = image.tag.as_str();
    match list_pushes(db, repository.id, Some(tag), None, 1)
        .await?
        .pop()
    {
        Some(push) => add_push(app, image, &push, &mut text).await?,
        None => {
            let others = list_pushes(db, repository.id, None, None, MOST_PUSHES).await?;
            let others: Vec<_> = others.iter().map(|push| &*push.tag).collect();
            let others = match &others[..] {
                [] => "nothing".to_owned(),
                others => others.join(", "),
            };
            let path = image.path();
            let _ = writeln!(text, "The tag {tag} was not pushed; {path} got {others}.");
        }
    }
    let explained = app
        .engine
        .explain(&repository, &image.tag, &app.matcher, 0, MOST_TRIGGERS);
    let (explained, next) = explained.await?;
    if explained.is_empty() {
        let _ = writeln!(text, "{} has no triggers.", image.path());
        return Ok(text);
    }
    let _ = writeln!(text, "A push of {tag} now:");
    for entry in explained {
        let outcome = match entry.expected {
            Expected::Updates => "would update the workload",
            Expected::Unchanged => "would change nothing",
            Expected::Fails => "would fail",
            Expected::Skipped => "would not fire",
        };
        let (name, reason) = (entry.trigger_name, entry.reason);
        let _ = writeln!(text, "  {name}: {outcome}: {reason}");
    }
    if next.is_some() {
        text.push_str("  … and more triggers\n");
    }
    Ok(text)
}

async fn add_push(app: &App, image: &Image, push: &RecordedPush, text: &mut String) -> Result<()> {
    let RecordedPush {
        id,
        digest,
        pushed_by,
        pushed_at,
        ..
    } = push;
    let _ = writeln!(
        text,
        "Push {id} of {image} by {pushed_by}, {pushed_at}, {digest}:"
    );
    let mut decisions = list_decisions(app.db.readers(), *id, MOST_TRIGGERS + 1).await?;
    if decisions.is_empty() {
        text.push_str("  there was no trigger\n");
    }
    let is_cut = decisions.len() > MOST_TRIGGERS as usize;
    decisions.truncate(MOST_TRIGGERS as usize);
    for decision in decisions {
        let outcome = match decision.state {
            FiringState::PassedOver { .. } => "did not fire: ",
            FiringState::Open { .. } => "fired: ",
            FiringState::Ended { .. } | FiringState::Forgotten => "",
        };
        let (name, state) = (&decision.trigger_name, state(app, &decision.state));
        let _ = writeln!(text, "  {name}: {outcome}{state}");
    }
    if is_cut {
        text.push_str("  … and more triggers\n");
    }
    Ok(())
}

/// What became of a trigger, in words.
pub(super) fn state(app: &App, state: &FiringState) -> String {
    match state {
        FiringState::PassedOver { reason } => reason.clone(),
        FiringState::Open { firing_id } => app
            .engine
            .retry(*firing_id)
            .map_or_else(|| "waiting or running".to_owned(), |retry| retry.told()),
        FiringState::Ended {
            result,
            detail,
            tries,
            landed,
        } => {
            let tries = match tries {
                1 => String::new(),
                tries => format!(" after {tries} tries"),
            };
            let colon = if detail.is_empty() { "" } else { ": " };
            let rollout = landed.rollout.as_ref().map_or_else(String::new, told);
            format!("{result}{tries}{colon}{detail}{rollout}")
        }
        FiringState::Forgotten => {
            "fired, but the history of the trigger no longer reaches back to this push".to_owned()
        }
    }
}

/// A rollout that is not healthy, in words.
fn told(rollout: &FiringRollout) -> String {
    let Health {
        state,
        reason,
        message,
    } = &rollout.health;
    if *state == RolloutState::Healthy {
        return String::new();
    }
    let mut text = format!("; the rollout is {}", state.as_str());
    for part in [reason, message] {
        if !part.is_empty() {
            let _ = write!(text, ": {part}");
        }
    }
    text
}

/// What a firing without an outcome waits for.
pub(super) async fn open_state(app: &App, push: i64, trigger: &str) -> Result<String> {
    let decisions = list_decisions(app.db.readers(), push, u32::MAX).await?;
    let found = decisions
        .iter()
        .find(|decision| decision.trigger_name == trigger);
    Ok(found.map_or_else(String::new, |decision| state(app, &decision.state)))
}
