//! What a push sets off, and how soon: from the answered push to the entry in the trigger's
//! history, pushes a second with one trigger and with a thousand, what ten thousand triggers that
//! do not match cost a push, the memory that firings leave behind, and a storm of ten thousand
//! firings of which none may be lost or done twice.
//!
//! The emulator runs as a process of its own, with its defaults and a simulated cluster; every push
//! is a manifest that goes through `/v2/` with a bearer token. Where two things are compared, they
//! take turns (A B C C B A) in one process, and only their ratio counts. It reads `/proc`, so it
//! needs Linux.
//!
//! `cargo bench --bench firing` prints a Markdown table; `-- --quick` is a short look, `-- --only
//! storm` a part, `-- --against PATH` compares the storm with that of the emulator at that path.

mod emulator;
#[path = "ratio/figures.rs"]
mod figures;
mod storm;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

use emulator::{Connection, Emulator, PROGRAM, Result, digest};
use figures::{Figures, Row, percentile, ratio};
use storm::Storm;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &[u8] = b"{}";

/// Clients that push at once where pushes are counted.
const CONNECTIONS: usize = 4;
/// Triggers of a repository with many, and different expressions among ten times as many.
const MANY: usize = 1000;
/// Triggers that fire at each push while memory is looked at, each at a workload of its own.
const TOGETHER: usize = 10;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Pushes, and what they set off
    Pushes,
    /// The memory that firings leave behind
    Memory,
    /// 200 pushes that fire 50 triggers each
    Storm,
}

/// Measures what a push sets off
#[derive(Debug, Parser)]
struct Options {
    /// Rounds of everything
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Pushes of each measurement in a round
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pushes: u32,
    /// Firings before memory is looked at
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..))]
    firings: u32,
    /// Few and short rounds, whose figures are rough
    #[arg(long)]
    quick: bool,
    /// Measure this part only (repeatable)
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// Another build of the emulator to compare the storm with
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
    /// What cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    if options.quick {
        options.rounds = options.rounds.min(2);
        options.pushes = options.pushes.min(100);
        options.firings = options.firings.min(1000);
    }
    let folder = tempfile::Builder::new()
        .prefix("firing-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let has = |part: Part| options.only.is_empty() || options.only.contains(&part);
    let mut report = Report::default();
    if has(Part::Pushes) {
        let bench = Bench::start(PROGRAM, folder.path(), &repositories_to_compare())?;
        let pushes = usize::try_from(options.pushes)?;
        let mut rounds = Vec::new();
        // The first round only warms up.
        for round in 0..=options.rounds {
            let measured = Round::measure(&bench, pushes)?;
            if round > 0 {
                rounds.push(measured);
            }
        }
        report.add_rounds(&rounds);
    }
    if has(Part::Memory) {
        let mut memory = Vec::new();
        for _ in 0..options.rounds {
            let bench = Bench::start(PROGRAM, folder.path(), &[("together", together(TOGETHER))])?;
            memory.push(Memory::measure(&bench, usize::try_from(options.firings)?)?);
        }
        report.add_memory(options.firings, &memory);
    }
    if has(Part::Storm) {
        let mut storms = Vec::new();
        for round in 0..options.rounds {
            let other = options.against.as_deref();
            storms.push(Storm::measure(folder.path(), other, round)?);
        }
        report.rows.extend(storm::rows(&storms));
    }
    report.print(&options)?;
    folder.close()?;
    Ok(())
}

/// What has been measured so far.
#[derive(Debug, Default)]
struct Report {
    rows: Vec<Row>,
}

impl Report {
    fn add_rounds(&mut self, rounds: &[Round]) {
        let row = |what: &str, unit, value: fn(&Round) -> f64| Row {
            what: what.to_owned(),
            figures: rounds.iter().map(value).collect::<Figures>(),
            unit,
        };
        self.rows.extend([
            row("push to recorded history, median", " ms", |r| r.settled.0),
            row("push to recorded history, p99", " ms", |r| r.settled.1),
            row("pushes/s with 1 trigger, fired and recorded", "", |r| r.one),
            row("the same with 1,000 of type tag, of 1", "", |r| {
                r.tags / r.one
            }),
            row("the same with 1,000 of type regular, of 1", "", |r| {
                r.regular / r.one
            }),
            row(
                "what 10,000 triggers of which none matches add to a push",
                " ms",
                |r| r.crowded - r.empty,
            ),
            row("that push without triggers", " ms", |r| r.empty),
        ]);
    }

    fn add_memory(&mut self, firings: u32, memory: &[Memory]) {
        let kept = |what: &str, value: fn(&Memory) -> f64| Row {
            what: what.to_owned(),
            figures: memory.iter().map(value).collect::<Figures>(),
            unit: " MiB",
        };
        self.rows.extend([
            kept("memory when idle (RSS)", |m| m.before),
            kept(&format!("after {firings} firings"), |m| m.after),
        ]);
    }

