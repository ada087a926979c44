//! `swr-emulator exec`: an emulator of its own for as long as a command runs.
//!
//! The emulator is in this process, so it ends with it, however that ends. The command is a child in
//! the same process group: what the terminal sends to one reaches both (`signals`). `surroundings`
//! is the environment that the command finds.

mod signals;
mod surroundings;

use std::ffi::OsString;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use clap::builder::ArgPredicate;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use swr_emulator::config::LogLevel;
use swr_emulator::internal::report;
use swr_emulator::{Config, Emulator};
use tokio::time::timeout;

use self::signals::Signals;
use super::report_file;

/// How many lines tell at the most what may be why the command failed.
const MOST_LINES: usize = 20;
/// What ends if the command is not found, and if it cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUN: u8 = 126;
/// What a process that a signal ended ends with, but for the signal's number.
const SIGNALED: u8 = 128;
/// How long requests may run on that something sent which the command left behind.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(
    mut_arg("listen", |listen| listen.default_value("127.0.0.1:0")),
    mut_arg("log_level", |level| level
        .default_value("off")
        .default_value_if("log_file", ArgPredicate::IsPresent, "info")),
    mut_arg("data_dir", |it| it.hide(true)),
    mut_arg("ephemeral", |it| it.hide(true)),
    mut_arg("exit_with_stdin", |it| it.hide(true)),
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    config: Config,
    /// The command to run, with its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Arguments {
    /// Leaves out what is no choice here: the data are in a temporary folder, and standard input is
    /// the command's. As flags, both are refused; variables may be meant for other emulators.
    pub(crate) fn settle(
        &mut self,
        given: &ArgMatches,
        usage: &mut Command,
    ) -> Result<(), clap::Error> {
        for (id, rule) in [
            (
                "data_dir",
                "exec takes no --data-dir: its data folder is temporary",
            ),
            (
                "exit_with_stdin",
                "exec takes no --exit-with-stdin: it ends with COMMAND",
            ),
        ] {
            if given.value_source(id) == Some(ValueSource::CommandLine) {
                return Err(usage.error(ErrorKind::ArgumentConflict, rule));
            }
        }
        self.config.ephemeral = true;
        self.config.exit_with_stdin = false;
        let settled = self.config.settle_origin(given);
        settled.map_err(|rule| usage.error(ErrorKind::ArgumentConflict, rule))
    }

    /// The settings, if they ask for a log.
    pub(crate) fn logged(&self) -> Option<&Config> {
        (self.config.log_level != LogLevel::Off).then_some(&self.config)
    }
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What the process ends with.
    pub(crate) code: u8,
    /// What is told on standard error.
    pub(crate) lines: Vec<String>,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<Ended, String> {
    // Listened for before there is anything to remove.
    let mut signals = Signals::listen().map_err(|error| format!("cannot start: {error}"))?;
    if let Some(path) = &arguments.config.report {
        // Before the command runs in vain.
        report_file::claim(path)?;
    }
    let started = Emulator::start(&arguments.config).await;
    let emulator = started.map_err(|error| error.to_string())?;
    let ended = run_beside(&emulator, arguments, &mut signals).await;
    // Nobody is left to be served, and the data are temporary: what does not end by itself is dropped.
    let _ = timeout(LAST_REQUESTS, emulator.stop()).await;
    ended
}

/// Runs the command to its end, and tells what became of it.
async fn run_beside(
    emulator: &Emulator,
    arguments: &Arguments,
    signals: &mut Signals,
) -> Result<Ended, String> {
    let Some((program, parameters)) = arguments.command.split_first() else {
        return Err("there is no COMMAND".to_owned());
    };
    let mut command = tokio::process::Command::new(program);
    command.args(parameters);
    surroundings::set(command.as_std_mut(), &arguments.config, emulator)
        .map_err(|error| format!("cannot write the login of the registry: {error}"))?;
    if let Some(code) = signals.arrived() {
        let lines = Vec::new();
        return Ok(Ended { code, lines });
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(not_run(program, &error)),
    };
    // Only now, so that the command has the limit that it would have without us.
    drop(rlimit::increase_nofile_limit(u64::MAX));
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            signal = signals.next() => signal.forward(&child),
        }
    };
    let status = status.map_err(|error| format!("cannot wait for COMMAND: {error}"))?;
    let mut lines = Vec::new();
    if !status.success() {
        match report(emulator).await {
            Ok(report) => {
                let troubles = report.troubles(MOST_LINES).into_iter();
                lines.extend(troubles.map(|trouble| format!("swr-emulator: {trouble}")));
            }
            Err(error) => lines.push(format!("error: cannot tell the record of the run: {error}")),
        }
    }
    if let Some(path) = &arguments.config.report {
        let written = report_file::write(emulator, path).await;
        lines.extend(written.err().map(|error| format!("error: {error}")));
    }
    Ok(Ended {
        code: code_of(status),
        lines,
    })
}

fn not_run(program: &OsString, error: &io::Error) -> Ended {
    let name = program.display().to_string();
    let name = name.escape_debug();
    let (code, line) = match error.kind() {
        io::ErrorKind::NotFound => (NOT_FOUND, format!("error: command not found: {name}")),
        _ => (NOT_RUN, format!("error: cannot run {name}: {error}")),
    };
    let lines = vec![line];
    Ended { code, lines }
}

/// What the process ends with: as the command, as far as a process can say it.
#[cfg(unix)]
fn code_of(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let of_signal = || Some(status.signal()? + i32::from(SIGNALED));
    let code = status.code().or_else(of_signal);
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// What the process ends with: as the command, as far as a process can say it.
#[cfg(not(unix))]
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.unwrap_or(1)
}
