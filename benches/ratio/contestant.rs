//! A server with the connections to it, and a load that keeps all of them busy.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Result;
use crate::child::Child;
use crate::client::Connection;
use crate::servers::LIST;
use crate::workload::{self, Numbers, Place, Random, Requests, Workload};

/// Connections that are busy at once, where nothing else is said.
pub(crate) const CONNECTIONS: u32 = 32;

/// A server with the connections to it.
#[derive(Debug)]
pub(crate) struct Contestant {
    pub(crate) child: Child,
    lanes: Vec<Lane>,
    numbers: Arc<Numbers>,
}

/// When a load ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    Time(Instant),
    /// A trigger has this number.
    Number(u32),
}

/// What a load brought.
#[derive(Debug, Default)]
pub(crate) struct Served {
    /// Answers that came before the end; whoever asked in time still waits for its own.
    pub(crate) in_time: usize,
    /// The times of all answers in microseconds.
    pub(crate) latencies: Vec<u32>,
    /// How long it was.
    pub(crate) time: Duration,
}

impl Served {
    pub(crate) fn add(&mut self, other: Self) {
        self.in_time += other.in_time;
        self.latencies.extend(other.latencies);
        self.time += other.time;
    }
}

impl Contestant {
    pub(crate) async fn connect(child: Child) -> Result<Self> {
        let mut contestant = Self {
            child,
            lanes: Vec::new(),
            numbers: Arc::default(),
        };
        contestant.reconnect(CONNECTIONS).await?;
        Ok(contestant)
    }

    /// From now on there are so many connections.
    pub(crate) async fn reconnect(&mut self, connections: u32) -> Result<()> {
        self.lanes.clear();
        for number in 1..=connections {
            self.lanes.push(Lane {
                connection: Connection::open(self.child.address()).await?,
                random: Random(number),
                writes: number == 1,
            });
        }
        Ok(())
    }

    pub(crate) fn into_child(self) -> Child {
        self.child
    }

    /// Makes all that the workloads read.
    pub(crate) async fn seed(&mut self, cold: u32) -> Result<()> {
        for (place, count) in workload::seeded(cold) {
            self.create(place, 0..count).await?;
        }
        self.numbers = Arc::default();
        Ok(())
    }

    /// Makes the triggers with these numbers; the time that it took.
    pub(crate) async fn create(&mut self, place: Place, numbers: Range<u32>) -> Result<Duration> {
        self.numbers.create.store(numbers.start, Ordering::Relaxed);
        let until = Until::Number(numbers.end);
        let served = self.load(Workload::Create(place), until).await?;
        Ok(served.time)
    }

    /// Shows as many triggers as this that were never shown before.
    pub(crate) async fn show_new(&mut self, count: u32) -> Result<Served> {
        let end = self.numbers.read.load(Ordering::Relaxed) + count;
        let served = self.load(Workload::Cold, Until::Number(end)).await?;
        // Each connection took a number that it did not ask for.
        self.numbers.read.store(end, Ordering::Relaxed);
        Ok(served)
    }

    /// Looks once whether the answers are what the figures say they are.
    pub(crate) async fn check(&mut self) -> Result<()> {
        let random = &mut Random(1);
        let connection = &mut self.lanes[0].connection;
        let mut requests = Requests::new(Workload::List, false);
        let list = requests.next(&self.numbers, random).request;
        let list = connection.send(list).await?;
        let list: Vec<serde_json::Value> = serde_json::from_slice(list)?;
        let mut is_right = list.len() == usize::try_from(LIST)?;
        for workload in [Workload::Show, Workload::Hot] {
            let mut requests = Requests::new(workload, false);
            let shown = requests.next(&self.numbers, random).request;
            let shown = connection.send(shown).await?;
            let shown: serde_json::Value = serde_json::from_slice(shown)?;
            is_right &= shown["cluster_ns"] == "default";
        }
        if is_right {
            Ok(())
        } else {
            Err(format!("{} does not show what was created", self.child.name).into())
        }
    }

    /// Keeps all connections busy.
    pub(crate) async fn load(&mut self, workload: Workload, until: Until) -> Result<Served> {
        let name = self.child.name;
        let started = Instant::now();
        let mut running = JoinSet::new();
        for mut lane in self.lanes.drain(..) {
            let numbers = Arc::clone(&self.numbers);
            running.spawn(async move {
                let served = lane.run(workload, &numbers, until).await;
                (lane, served)
            });
        }
        let mut sum = Served::default();
        while let Some(done) = running.join_next().await {
            let (lane, served) = done?;
            self.lanes.push(lane);
            let served =
                served.map_err(|error| format!("{workload:?} failed against {name}: {error}"))?;
            sum.add(served);
        }
        sum.time = match until {
            Until::Time(end) => end - started,
            Until::Number(_) => started.elapsed(),
        };
        Ok(sum)
    }
}

/// One connection and its own random numbers.
#[derive(Debug)]
struct Lane {
    connection: Connection,
    random: Random,
    /// Whether it is the one that writes where only one does.
    writes: bool,
}

impl Lane {
    async fn run(&mut self, workload: Workload, numbers: &Numbers, until: Until) -> Result<Served> {
        let mut requests = Requests::new(workload, self.writes);
        let mut served = Served::default();
        let mut now = Instant::now();
        loop {
            if matches!(until, Until::Time(end) if now >= end) {
                return Ok(served);
            }
            let next = requests.next(numbers, &mut self.random);
            if matches!(until, Until::Number(count) if next.number >= count) {
                return Ok(served);
            }
            let sent = now;
            self.connection.send(next.request).await?;
            now = Instant::now();
            if next.counts {
                let latency = now.duration_since(sent).as_micros();
                served.latencies.push(u32::try_from(latency)?);
                let is_late = matches!(until, Until::Time(end) if now >= end);
                served.in_time += usize::from(!is_late);
            }
        }
    }
}
