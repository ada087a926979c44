//! `swr-emulator seed`: help with seed files.

use std::time::Duration;

use swr_emulator::internal::SEED_EXAMPLE;

use super::ask::{self, Target};

/// How long the emulator may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);
/// The largest file that is taken, in bytes.
const MOST: usize = 256 * 1024 * 1024;

#[derive(Debug, clap::Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    // The only thing to ask for besides the command, so nobody has to look whether it was.
    /// Print a commented example that has every key
    #[arg(long = "example", required = true)]
    _example: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the present state of a running emulator as a seed file, with the secrets of its users
    Export(Export),
}

#[derive(Debug, clap::Args)]
struct Export {
    #[command(flatten)]
    target: Target,
}

/// The text that was asked for.
pub(crate) async fn run(arguments: &Arguments) -> Result<String, String> {
    match &arguments.command {
        None => Ok(SEED_EXAMPLE.to_owned()),
        Some(Command::Export(export)) => export.run().await,
    }
}

impl Export {
    async fn run(&self) -> Result<String, String> {
        let url = &self.target.url;
        let headers = self.target.headers();
        let answer = ask::get(url, "/_emulator/seed", &headers, MOST);
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let (status, body) = answer
            .unwrap_or_else(|_| Err("it did not answer in time".to_owned()))
            .map_err(|reason| self.target.unreachable(&reason))?;
        if !status.is_success() {
            return Err(ask::refusal(url, status, &body));
        }
        String::from_utf8(body.into()).map_err(|_| format!("the answer of {url} is not UTF-8"))
    }
}
