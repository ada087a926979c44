//! How fast the emulator is beside a bare axum server and beside the obvious axum + sqlx server.
//!
//! Absolute figures say more about the machine than about the program, so all three run in the
//! same minutes and only ratios are reported: slices of a second in the order A B C C B A, a
//! ratio per round, then the median and the quartiles. It reads `/proc`, so it needs Linux.
//!
//! `cargo bench --bench ratio` prints a Markdown table; `-- --quick` is a short look.

mod child;
mod client;
mod figures;
mod servers;
mod startup;
mod workload;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use child::Child;
use figures::Row;
use workload::{Contestant, Contestants, Workload};

/// Whatever goes wrong ends the run, so its text is all that counts.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

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
    /// Few and short rounds, whose figures are rough
    #[arg(long)]
    quick: bool,
    /// What cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    // The servers to compare with are this program once more.
    let mut arguments = std::env::args().skip(1);
    let result = match arguments.next().as_deref() {
        Some(servers::BARE) => servers::serve_bare(),
        Some(servers::NAIVE) => servers::serve_naive(&arguments.next().unwrap_or_default()),
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

fn compare(mut options: Options) -> Result<()> {
    if options.quick {
        options.rounds = options.rounds.min(3);
        options.starts = options.starts.min(5);
        options.slice = options.slice.min(300);
    }
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
    let slice = Duration::from_millis(options.slice);

    // Starts come first: they wait for the disk, which the creates below keep busy for a while.
    progress("start");
    let starts = startup::measure(folder.path(), options.starts).await?;

    let mut contestants = start(folder.path()).await?;
    let before = contestants.usage()?;
    let mut rows = Vec::new();
    let mut absolute = Vec::new();
    // Then the reads, as long as all databases are of the same size.
    for workload in [Workload::Show, Workload::List, Workload::Create] {
        progress(workload.name());
        let rounds = workload::measure(&mut contestants, workload, options.rounds, slice).await?;
        // What matters most, the writes, stands first in the tables.
        rows.splice(0..0, rounds.ratios(workload));
        absolute.insert(0, rounds.absolute(workload));
    }
    let others = contestants.usage()?.others_since(before);
    drop(contestants);
    rows.extend(starts.rows);
    absolute.push(starts.absolute);

    report(options, &rows, &absolute, others)?;
    folder.close()?;
    Ok(())
}

/// Starts all three on fresh databases with the same content.
async fn start(folder: &Path) -> Result<Contestants> {
    progress("seed");
    let emulator = Child::emulator(&folder.join("emulator"))?;
    emulator.make_repositories().await?;
    let naive = Child::naive(&folder.join("naive.db"))?;
    let bare = Child::bare()?;
    let mut contestants = Contestants {
        emulator: Contestant::connect(emulator).await?,
        naive: Contestant::connect(naive).await?,
        bare: Contestant::connect(bare).await?,
    };
    for contestant in contestants.all() {
        contestant.seed().await?;
        contestant.check().await?;
    }
    Ok(contestants)
}

fn progress(what: &str) {
    // That nobody watches is no failure.
    let _ = writeln!(std::io::stderr(), "{what} …");
}

fn report(options: &Options, rows: &[Row], absolute: &[String], others: f64) -> Result<()> {
    let cores = std::thread::available_parallelism()?;
    let Options {
        rounds,
        starts,
        slice,
        ..
    } = options;
    let mut out = std::io::stdout().lock();
    writeln!(out, "| what | median | quartiles |\n| --- | --- | --- |")?;
    for row in rows {
        writeln!(out, "{row}")?;
    }
    writeln!(
        out,
        "\nLayers of the emulator: authentication by token, request ids, body limits, deadline, \
         panic guard, one log line per request at INFO (to /dev/null), durability FULL. The bare \
         and the naive server have none; the naive one commits with FULL too.\n\
         {cores} cores, shared with the client; {connections} keep-alive connections; {rounds} \
         rounds of six slices of {slice} ms, emulator and the others in ABBA order; {starts} \
         starts. Other programs took {others:.0} % of the machine meanwhile.",
        connections = client::CONNECTIONS,
    )?;
    writeln!(
        out,
        "\nFor the order of magnitude only (median of the rounds): requests per second and p50 / \
         p99 in ms; a start's time in ms.\n\n| workload | emulator | naive | bare |\n| --- | --- | --- | --- |"
    )?;
    for line in absolute {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(())
}
