//! A storm of firings: 200 pushes that fire 50 triggers each. That each trigger fired once for each
//! push is counted in the histories; a firing that is lost or done twice ends the run.

use std::path::Path;
use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::emulator::{PROGRAM, Result};
use crate::figures::{Figures, Row, ratio};
use crate::{Bench, together};

/// How the storm is, for the report.
pub(crate) const SETTING: &str = "200 pushes that fire 50 triggers each, at a workload of its own \
                                  each; all 10,000 firings were counted, none was lost or done twice.";

const REPOSITORY: &str = "storm";
/// Triggers that fire at each push.
const TRIGGERS: usize = 50;
/// Pushes after which the histories are counted: they keep no more.
const PUSHES: usize = 100;
/// How often so many are pushed.
const TIMES: usize = 2;

/// What a storm says: firings per second, from the first push until the last firing is recorded.
#[derive(Debug)]
pub(crate) struct Storm {
    own: f64,
    /// Of another build.
    other: Option<f64>,
}

impl Storm {
    /// Lets it blow over one build or two, in an order that changes with the rounds.
    pub(crate) fn measure(folder: &Path, other: Option<&Path>, round: u32) -> Result<Self> {
        let own = || firings_per_second(&Bench::start(PROGRAM, folder, &repositories())?);
        let Some(other) = other else {
            return Ok(Self {
                own: own()?,
                other: None,
            });
        };
        let other = || firings_per_second(&Bench::start(other, folder, &repositories())?);
        if round.is_multiple_of(2) {
            let own = own()?;
            let other = Some(other()?);
            return Ok(Self { own, other });
        }
        let other = Some(other()?);
        Ok(Self { own: own()?, other })
    }
}

/// The lines of the table.
pub(crate) fn rows(storms: &[Storm]) -> Vec<Row> {
    let row = |what: &str, unit, figures: Figures| Row {
        what: what.to_owned(),
        figures,
        unit,
    };
    let own = storms.iter().map(|storm| storm.own).collect();
    let mut rows = vec![row("storm: firings/s, recorded", "", own)];
    if storms.iter().any(|storm| storm.other.is_some()) {
        let ratios = storms.iter().filter_map(|s| Some(s.own / s.other?));
        rows.push(row(
            "storm: firings/s, of the other build",
            " ×",
            ratios.collect(),
        ));
    }
    rows
}

fn repositories() -> [crate::Repository; 1] {
    [(REPOSITORY, together(TRIGGERS))]
}

fn firings_per_second(bench: &Bench) -> Result<f64> {
    let mut seconds = 0.0;
    for _ in 0..TIMES {
        let first = bench.next.load(Ordering::Relaxed);
        seconds += bench
            .push_and_wait_until_idle(REPOSITORY, PUSHES)?
            .as_secs_f64();
        check_histories(bench, first)?;
    }
    Ok(ratio(TIMES * PUSHES * TRIGGERS, 1) / seconds)
}

/// Each trigger has one entry, a success, for each of the pushes since this number.
fn check_histories(bench: &Bench, first: usize) -> Result<()> {
    let mut pushed: Vec<_> = (first..first + PUSHES).map(|at| format!("v{at}")).collect();
    pushed.sort_unstable();
    let mut connection = bench.emulator.management()?;
    for trigger in 0..TRIGGERS {
        let path = format!("/v2/manage/namespaces/group/repos/{REPOSITORY}/triggers/t{trigger}");
        let shown = connection.request("GET", &path, "", b"")?.is(200)?;
        let shown: Value = serde_json::from_slice(&shown.body)?;
        let history = shown["trigger_history"].as_array().ok_or("no history")?;
        let mut fired = Vec::new();
        for entry in history {
            if entry["result"] != "success" {
                return Err(format!("not fired as expected: {entry}").into());
            }
            fired.push(entry["tag"].as_str().ok_or("an entry without a tag")?);
        }
        fired.sort_unstable();
        if fired != pushed {
            return Err(format!("t{trigger} fired for {fired:?} instead of {pushed:?}").into());
        }
    }
    Ok(())
}
