//! The command line: reads the settings, starts logging, runs one instance or one sub-command.

mod command;
mod logging;
mod memory;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use logging::Log;
use swr_emulator::internal::{OWN_PATHS, PAGE};
use swr_emulator::{
    BUILTIN_ACCESS_KEY, BUILTIN_ACCOUNT, BUILTIN_PASSWORD, BUILTIN_SECRET_KEY, BUILTIN_TOKEN,
    BUILTIN_USER,
};
use swr_emulator::{Config, Emulator};

/// Huawei Cloud SWR on your own machine: starts an emulator if no command is given
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    args_override_self = true
)]
struct Arguments {
    #[command(flatten)]
    config: Config,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check everything that can be wrong, and name the fix
    Doctor(command::doctor::Arguments),
    /// Print the settings for a client (asks the emulator for its region)
    Env(command::env::Arguments),
    /// Run COMMAND with an emulator of its own, which ends with it, and exit as COMMAND does
    Exec(Box<command::exec::Arguments>),
    /// Exit with 0 if an emulator is ready, otherwise with 1
    Healthcheck(command::healthcheck::Arguments),
    /// Print an example seed file, or the state of a running emulator as one
    Seed(command::seed::Arguments),
    /// Save the whole state of a running emulator in a file, or load it from one
    Snapshot(command::snapshot::Arguments),
    /// Show a push with all of its effects, or the push that a workload runs
    Trace(command::trace::Arguments),
}

/// How long threads are waited for that the end of the runtime finds at work. One that hangs, in an
/// exec plug-in of a kubeconfig or on a file system that does not answer, holds nobody up.
const LAST_THREADS: Duration = Duration::from_secs(1);

/// What the process ends with when the command line is wrong.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    memory::limit_kept();
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    if !matches!(arguments.command, Some(Command::Exec(_))) {
        // Nobody minds more file descriptors, and each connection is one.
        drop(rlimit::increase_nofile_limit(u64::MAX));
    }
    for warning in command::variables::warnings(&Arguments::command()) {
        warn(&warning);
    }
    let logged = match &arguments.command {
        None => Some(&arguments.config),
        Some(Command::Exec(exec)) => exec.logged(),
        Some(_) => None,
    };
    let log = logged.map(Log::start).transpose();
    let started = log.and_then(|log| Ok((log, tokio::runtime::Runtime::new()?)));
    let (log, runtime) = match started {
        Ok(started) => started,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let result = match arguments.command {
        None => runtime.block_on(run(&arguments.config)),
        Some(Command::Doctor(arguments)) => {
            let examined = runtime.block_on(command::doctor::run(&arguments));
            examined.map(|examined| {
                say(&examined.text);
                examined.code
            })
        }
        Some(Command::Env(arguments)) => {
            let answer = runtime.block_on(command::env::run(&arguments));
            answer.map(|answer| {
                if let Some(warning) = answer.warning {
                    warn(&warning);
                }
                say(&answer.settings);
                ExitCode::SUCCESS
            })
        }
        Some(Command::Exec(arguments)) => {
            let ended = runtime.block_on(command::exec::run(&arguments));
            ended.map(|ended| {
                for line in ended.lines {
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
                ExitCode::from(ended.code)
            })
        }
        Some(Command::Healthcheck(arguments)) => {
            let ready = runtime.block_on(command::healthcheck::run(&arguments));
            ready.map(|()| ExitCode::SUCCESS)
        }
        Some(Command::Seed(arguments)) => {
            let text = runtime.block_on(command::seed::run(&arguments));
            text.map(|text| {
                say(&text);
                ExitCode::SUCCESS
            })
        }
        Some(Command::Snapshot(arguments)) => {
            let moved = runtime.block_on(command::snapshot::run(&arguments));
            moved.map(|()| ExitCode::SUCCESS)
        }
        Some(Command::Trace(arguments)) => {
            let traced = runtime.block_on(command::trace::run(&arguments));
            traced.map(|traced| {
                say(&traced.text);
                traced.code
            })
        }
    };
    runtime.shutdown_timeout(LAST_THREADS);
    if let Some(log) = log {
        log.end();
    }
    match result {
        Ok(code) => code,
        Err(message) => fail(&message),
    }
}

/// Reads the command line and the environment. `--ephemeral` and `--data-dir` cannot be used
/// together, nor can two seeds, or one and a snapshot; where one is a flag and the other a variable, the flag wins.
fn parse() -> Result<Arguments, clap::Error> {
    let matches = Arguments::command().try_get_matches()?;
    let mut arguments = Arguments::from_arg_matches(&matches)?;
    if let Some(Command::Exec(exec)) = &mut arguments.command {
        let given = matches.subcommand_matches("exec").unwrap_or(&matches);
        exec.settle(given, &mut Arguments::command())?;
        return Ok(arguments);
    }
    if arguments.config.ephemeral {
        match (
            matches.value_source("ephemeral"),
            matches.value_source("data_dir"),
        ) {
            (Some(ValueSource::EnvVariable), Some(ValueSource::CommandLine)) => {
                arguments.config.ephemeral = false;
            }
            (ephemeral, data_dir) if ephemeral == data_dir => {
                let message = "--ephemeral cannot be used with --data-dir";
                let kind = ErrorKind::ArgumentConflict;
                return Err(Arguments::command().error(kind, message));
            }
            _ => {}
        }
    }
    if let Err(message) = arguments.config.settle_origin(&matches) {
        let kind = ErrorKind::ArgumentConflict;
        return Err(Arguments::command().error(kind, message));
    }
    Ok(arguments)
}

/// Help and version as clap writes them; a wrong command line in one line.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = wrong_value(error).unwrap_or_else(|| {
        let text = error.to_string();
        let lines = text.lines().take_while(|line| !line.is_empty());
        lines.map(str::trim).collect::<Vec<_>>().join(" ")
    });
    let _ = writeln!(std::io::stderr(), "{text} (see --help)");
    ExitCode::from(USAGE)
}

