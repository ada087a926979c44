//! How long a server takes from being started to its first answer, and what it occupies then.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;
use crate::child::Child;
use crate::figures::{Figures, Row, Short};
use crate::workload::Contestant;

/// Triggers in the database of the start that has something to open.
const TRIGGERS: u32 = 20_000;
/// How long a server is left alone before its memory counts as idle.
const REST: Duration = Duration::from_millis(200);

/// What all starts say.
#[derive(Debug)]
pub(crate) struct Starts {
    pub(crate) rows: Vec<Row>,
    /// A line of the table of absolute figures.
    pub(crate) absolute: String,
}

pub(crate) async fn measure(folder: &Path, starts: u32) -> Result<Starts> {
    let full = folder.join("full");
    let emulator = Child::emulator(&full)?;
    emulator.make_repositories().await?;
    let mut emulator = Contestant::connect(emulator).await?;
    emulator.create(TRIGGERS).await?;
    emulator.into_child().terminate()?;

    let mut turns = Vec::new();
    // The first turn only warms the caches.
    for turn in 0..=starts {
        let fresh = folder.join(format!("fresh-{turn}"));
        let bare = start(Child::bare).await?;
        let fresh = start(|| Child::emulator(&fresh)).await?;
        let full = start(|| Child::emulator(&full)).await?;
        if turn > 0 {
            turns.push(Turn { bare, fresh, full });
        }
    }
    let figures = |value: fn(&Turn) -> f64| turns.iter().map(value).collect::<Figures>();
    let row = |what: &str, unit, value| Row {
        what: what.to_owned(),
        figures: figures(value),
        unit,
    };
    Ok(Starts {
        rows: vec![
            row("start on a fresh folder, of bare", " ×", |turn| {
                turn.fresh.milliseconds / turn.bare.milliseconds
            }),
            row("start with 20,000 triggers, of bare", " ×", |turn| {
                turn.full.milliseconds / turn.bare.milliseconds
            }),
            row("memory when idle (RSS)", " MiB", |turn| {
                turn.fresh.mebibytes
            }),
            row("the same of bare", " MiB", |turn| turn.bare.mebibytes),
        ],
        absolute: format!(
            "| start | fresh {}, with 20,000 triggers {} | – | {} |",
            Short(figures(|turn| turn.fresh.milliseconds).median()),
            Short(figures(|turn| turn.full.milliseconds).median()),
            Short(figures(|turn| turn.bare.milliseconds).median()),
        ),
    })
}

/// One start of each.
#[derive(Debug)]
struct Turn {
    bare: Start,
    fresh: Start,
    full: Start,
}

#[derive(Debug)]
struct Start {
    milliseconds: f64,
    mebibytes: f64,
}

/// One start, from before the process to the first answer, and the end in order.
async fn start(spawn: impl FnOnce() -> Result<Child>) -> Result<Start> {
    let started = Instant::now();
    let child = spawn()?;
    child.is_healthy().await?;
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    tokio::time::sleep(REST).await;
    let mebibytes = child.resident_mebibytes()?;
    child.terminate()?;
    Ok(Start {
        milliseconds,
        mebibytes,
    })
}
