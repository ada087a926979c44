//! How fast the emulator is beside a bare axum server, the obvious axum + sqlx server, and another
//! build of itself if there is one.
//!
//! Absolute figures say more about the machine than about the program, so all run in the same
//! minutes and only ratios are reported: slices of a second in the order A B C C B A, a ratio per
//! round, then the median and the quartiles. It reads `/proc`, so it needs Linux.
//!
//! `cargo bench --bench ratio` prints a Markdown table; `-- --quick` is a short look, `-- --only
//! mixed` a part, `-- --against PATH` compares with the emulator at that path too, and `-- --listener`
//! adds a client that listens to the events of the emulator.

mod absolute;
mod child;
mod client;
mod contest;
mod contestant;
mod figures;
mod growth;
mod servers;
mod startup;
mod workload;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use absolute::Line;
use child::Build;
use contest::{Contest, Extent, Usage};
use contestant::CONNECTIONS;
use figures::Row;
use workload::{Place, Workload};

/// Whatever goes wrong ends the run, so its text is all that counts.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Connections of the part that varies them.
const CONNECTION_COUNTS: [u32; 5] = [1, 8, 32, 128, 512];
/// Triggers beside which creates are measured.
const LEVELS: [u32; 3] = [10_000, 100_000, 1_000_000];

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Creates in one repository
    Create,
    /// Shows of 5,000 triggers
    Show,
    /// Lists of 20 triggers
    List,
    /// 90 % shows and 10 % creates over 200 repositories
    Mixed,
    /// Shows of one trigger while others are created in its repository
    Hot,
    /// Shows of triggers that nobody has asked for before
    Cold,
    /// Shows and creates over 1, 8, 32, 128 and 512 connections
    Connections,
    /// Creates beside 10,000 to 1,000,000 triggers
    Growth,
    /// Starts, and the memory when idle
    Start,
}

impl Part {
    /// Whether it belongs to a short look.
    fn is_quick(self) -> bool {
        !matches!(self, Self::Cold | Self::Connections | Self::Growth)
    }
}

