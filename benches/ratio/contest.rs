//! The servers side by side: in which order they are asked, and what comes out of a round.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;
use crate::absolute::Line;
use crate::child::{self, Build, Child};
use crate::contestant::{Contestant, Served, Until};
use crate::figures::{Figures, Row, Short, percentile, ratio};
use crate::workload::Workload;

/// Triggers that are shown for the first time in a slice of a second.
const NEW_IN_A_SECOND: u32 = 10_000;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) rounds: u32,
    pub(crate) slice: Duration,
}

impl Extent {
    /// The short round that only warms up.
    fn warm_up(self) -> Self {
        Self {
            slice: self.slice / 4,
            ..self
        }
    }

    /// The slices that last half as long.
    pub(crate) fn halved(self) -> Self {
        Self {
            slice: self.slice / 2,
            ..self
        }
    }

    /// Triggers that are shown for the first time in a slice.
    fn shown_once(self) -> Result<u32> {
        Ok(u32::try_from(self.slice.as_millis())? * (NEW_IN_A_SECOND / 1000))
    }

    /// The same in all slices of one server.
    fn shown_once_in_all(self) -> Result<u32> {
        Ok(2 * (self.warm_up().shown_once()? + self.rounds * self.shown_once()?))
    }
}

/// The servers, with the same content.
#[derive(Debug)]
pub(crate) struct Contest {
    emulator: Contestant,
    naive: Contestant,
    bare: Contestant,
    /// Another build of the emulator.
    other: Option<Contestant>,
}

impl Contest {
    /// Starts all of them on fresh databases in a folder that is not there yet.
    pub(crate) async fn start(
        folder: &Path,
        other: Option<&Path>,
        workload: Workload,
        extent: Extent,
        listener: bool,
    ) -> Result<Self> {
        let cold = match workload {
            Workload::Cold => extent.shown_once_in_all()?,
            _ => 0,
        };
        std::fs::create_dir(folder)?;
        let emulator = async |build: Build<'_>| -> Result<Contestant> {
            let child = Child::emulator(build, &folder.join(build.name()))?;
            child.make_repositories().await?;
            let mut contestant = Contestant::connect(child).await?;
            contestant.seed(cold).await?;
            Ok(contestant)
        };
        let mut contest = Self {
            emulator: emulator(Build::Own).await?,
            naive: Contestant::connect(Child::naive(&folder.join("naive.db"), cold)?).await?,
            bare: Contestant::connect(Child::bare()?).await?,
            other: match other {
                Some(path) => Some(emulator(Build::Other(path)).await?),
                None => None,
            },
        };
        for contestant in contest.all() {
            contestant.check().await?;
        }
        if listener {
            contest.emulator.child.listen().await?;
        }
        Ok(contest)
    }

    fn all(&mut self) -> Vec<&mut Contestant> {
        let own = [&mut self.emulator, &mut self.naive, &mut self.bare];
        own.into_iter().chain(&mut self.other).collect()
    }

    /// From now on there are so many connections to each.
    pub(crate) async fn reconnect(&mut self, connections: u32) -> Result<()> {
        for contestant in self.all() {
            contestant.reconnect(connections).await?;
        }
        Ok(())
    }

    /// What has been used of the CPUs so far.
    pub(crate) fn usage(&mut self) -> Result<Usage> {
        Usage::of(self.all().into_iter().map(|contestant| &contestant.child))
    }

    async fn round(&mut self, workload: Workload, extent: Extent) -> Result<Round> {
        let mut all = self.all();
        let mut served = Vec::new();
        let mut before = Vec::new();
        for contestant in &all {
            served.push(Served::default());
            before.push(contestant.child.cpu_ticks()?);
        }
        // There and back, so that a machine that gets slower or faster meanwhile favors nobody.
        for index in (0..all.len()).chain((0..all.len()).rev()) {
            let load = match workload {
                Workload::Cold => all[index].show_new(extent.shown_once()?).await?,
                _ => {
                    let end = Until::Time(Instant::now() + extent.slice);
                    all[index].load(workload, end).await?
                }
            };
            served[index].add(load);
        }
        // What a server does between its slices is its own doing and counts.
        let mut sides = Vec::new();
        for ((served, contestant), before) in served.into_iter().zip(&all).zip(before) {
            sides.push(Side::of(served, contestant.child.cpu_ticks()? - before));
        }
        let mut sides = sides.into_iter();
        let mut next = || sides.next().ok_or("a server without a side");
        Ok(Round {
            emulator: next()?,
            naive: next()?,
            bare: next()?,
            other: next().ok(),
        })
    }

    /// Runs the rounds of one workload, after a short one that only warms up.
    pub(crate) async fn measure(&mut self, workload: Workload, extent: Extent) -> Result<Rounds> {
        self.round(workload, extent.warm_up()).await?;
        let mut measured = Vec::new();
        for _ in 0..extent.rounds {
            measured.push(self.round(workload, extent).await?);
        }
        Ok(Rounds(measured))
    }
}

