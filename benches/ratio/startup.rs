//! How long a server takes from being started to its first answer, and what it occupies then.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;
use crate::child::Child;
use crate::figures::Row;
use crate::workload::Contestant;

/// Triggers in the database of the start that has something to open.
const TRIGGERS: u32 = 20_000;
/// How long a server is left alone before its memory counts as idle.
const REST: Duration = Duration::from_millis(200);

pub(crate) async fn measure(folder: &Path, starts: u32) -> Result<Vec<Row>> {
    let full = folder.join("full");
    let emulator = Child::emulator(&full)?;
    emulator.make_repositories().await?;
    let mut emulator = Contestant::connect(emulator).await?;
    emulator.create(TRIGGERS).await?;
    emulator.into_child().terminate()?;

    let mut fresh_times = Vec::new();
    let mut full_times = Vec::new();
    let mut emulator_memory = Vec::new();
    let mut bare_memory = Vec::new();
    // The first turn only warms the caches.
    for turn in 0..=starts {
        let bare = start(Child::bare).await?;
        let fresh = folder.join(format!("fresh-{turn}"));
        let fresh = start(|| Child::emulator(&fresh)).await?;
        let full = start(|| Child::emulator(&full)).await?;
        if turn > 0 {
            fresh_times.push(fresh.seconds / bare.seconds);
            full_times.push(full.seconds / bare.seconds);
            emulator_memory.push(fresh.mebibytes);
            bare_memory.push(bare.mebibytes);
        }
    }
    let row = |what: &str, unit, figures: Vec<f64>| Row {
        what: what.to_owned(),
        figures: figures.into_iter().collect(),
        unit,
    };
    Ok(vec![
        row("start on a fresh folder, of bare", " ×", fresh_times),
        row("start with 20,000 triggers, of bare", " ×", full_times),
        row("memory when idle (RSS)", " MiB", emulator_memory),
        row("the same of bare", " MiB", bare_memory),
    ])
}

struct Start {
    seconds: f64,
    mebibytes: f64,
}

/// One start, from before the process to the first answer, and the end in order.
async fn start(spawn: impl FnOnce() -> Result<Child>) -> Result<Start> {
    let started = Instant::now();
    let child = spawn()?;
    child.is_healthy().await?;
    let seconds = started.elapsed().as_secs_f64();
    tokio::time::sleep(REST).await;
    let mebibytes = child.resident_mebibytes()?;
    child.terminate()?;
    Ok(Start { seconds, mebibytes })
}