/// Measures the emulator against a bare and a naive server
#[derive(Debug, Parser)]
struct Options {
    /// Rounds of each workload; a round is six slices
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Starts of each server
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..))]
    starts: u32,
    /// Length of a slice in milliseconds
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    slice: u64,
    /// Few and short rounds of the most important parts, whose figures are rough
    #[arg(long)]
    quick: bool,
    /// Measure this part only (repeatable)
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// Another build of the emulator to compare with
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
    /// Let a client listen to the events of the emulator, but not of another build
    #[arg(long)]
    listener: bool,
    /// What cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    // The servers to compare with are this program once more.
    let mut arguments = std::env::args().skip(1);
    let result = match arguments.next().as_deref() {
        Some(servers::BARE) => servers::serve_bare(),
        Some(servers::NAIVE) => serve_naive(arguments),
        _ => compare(Options::parse()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve_naive(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let database = arguments.next().ok_or("no database")?;
    let cold = arguments.next().ok_or("no number of triggers")?;
    servers::serve_naive(&database, cold.parse()?)
}

fn compare(mut options: Options) -> Result<()> {
    if options.quick {
        options.rounds = options.rounds.min(3);
        options.starts = options.starts.min(5);
        options.slice = options.slice.min(300);
    }
    // Many connections to several servers; the servers inherit it.
    rlimit::increase_nofile_limit(u64::MAX)?;
    // One thread is the cheapest client: it leaves the cores to the servers.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(run(&options))
}

async fn run(options: &Options) -> Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("ratio-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let has = |part: Part| match options.only.as_slice() {
        [] => part.is_quick() || !options.quick,
        only => only.contains(&part),
    };
    let other = options.against.as_deref();

    // Starts come first: they wait for the disk, which the creates below keep busy for a while.
    let starts = if has(Part::Start) {
        progress("start");
        Some(startup::measure(folder.path(), other, options.starts).await?)
    } else {
        None
    };
    let mut report = Report::default();
    for part in Part::value_variants().iter().filter(|part| has(**part)) {
        measure(&mut report, *part, folder.path(), options).await?;
    }
    if let Some(starts) = starts {
        report.rows.extend(starts.rows);
        report.absolute.push(starts.absolute);
    }
    report.print(options)?;
    folder.close()?;
    Ok(())
}

/// What has been measured so far.
#[derive(Debug, Default)]
struct Report {
    rows: Vec<Row>,
    absolute: Vec<Line>,
    usage: Usage,
}

/// Measures one part, on servers of its own.
async fn measure(report: &mut Report, part: Part, folder: &Path, options: &Options) -> Result<()> {
    let create = Workload::Create(Place::Busy);
    let extent = Extent {
        rounds: options.rounds,
        slice: Duration::from_millis(options.slice),
    };
    let mut contest = async |name: &str, workload, connections, extent| {
        progress(name);
        let folder = folder.join(name);
        let other = options.against.as_deref();
        let mut contest =
            Contest::start(&folder, other, workload, extent, options.listener).await?;
        contest.reconnect(connections).await?;
        let before = contest.usage()?;
        let rounds = contest.measure(workload, extent).await?;
        report.usage.add(before, contest.usage()?);
        report.absolute.push(rounds.absolute(name));
        report.rows.extend(rounds.rates(name));
        Result::Ok(rounds)
    };
    let (name, workload) = match part {
        Part::Create => ("create", create),
        Part::Show => ("show", Workload::Show),
        Part::List => ("list of 20", Workload::List),
        Part::Mixed => ("mixed", Workload::Mixed),
        Part::Hot => ("hot", Workload::Hot),
        Part::Cold => ("cold", Workload::Cold),
        Part::Connections => {
            for (name, workload) in [("show", Workload::Show), ("create", create)] {
                for connections in CONNECTION_COUNTS {
                    let name = format!("{name} over {connections}");
                    contest(&name, workload, connections, extent.halved()).await?;
                }
            }
            return Ok(());
        }
        Part::Growth => {
            let levels = if options.quick { &LEVELS[..2] } else { &LEVELS };
            let builds = options.against.as_deref().map(Build::Other);
            for build in [Build::Own].into_iter().chain(builds) {
                progress(&format!("growth of {}", build.name()));
                let growth = growth::measure(folder, build, levels, options.rounds).await?;
                report.rows.extend(growth.rows);
                report.absolute.extend(growth.absolute);
                report.usage.add(Usage::default(), growth.usage);
            }
            return Ok(());
        }
        // Measured before all others.
        Part::Start => return Ok(()),
    };
    let rounds = contest(name, workload, CONNECTIONS, extent).await?;
    // Where some of the requests are not counted, the time for one says little.
    if workload != Workload::Hot {
        report.rows.extend(rounds.cpu_times(name));
    }
    report.rows.extend(rounds.p99s(name));
    Ok(())
}

fn progress(what: &str) {
    // That nobody watches is no failure.
    let _ = writeln!(std::io::stderr(), "{what} …");
}

impl Report {
    fn print(&self, options: &Options) -> Result<()> {
        let cores = std::thread::available_parallelism()?;
        let Options {
            rounds,
            starts,
            slice,
            ..
        } = options;
        let mut out = std::io::stdout().lock();
        writeln!(out, "| what | median | quartiles |\n| --- | --- | --- |")?;
        for row in &self.rows {
            writeln!(out, "{row}")?;
        }
        writeln!(
            out,
            "\nLayers of the emulator: authentication by token, request ids, body limits, \
             deadline, panic guard, one log line per request at INFO (to /dev/null), durability \
             FULL. The bare and the naive server have none; the naive one commits with FULL too.\n\
             mixed: 90 % shows, 10 % creates, over 200 repositories. hot: shows of one trigger, \
             while one connection creates others in its repository and is not counted. cold: each \
             trigger is shown once.\n\
             {cores} cores, shared with the client; {CONNECTIONS} keep-alive connections, where \
             nothing else is said; {rounds} rounds of two slices of {slice} ms for each server \
             (half as long where connections vary), in ABBA order; {starts} starts. Other programs \
             took {others:.0} % of the machine meanwhile.",
            others = self.usage.others(),
        )?;
        writeln!(
            out,
            "\nFor the order of magnitude only (median of the rounds): requests per second and \
             p50 / p99 in ms; a start's time in ms.\n\n\
             | workload | emulator | naive | bare | other build |\n| --- | --- | --- | --- | --- |"
        )?;
        for line in &self.absolute {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        Ok(())
    }
}