/// A value that breaks a rule: the setting, as it was given, and the rule.
fn wrong_value(error: &clap::Error) -> Option<String> {
    use std::error::Error as _;
    let rule = match error.kind() {
        ErrorKind::ValueValidation => error.source()?.to_string(),
        ErrorKind::InvalidValue => match error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(values)) if !values.is_empty() => {
                format!("must be one of {}", values.join(", "))
            }
            _ => return None,
        },
        _ => return None,
    };
    let setting = command::variables::setting(&Arguments::command(), error)?;
    Some(format!("error: {setting}: {rule}"))
}

fn warn(message: &str) {
    let _ = writeln!(std::io::stderr(), "warning: {message}");
}

fn fail(message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {message}");
    ExitCode::FAILURE
}

/// Writes to stdout; that nobody reads it is no failure.
fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// Runs an instance until it is told to stop, once in order, twice at once.
async fn run(config: &Config) -> Result<ExitCode, String> {
    // Listened for before anybody can know that there is something to stop.
    let mut signals = Signals::listen();
    if let Some(path) = &config.report {
        command::report_file::claim(path)?;
    }
    let emulator = match Emulator::start(config).await {
        Ok(emulator) => emulator,
        Err(error) if error.is_misuse() => {
            fail(&error.to_string());
            return Ok(ExitCode::from(USAGE));
        }
        Err(error) => return Err(error.to_string()),
    };
    say(&greeting(&emulator));
    let signal = tokio::select! {
        signal = signals.next() => signal.name,
        never = memory::give_back_at_rest(&emulator) => match never {},
        () = input_ended(), if config.exit_with_stdin => "end of standard input",
    };
    tracing::info!(
        signal,
        "Stopping; another Ctrl-C or SIGTERM ends the program immediately"
    );
    let stop = async {
        let written = match &config.report {
            Some(path) => command::report_file::write(&emulator, path).await,
            None => Ok(()),
        };
        emulator.stop().await;
        written
    };
    tokio::select! {
        written = stop => written.map(|()| ExitCode::SUCCESS),
        // Given up, the end drops the instance and with it a temporary folder.
        signal = signals.next() => {
            tracing::warn!(signal = signal.name, "Exiting immediately");
            Ok(ExitCode::from(signal.code))
        }
    }
}

/// What stdout shows once the emulator serves. A seeded secret is never part of it.
fn greeting(emulator: &Emulator) -> String {
    let address = emulator.address();
    let data = emulator.data_folder().display();
    let base = emulator.url();
    let mut regions = String::new();
    for (region, address) in emulator.addresses().skip(1) {
        let _ = writeln!(regions, "region       {region} on http://{address}");
    }
    let account = if emulator.has_builtin_account() {
        format!(
            "account      {BUILTIN_ACCOUNT}, user {BUILTIN_USER}, password {BUILTIN_PASSWORD}, \
             token {BUILTIN_TOKEN}\n\
             access key   {BUILTIN_ACCESS_KEY}, secret key {BUILTIN_SECRET_KEY}\n\
             try          curl -H 'X-Auth-Token: {BUILTIN_TOKEN}' '{base}/v2/manage/namespaces'\n"
        )
    } else {
        format!(
            "account      see the seed file\n\
             try          curl '{base}/_emulator/health'\n"
        )
    };
    format!(
        "listening on http://{address}\ndata folder  {data}\n{regions}{account}\
         console      {base}{OWN_PATHS}\n\
         docs         {base}{PAGE}\n"
    )
}

/// Ends once standard input has; what comes before is thrown away. It is read by a thread of its
/// own, which the end of the process does not wait for.
async fn input_ended() {
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // An input that fails has nobody behind it either.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
}

/// A signal that asks the process to stop, and what the process ends with that it ends at once.
struct Signal {
    name: &'static str,
    code: u8,
}

const INTERRUPT: Signal = Signal {
    name: "SIGINT",
    code: 128 + 2,
};

/// The signals that ask the process to stop, caught for as long as this value lives.
#[cfg(unix)]
struct Signals(Option<[tokio::signal::unix::Signal; 2]>);

#[cfg(unix)]
impl Signals {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt()).ok();
        let both = interrupt.zip(signal(SignalKind::terminate()).ok());
        Self(both.map(|(interrupt, terminate)| [interrupt, terminate]))
    }

    async fn next(&mut self) -> Signal {
        let Some([interrupt, terminate]) = &mut self.0 else {
            // Without handlers the system ends the process by itself.
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => INTERRUPT,
            _ = terminate.recv() => Signal { name: "SIGTERM", code: 128 + 15 },
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Self {
        Self
    }

    async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => INTERRUPT,
            Err(_) => std::future::pending().await,
        }
    }
}