/// Ticks of the CPUs that went to the measured programs, to any program, and all there were.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    ours: u32,
    used: u32,
    all: u32,
}

impl Usage {
    /// What these servers and this program have used so far.
    pub(crate) fn of<'a>(servers: impl Iterator<Item = &'a Child>) -> Result<Self> {
        let mut ours = child::own_cpu_ticks()?;
        for server in servers {
            ours += server.cpu_ticks()?;
        }
        let (used, all) = child::machine_ticks()?;
        Ok(Self { ours, used, all })
    }

    /// Adds what was used between two moments.
    pub(crate) fn add(&mut self, before: Self, after: Self) {
        self.ours += after.ours - before.ours;
        self.used += after.used - before.used;
        self.all += after.all - before.all;
    }

    /// The percentage of the machine that went to other programs: beyond a few, the figures are not
    /// worth much.
    pub(crate) fn others(self) -> f64 {
        f64::from(self.used.saturating_sub(self.ours)) / f64::from(self.all) * 100.0
    }
}

/// What a round says of one server.
#[derive(Debug)]
struct Side {
    per_second: f64,
    /// CPU time for a request; the unit does not matter.
    cpu: f64,
    /// Microseconds.
    p50: f64,
    p99: f64,
}

impl Side {
    fn of(mut served: Served, ticks: u32) -> Self {
        Self {
            per_second: ratio(served.in_time, 1) / served.time.as_secs_f64(),
            cpu: f64::from(ticks) / ratio(served.latencies.len(), 1),
            p50: percentile(&mut served.latencies, 50),
            p99: percentile(&mut served.latencies, 99),
        }
    }
}

#[derive(Debug)]
struct Round {
    emulator: Side,
    naive: Side,
    bare: Side,
    other: Option<Side>,
}

/// All rounds of one workload.
#[derive(Debug)]
pub(crate) struct Rounds(Vec<Round>);

impl Rounds {
    /// Requests per second beside those of the others.
    pub(crate) fn rates(&self, name: &str) -> Vec<Row> {
        let rate = |side: &Side| side.per_second;
        let mut rows = vec![
            self.row(name, "requests/s, of bare", "", rate, |r| Some(&r.bare)),
            self.row(name, "requests/s, of naive", " ×", rate, |r| {
                Some(&r.naive)
            }),
        ];
        if self.has_other() {
            let what = "requests/s, of the other build";
            rows.push(self.row(name, what, " ×", rate, |r| r.other.as_ref()));
        }
        rows
    }

    /// CPU time beside that of the others.
    pub(crate) fn cpu_times(&self, name: &str) -> Vec<Row> {
        let cpu = |side: &Side| side.cpu;
        let what = "CPU time a request";
        let mut rows = vec![
            self.row(name, &format!("{what}, of bare"), " ×", cpu, |r| {
                Some(&r.bare)
            }),
            self.row(name, &format!("{what}, of naive"), "", cpu, |r| {
                Some(&r.naive)
            }),
        ];
        if self.has_other() {
            let what = format!("{what}, of the other build");
            rows.push(self.row(name, &what, "", cpu, |r| r.other.as_ref()));
        }
        rows
    }

    /// The 99th percentile of the latencies beside that of the others.
    pub(crate) fn p99s(&self, name: &str) -> Vec<Row> {
        let p99 = |side: &Side| side.p99;
        let mut rows = vec![self.row(name, "p99, of naive", "", p99, |r| Some(&r.naive))];
        if self.has_other() {
            let what = "p99, of the other build";
            rows.push(self.row(name, what, "", p99, |r| r.other.as_ref()));
        }
        rows
    }

    /// For the order of magnitude.
    pub(crate) fn absolute(&self, name: &str) -> Line {
        let cell = |side: fn(&Round) -> Option<&Side>| {
            let median = |value: fn(&Side) -> f64| {
                let sides = self.0.iter().filter_map(side);
                sides.map(value).collect::<Figures>().median()
            };
            format!(
                "{:.0}/s, {} / {}",
                median(|side| side.per_second),
                Short(median(|side| side.p50 / 1000.0)),
                Short(median(|side| side.p99 / 1000.0)),
            )
        };
        Line {
            what: name.to_owned(),
            emulator: cell(|round| Some(&round.emulator)),
            naive: Some(cell(|round| Some(&round.naive))),
            bare: Some(cell(|round| Some(&round.bare))),
            other: self.has_other().then(|| cell(|round| round.other.as_ref())),
        }
    }

    fn has_other(&self) -> bool {
        self.0.iter().any(|round| round.other.is_some())
    }

    /// A figure of the emulator divided by that of a peer, for each round.
    fn row(
        &self,
        name: &str,
        what: &str,
        unit: &'static str,
        value: fn(&Side) -> f64,
        peer: fn(&Round) -> Option<&Side>,
    ) -> Row {
        let ratio = |round: &Round| Some(value(&round.emulator) / value(peer(round)?));
        Row {
            what: format!("{name}: {what}"),
            figures: self.0.iter().filter_map(ratio).collect(),
            unit,
        }
    }
}
