//! `swr-emulator seed`: help with seed files.

use std::time::Duration;

use serde::Deserialize;
use swr_emulator::BUILTIN_TOKEN;
use swr_emulator::internal::SEED_EXAMPLE;

use super::ask::{self, Url};

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
    /// URL of the emulator
    #[arg(
        long,
        env = "SWR_EMULATOR_URL",
        default_value = "http://127.0.0.1:7970"
    )]
    url: Url,
    /// Token of a user who may reset the emulator
    #[arg(
        long,
        env = "SWR_EMULATOR_TOKEN",
        hide_env_values = true,
        default_value = BUILTIN_TOKEN
    )]
    token: String,
    /// Token of the emulator's --control-token, for any other user
    #[arg(
        long,
        env = "SWR_EMULATOR_CONTROL_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    control_token: Option<String>,
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
        let url = &self.url;
        let mut headers = vec![("x-auth-token", self.token.as_str())];
        if let Some(token) = &self.control_token {
            headers.push(("x-emulator-control-token", token));
        }
        let answer = ask::get(url, "/_emulator/seed", &headers, MOST);
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let (status, body) = answer
            .unwrap_or_else(|_| Err("it did not answer in time".to_owned()))
            .map_err(|reason| format!("no emulator answers at {url}: {reason}"))?;
        if status.is_success() {
            return String::from_utf8(body.into())
                .map_err(|_| format!("the answer of {url} is not UTF-8"));
        }
        let reason: Option<Refusal> = serde_json::from_slice(&body).ok();
        let reason = reason.map_or_else(String::new, |refusal| format!(": {}", refusal.error_msg));
        Err(format!("the emulator at {url} answered {status}{reason}"))
    }
}

#[derive(Deserialize)]
struct Refusal {
    error_msg: String,
}