    fn print(&self, options: &Options) -> Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "| what | median | quartiles |\n|---|---|---|")?;
        for row in &self.rows {
            writeln!(out, "{row}")?;
        }
        writeln!(
            out,
            "\n{cores} cores, shared with the client; {rounds} rounds of {pushes} pushes each; one \
             connection, {CONNECTIONS} where pushes are counted; the 10,000 triggers have 1,000 \
             different expressions. Storm: {storm}",
            cores = std::thread::available_parallelism()?,
            rounds = options.rounds,
            pushes = options.pushes,
            storm = storm::SETTING,
        )?;
        Ok(())
    }
}

/// What a round says.
#[derive(Debug)]
struct Round {
    /// Median and p99 from a push's answer to the entry of its trigger, in milliseconds.
    settled: (f64, f64),
    /// Pushes a second with one trigger, with a thousand of type tag, with a thousand of regular.
    one: f64,
    tags: f64,
    regular: f64,
    /// The median time of a push without triggers and with ten thousand, in milliseconds.
    empty: f64,
    crowded: f64,
}

impl Round {
    fn measure(bench: &Bench, pushes: usize) -> Result<Self> {
        let mut times: [Duration; 3] = Default::default();
        let repositories = ["one", "tags", "regular"];
        for at in [0, 1, 2, 2, 1, 0] {
            times[at] += bench.push_and_wait_until_idle(repositories[at], pushes.div_ceil(2))?;
        }
        let [one, tags, regular] =
            times.map(|time| ratio(pushes.div_ceil(2) * 2, 1) / time.as_secs_f64());
        let (empty, crowded) = bench.compare_pushes("empty", "crowded", pushes)?;
        Ok(Self {
            settled: bench.push_and_wait_each("one", pushes)?,
            one,
            tags,
            regular,
            empty,
            crowded,
        })
    }
}

/// What a process occupies, in MiB.
#[derive(Debug)]
struct Memory {
    before: f64,
    after: f64,
}

impl Memory {
    fn measure(bench: &Bench, firings: usize) -> Result<Self> {
        // What a first push and its firing need once is not what firings leave behind.
        bench.push_and_wait_until_idle("together", 1)?;
        let before = bench.emulator.memory("VmRSS")?;
        let pushes = firings.div_ceil(TOGETHER);
        bench.push_and_wait_until_idle("together", pushes)?;
        Ok(Self {
            before,
            after: bench.emulator.memory("VmRSS")?,
        })
    }
}

/// An emulator, and what was pushed to it.
struct Bench {
    emulator: Emulator,
    /// The next push's number: each has a tag and content of its own.
    next: AtomicUsize,
}

impl Bench {
    fn start(
        program: impl AsRef<OsStr>,
        folder: &Path,
        repositories: &[Repository],
    ) -> Result<Self> {
        let bench = Self {
            emulator: Emulator::start(program, folder, &seed_file(repositories), &[])?,
            next: AtomicUsize::new(0),
        };
        for (repository, _) in repositories {
            bench.pusher(repository)?.push_config()?;
        }
        Ok(bench)
    }

    /// A connection that pushes to one repository, with a bearer token for it.
    fn pusher(&self, repository: &'static str) -> Result<Pusher> {
        Ok(Pusher {
            connection: self.emulator.registry(repository)?,
            repository,
        })
    }

