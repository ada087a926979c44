//! How long a server takes from being started to its first answer, and what it occupies then.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Result;
use crate::absolute::Line;
use crate::child::{Build, Child};
use crate::contestant::Contestant;
use crate::figures::{Figures, Row, Short};
use crate::workload::Place;

/// Triggers in the database of the start that has something to open.
const TRIGGERS: u32 = 20_000;
/// How long a server is left alone before its memory counts as idle.
const REST: Duration = Duration::from_millis(200);

/// What all starts say.
#[derive(Debug)]
pub(crate) struct Starts {
    pub(crate) rows: Vec<Row>,
    pub(crate) absolute: Line,
}

pub(crate) async fn measure(folder: &Path, other: Option<&Path>, starts: u32) -> Result<Starts> {
    let own = Folders::fill(folder, Build::Own).await?;
    let other = match other {
        Some(path) => Some(Folders::fill(folder, Build::Other(path)).await?),
        None => None,
    };
    let mut turns = Vec::new();
    // The first turn only warms the caches.
    for turn in 0..=starts {
        let measured = Turn {
            bare: start(Child::bare).await?,
            own: own.start(turn).await?,
            other: match &other {
                Some(other) => Some(other.start(turn).await?),
                None => None,
            },
        };
        if turn > 0 {
            turns.push(measured);
        }
    }
    let row = |what: &str, unit, value: fn(&Turn) -> Option<f64>| Row {
        what: what.to_owned(),
        figures: turns.iter().filter_map(value).collect(),
        unit,
    };
    let mut rows = vec![
        row("start on a fresh folder, of bare", " ×", |turn| {
            Some(turn.own.fresh.milliseconds / turn.bare.milliseconds)
        }),
        row("start with 20,000 triggers, of bare", " ×", |turn| {
            Some(turn.own.full.milliseconds / turn.bare.milliseconds)
        }),
        row("memory when idle (RSS)", " MiB", |turn| {
            Some(turn.own.fresh.mebibytes)
        }),
        row("the same of bare", " MiB", |turn| Some(turn.bare.mebibytes)),
    ];
    if other.is_some() {
        rows.extend([
            row("start on a fresh folder, of the other build", "", |turn| {
                Some(turn.own.fresh.milliseconds / turn.other.as_ref()?.fresh.milliseconds)
            }),
            row(
                "start with 20,000 triggers, of the other build",
                "",
                |turn| Some(turn.own.full.milliseconds / turn.other.as_ref()?.full.milliseconds),
            ),
            row("memory of the other build when idle", " MiB", |turn| {
                Some(turn.other.as_ref()?.fresh.mebibytes)
            }),
        ]);
    }
    let median = |value: fn(&Turn) -> Option<&Start>| {
        let starts = turns.iter().filter_map(value);
        Short(
            starts
                .map(|start| start.milliseconds)
                .collect::<Figures>()
                .median(),
        )
    };
    let both = |fresh, full| {
        format!(
            "fresh {}, with 20,000 triggers {}",
            median(fresh),
            median(full)
        )
    };
    Ok(Starts {
        rows,
        absolute: Line {
            what: "start".to_owned(),
            emulator: both(|turn| Some(&turn.own.fresh), |turn| Some(&turn.own.full)),
            naive: None,
            bare: Some(median(|turn| Some(&turn.bare)).to_string()),
            other: other.is_some().then(|| {
                both(
                    |turn| Some(&turn.other.as_ref()?.fresh),
                    |turn| Some(&turn.other.as_ref()?.full),
                )
            }),
        },
    })
}

/// Where one build starts.
struct Folders<'a> {
    build: Build<'a>,
    folder: PathBuf,
}

impl<'a> Folders<'a> {
    /// Makes the database that has something to open.
    async fn fill(folder: &Path, build: Build<'a>) -> Result<Self> {
        let folder = folder.join(format!("start {}", build.name()));
        std::fs::create_dir(&folder)?;
        let folders = Self { build, folder };
        let child = Child::emulator(build, &folders.full())?;
        child.make_repositories().await?;
        let mut contestant = Contestant::connect(child).await?;
        contestant.create(Place::Busy, 0..TRIGGERS).await?;
        contestant.into_child().terminate()?;
        Ok(folders)
    }

    fn full(&self) -> PathBuf {
        self.folder.join("full")
    }

    async fn start(&self, turn: u32) -> Result<Both> {
        let fresh = self.folder.join(format!("fresh-{turn}"));
        Ok(Both {
            fresh: start(|| Child::emulator(self.build, &fresh)).await?,
            full: start(|| Child::emulator(self.build, &self.full())).await?,
        })
    }
}

/// One start of each.
#[derive(Debug)]
struct Turn {
    bare: Start,
    own: Both,
    other: Option<Both>,
}

/// A start on a fresh folder, and one that has something to open.
#[derive(Debug)]
struct Both {
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
