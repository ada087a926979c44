//! The load: which requests, in which order of servers, and what comes out of a round.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Result;
use crate::child::{self, Child};
use crate::client::{BUSY, CONNECTIONS, Connection, LISTED, Request};
use crate::figures::{Figures, Row, Short, percentile, ratio};
use crate::servers::LIST;

/// Triggers that are there before anything is measured; one of them is shown.
const SEEDED: u32 = 5000;

/// What is asked again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workload {
    Create,
    Show,
    List,
}

impl Workload {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Show => "show",
            Self::List => "list of 20",
        }
    }

    fn request(self) -> Request {
        match self {
            Self::Create => Request::create(BUSY),
            Self::Show => Request::show(BUSY),
            Self::List => Request::list(LISTED),
        }
    }
}

/// The three servers.
#[derive(Debug)]
pub(crate) struct Contestants {
    pub(crate) emulator: Contestant,
    pub(crate) naive: Contestant,
    pub(crate) bare: Contestant,
}

impl Contestants {
    pub(crate) fn all(&mut self) -> [&mut Contestant; 3] {
        [&mut self.emulator, &mut self.naive, &mut self.bare]
    }

    /// What has been used of the CPUs so far.
    pub(crate) fn usage(&mut self) -> Result<Usage> {
        let mut ours = child::own_cpu_ticks()?;
        for contestant in self.all() {
            ours += contestant.child.cpu_ticks()?;
        }
        let (used, all) = child::machine_ticks()?;
        Ok(Usage { ours, used, all })
    }

    async fn round(&mut self, workload: Workload, slice: Duration) -> Result<Round> {
        let all = self.all();
        let mut served: [Served; 3] = Default::default();
        let mut before = [0; 3];
        for (ticks, contestant) in before.iter_mut().zip(&all) {
            *ticks = contestant.child.cpu_ticks()?;
        }
        // There and back, so that a machine that gets slower or faster meanwhile favors nobody.
        for index in [0, 1, 2, 2, 1, 0] {
            let end = Until::Time(Instant::now() + slice);
            let load = all[index].load(workload, end).await?;
            served[index].add(load);
        }
        // What a server does between its slices is its own doing and counts.
        let mut sides = Vec::new();
        for ((mut served, contestant), before) in served.into_iter().zip(&all).zip(before) {
            let ticks = contestant.child.cpu_ticks()? - before;
            sides.push(Side {
                per_second: ratio(served.in_time, 2) / slice.as_secs_f64(),
                cpu: f64::from(ticks) / ratio(served.latencies.len(), 1),
                p50: percentile(&mut served.latencies, 50),
                p99: percentile(&mut served.latencies, 99),
            });
        }
        let sides = <[Side; 3]>::try_from(sides).map_err(|_| "not three sides")?;
        let [emulator, naive, bare] = sides;
        Ok(Round {
            emulator,
            naive,
            bare,
        })
    }
}

/// Ticks of the CPUs that went to the measured programs, to any program, and all there were.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    ours: u32,
    used: u32,
    all: u32,
}

impl Usage {
    /// The percentage of the machine that went to other programs since then: beyond a few, the
    /// figures are not worth much.
    pub(crate) fn others_since(self, before: Self) -> f64 {
        let ours = self.ours - before.ours;
        let others = (self.used - before.used).saturating_sub(ours);
        f64::from(others) / f64::from(self.all - before.all) * 100.0
    }
}