    fn number(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Pushes one after the other and waits each time for the entry in the history of `hit`.
    fn push_and_wait_each(&self, repository: &'static str, pushes: usize) -> Result<(f64, f64)> {
        let mut pusher = self.pusher(repository)?;
        let mut waiter = self.emulator.management()?;
        let mut times = Vec::new();
        for _ in 0..pushes {
            let number = self.number();
            pusher.push(number)?;
            let answered = Instant::now();
            let path = format!(
                "/_emulator/wait?namespace=group&repository={repository}&tag=v{number}&trigger=hit"
            );
            let entry = waiter.request("GET", &path, "", b"")?.is(200)?;
            times.push(u32::try_from(answered.elapsed().as_micros())?);
            let entry: Value = serde_json::from_slice(&entry.body)?;
            if entry["result"] != "success" || entry["detail"] != "" {
                return Err(format!("not fired as expected: {entry}").into());
            }
        }
        let milliseconds = |microseconds: f64| microseconds / 1000.0;
        Ok((
            milliseconds(percentile(&mut times, 50)),
            milliseconds(percentile(&mut times, 99)),
        ))
    }

    /// Pushes over some connections at once; how long until all is fired and recorded.
    fn push_and_wait_until_idle(
        &self,
        repository: &'static str,
        pushes: usize,
    ) -> Result<Duration> {
        let mut pushers = Vec::new();
        for _ in 0..CONNECTIONS {
            pushers.push(self.pusher(repository)?);
        }
        let mut waiter = self.emulator.management()?;
        let pushed = AtomicUsize::new(0);
        let started = Instant::now();
        std::thread::scope(|scope| {
            let mut running = Vec::new();
            for pusher in &mut pushers {
                let pushed = &pushed;
                running.push(scope.spawn(move || -> Result<()> {
                    while pushed.fetch_add(1, Ordering::Relaxed) < pushes {
                        pusher.push(self.number())?;
                    }
                    Ok(())
                }));
            }
            for pusher in running {
                pusher.join().map_err(|_| "a client panicked")??;
            }
            Ok::<_, emulator::Error>(())
        })?;
        let idle = waiter
            .request("GET", "/_emulator/idle?timeout=10m", "", b"")?
            .is(200)?;
        let time = started.elapsed();
        let idle: Value = serde_json::from_slice(&idle.body)?;
        if idle["failed"] != 0 || idle["fired"] == 0 {
            return Err(format!("not fired as expected: {idle}").into());
        }
        Ok(time)
    }

    /// The median times of pushes to two repositories that take turns, in milliseconds.
    fn compare_pushes(
        &self,
        left: &'static str,
        right: &'static str,
        pushes: usize,
    ) -> Result<(f64, f64)> {
        let mut sides = [
            (self.pusher(left)?, Vec::new()),
            (self.pusher(right)?, Vec::new()),
        ];
        for turn in 0..pushes {
            for at in if turn % 2 == 0 { [0, 1] } else { [1, 0] } {
                let (pusher, times) = &mut sides[at];
                let started = Instant::now();
                pusher.push(self.number())?;
                times.push(u32::try_from(started.elapsed().as_micros())?);
            }
        }
        let [left, right] = sides.map(|(_, mut times)| percentile(&mut times, 50) / 1000.0);
        Ok((left, right))
    }
}

/// A repository's name and its triggers.
type Repository = (&'static str, Vec<Value>);

/// Repositories whose pushes are timed.
fn repositories_to_compare() -> [Repository; 5] {
    let never = |at: usize| trigger(&format!("t{at}"), "web", "tag", &format!("x{at};y{at}"));
    let no_match = |at: usize| {
        let expression = format!("^release-{}-[0-9]+$", at % MANY);
        trigger(&format!("t{at}"), "web", "regular", &expression)
    };
    let every = || trigger("hit", "web", "all", ".*");
    let found = trigger("hit", "web", "regular", "^v[0-9]+$");
    [
        ("one", vec![every()]),
        ("tags", (1..MANY).map(never).chain([every()]).collect()),
        ("regular", (1..MANY).map(no_match).chain([found]).collect()),
        ("empty", Vec::new()),
        ("crowded", (0..10 * MANY).map(no_match).collect()),
    ]
}

/// So many triggers that all fire at each push, at workloads of their own.
fn together(count: usize) -> Vec<Value> {
    (0..count)
        .map(|at| trigger(&format!("t{at}"), &format!("web{at}"), "all", ".*"))
        .collect()
}

/// An organization with these repositories, and a cluster whose workloads run all of them.
fn seed_file(repositories: &[Repository]) -> Value {
    let containers: Vec<_> = repositories
        .iter()
        .map(|(name, _)| json!({"name": name, "image": format!("{{registry}}/group/{name}:v")}))
        .collect();
    let targets: BTreeSet<_> = repositories
        .iter()
        .flat_map(|(_, triggers)| triggers)
        .map(|trigger| trigger["application"].to_string())
        .collect();
    let workloads: Vec<_> = targets
        .iter()
        .map(|name| json!({"name": name.trim_matches('"'), "containers": containers}))
        .collect();
    let repositories: Vec<_> = repositories
        .iter()
        .map(|(name, triggers)| json!({"name": name, "triggers": triggers}))
        .collect();
    json!({
        "organizations": [{"name": "group", "repositories": repositories}],
        "clusters": [
            {"name": "test", "namespaces": [{"name": "default", "deployments": workloads}]},
        ],
    })
}

fn trigger(name: &str, workload: &str, kind: &str, condition: &str) -> Value {
    json!({
        "name": name, "action": "update", "app_type": "deployments", "application": workload,
        "cluster_id": "test", "cluster_ns": "default", "condition": condition, "enable": "true",
        "trigger_type": kind,
    })
}

/// Pushes to one repository.
struct Pusher {
    connection: Connection,
    repository: &'static str,
}

impl Pusher {
    /// Pushes the configuration that all images have in common.
    fn push_config(&mut self) -> Result<()> {
        let path = format!(
            "/v2/group/{}/blobs/uploads/?digest={}",
            self.repository,
            digest(CONFIG)
        );
        let headers = "Content-Type: application/octet-stream\r\n";
        self.connection
            .request("POST", &path, headers, CONFIG)?
            .is(201)?;
        Ok(())
    }

    /// Pushes an image of its own under a tag of its own.
    fn push(&mut self, number: usize) -> Result<()> {
        let content = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                       "digest": digest(CONFIG), "size": CONFIG.len()},
            "layers": [],
            "annotations": {"bench": number.to_string()},
        });
        let path = format!("/v2/group/{}/manifests/v{number}", self.repository);
        let headers = format!("Content-Type: {MANIFEST}\r\n");
        self.connection
            .request("PUT", &path, &headers, content.to_string().as_bytes())?
            .is(201)?;
        Ok(())
    }
}
