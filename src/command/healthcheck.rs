//! `swr-emulator healthcheck`: asks a running emulator whether it serves, once or until it does.

use std::time::Duration;

use swr_emulator::config;
use tokio::time::{Instant, sleep_until};

use super::ask::{self, Url};

/// How long the emulator may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it is left alone between two questions.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// URL of the emulator
    #[arg(
        long,
        env = "SWR_EMULATOR_URL",
        default_value = "http://127.0.0.1:7970"
    )]
    url: Url,
    /// Keep asking until it is ready, for at most this long (for example 10s)
    #[arg(long, value_name = "TIME", value_parser = config::parse_wait)]
    wait: Option<Duration>,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<(), String> {
    let url = &arguments.url;
    let late = Instant::now() + arguments.wait.unwrap_or(PATIENCE);
    loop {
        let left = late.saturating_duration_since(Instant::now());
        let reason = match ask::health(url, left.min(PATIENCE)).await {
            Ok((status, _)) if status.is_success() => return Ok(()),
            Ok((status, _)) => format!("it answered {status}"),
            Err(reason) => reason,
        };
        let next = Instant::now() + PAUSE;
        if arguments.wait.is_none() || next >= late {
            return Err(format!("the emulator at {url} is not ready: {reason}"));
        }
        sleep_until(next).await;
    }
}