/// Runs the rounds of one workload, after a short one that only warms up.
pub(crate) async fn measure(
    contestants: &mut Contestants,
    workload: Workload,
    rounds: u32,
    slice: Duration,
) -> Result<Rounds> {
    contestants.round(workload, slice / 4).await?;
    let mut measured = Vec::new();
    for _ in 0..rounds {
        measured.push(contestants.round(workload, slice).await?);
    }
    Ok(Rounds(measured))
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

#[derive(Debug)]
struct Round {
    emulator: Side,
    naive: Side,
    bare: Side,
}

/// All rounds of one workload.
#[derive(Debug)]
pub(crate) struct Rounds(Vec<Round>);

impl Rounds {
    pub(crate) fn ratios(&self, workload: Workload) -> Vec<Row> {
        let name = workload.name();
        let row = |what: &str, unit, ratio: fn(&Round) -> f64| Row {
            what: format!("{name}: {what}"),
            figures: self.figures(ratio),
            unit,
        };
        vec![
            row("requests/s, of bare", "", |round| {
                round.emulator.per_second / round.bare.per_second
            }),
            row("requests/s, of naive", " ×", |round| {
                round.emulator.per_second / round.naive.per_second
            }),
            row("CPU time a request, of bare", " ×", |round| {
                round.emulator.cpu / round.bare.cpu
            }),
            row("CPU time a request, of naive", "", |round| {
                round.emulator.cpu / round.naive.cpu
            }),
            row("p99, of naive", "", |round| {
                round.emulator.p99 / round.naive.p99
            }),
        ]
    }

    pub(crate) fn absolute(&self, workload: Workload) -> String {
        let cell = |side: fn(&Round) -> &Side| {
            let median = |value: fn(&Side) -> f64| self.figures(|r| value(side(r))).median();
            format!(
                "{:.0}/s, {} / {}",
                median(|side| side.per_second),
                Short(median(|side| side.p50 / 1000.0)),
                Short(median(|side| side.p99 / 1000.0)),
            )
        };
        format!(
            "| {} | {} | {} | {} |",
            workload.name(),
            cell(|round| &round.emulator),
            cell(|round| &round.naive),
            cell(|round| &round.bare),
        )
    }

    fn figures(&self, value: impl Fn(&Round) -> f64) -> Figures {
        self.0.iter().map(value).collect()
    }
}

/// A server with the connections to it.
#[derive(Debug)]
pub(crate) struct Contestant {
    child: Child,
    lanes: Vec<Lane>,
    /// The number of the next trigger.
    next: Arc<AtomicU32>,
}

impl Contestant {
    pub(crate) async fn connect(child: Child) -> Result<Self> {
        let mut lanes = Vec::new();
        for random in 1..=u32::try_from(CONNECTIONS)? {
            let connection = Connection::open(child.address()).await?;
            lanes.push(Lane { connection, random });
        }
        Ok(Self {
            child,
            lanes,
            next: Arc::default(),
        })
    }

    pub(crate) fn into_child(self) -> Child {
        self.child
    }

    /// Makes what the workloads read.
    pub(crate) async fn seed(&mut self) -> Result<()> {
        let mut request = Request::create(LISTED);
        for number in 0..u32::try_from(LIST)? {
            request.name(number);
            self.lanes[0].connection.send(&request).await?;
        }
        self.create(SEEDED).await
    }

    /// Makes the triggers whose numbers are below `count`.
    pub(crate) async fn create(&mut self, count: u32) -> Result<()> {
        self.load(Workload::Create, Until::Number(count)).await?;
        self.next.store(count, Ordering::Relaxed);
        Ok(())
    }

    /// Looks once whether the answers are what the figures say they are.
    pub(crate) async fn check(&mut self) -> Result<()> {
        let connection = &mut self.lanes[0].connection;
        let list = connection.send(&Workload::List.request()).await?;
        let list: Vec<serde_json::Value> = serde_json::from_slice(list)?;
        let shown = connection.send(&Workload::Show.request()).await?;
        let shown: serde_json::Value = serde_json::from_slice(shown)?;
        if list.len() == LIST && shown["cluster_ns"] == "default" {
            Ok(())
        } else {
            Err(format!("{} does not show what was created", self.child.name).into())
        }
    }

    /// Keeps all connections busy.
    async fn load(&mut self, workload: Workload, until: Until) -> Result<Served> {
        let name = self.child.name;
        let mut running = JoinSet::new();
        for mut lane in self.lanes.drain(..) {
            let next = Arc::clone(&self.next);
            running.spawn(async move {
                let served = lane.run(workload, &next, until).await;
                (lane, served)
            });
        }
        let mut sum = Served::default();
        while let Some(done) = running.join_next().await {
            let (lane, served) = done?;
            self.lanes.push(lane);
            let served = served
                .map_err(|error| format!("{} failed against {name}: {error}", workload.name()))?;
            sum.add(served);
        }
        Ok(sum)
    }
}

/// When a load ends.
#[derive(Debug, Clone, Copy)]
enum Until {
    Time(Instant),
    Number(u32),
}

/// One connection and its own random numbers.
#[derive(Debug)]
struct Lane {
    connection: Connection,
    random: u32,
}

/// What a load brought.
#[derive(Debug, Default)]
struct Served {
    /// Answers that came before the end; whoever asked in time still waits for its own.
    in_time: usize,
    /// The times of all answers in microseconds.
    latencies: Vec<u32>,
}

impl Served {
    fn add(&mut self, other: Self) {
        self.in_time += other.in_time;
        self.latencies.extend(other.latencies);
    }
}

impl Lane {
    async fn run(&mut self, workload: Workload, next: &AtomicU32, until: Until) -> Result<Served> {
        let mut request = workload.request();
        let mut served = Served::default();
        let mut now = Instant::now();
        loop {
            if matches!(until, Until::Time(end) if now >= end) {
                return Ok(served);
            }
            let number = match workload {
                Workload::Create => next.fetch_add(1, Ordering::Relaxed),
                Workload::Show => self.random() % SEEDED,
                Workload::List => 0,
            };
            if matches!(until, Until::Number(count) if number >= count) {
                return Ok(served);
            }
            request.name(number);
            let sent = now;
            self.connection.send(&request).await?;
            now = Instant::now();
            let latency = now.duration_since(sent).as_micros();
            served.latencies.push(u32::try_from(latency)?);
            served.in_time += usize::from(!matches!(until, Until::Time(end) if now >= end));
        }
    }

    /// The next number of a xorshift sequence.
    fn random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }
}
