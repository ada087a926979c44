//! Every setting, its flag, its variable and its default.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use crate::auth;

/// The settings of an instance.
#[derive(Debug, Clone, Args)]
pub struct Config {
    /// Address to listen on; port 0 takes any free one
    #[arg(
        long,
        env = "SWR_EMULATOR_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:7970"
    )]
    pub listen: SocketAddr,
    /// Folder that holds all data; made (mode 0700) if it is missing
    #[arg(
        long,
        env = "SWR_EMULATOR_DATA_DIR",
        value_name = "DIR",
        default_value = "./swr-emulator-data"
    )]
    pub data_dir: PathBuf,
    /// Keep the data in a fresh temporary folder that is removed at exit
    #[arg(
        long,
        env = "SWR_EMULATOR_EPHEMERAL",
        value_parser = FalseyValueParser::new()
    )]
    pub ephemeral: bool,
    /// Region that the emulator plays; its projects are named so
    #[arg(
        long,
        env = "SWR_EMULATOR_REGION",
        value_name = "REGION",
        default_value = "cn-north-4",
        value_parser = parse_region
    )]
    pub region: String,
    /// YAML or JSON file with accounts, organizations, repositories, triggers and clusters
    #[arg(long, env = "SWR_EMULATOR_SEED", value_name = "FILE")]
    pub seed: Option<PathBuf>,
    /// One more name of the registry (repeatable); `path` shows the first, else the address
    #[arg(
        long,
        env = "SWR_EMULATOR_REGISTRY_HOST",
        value_name = "HOST[:PORT]",
        value_delimiter = ',',
        value_parser = parse_registry_host
    )]
    pub registry_host: Vec<String>,
    /// One more host that requests to a loopback address may be for (repeatable)
    #[arg(
        long,
        env = "SWR_EMULATOR_ALLOW_HOST",
        value_name = "HOST",
        value_delimiter = ',',
        value_parser = parse_allowed_host
    )]
    pub allow_host: Vec<String>,
    /// How many organizations an account may have in a region
    #[arg(
        long,
        env = "SWR_EMULATOR_QUOTA_NAMESPACES",
        value_name = "N",
        default_value_t = 1000
    )]
    pub quota_namespaces: u32,
    /// How long a fired trigger is tried while its cluster fails, in seconds
    #[arg(
        long,
        env = "SWR_EMULATOR_DEPLOY_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(0..=3600)
    )]
    pub deploy_timeout: u32,
    /// Refuse a new trigger whose cluster, workload or container does not exist, as the live service does
    #[arg(
        long,
        env = "SWR_EMULATOR_STRICT_TARGETS",
        value_parser = FalseyValueParser::new()
    )]
    pub strict_targets: bool,
    /// Refuse new triggers and fail firings until the account has the agency, as the live service does
    #[arg(
        long,
        env = "SWR_EMULATOR_REQUIRE_AGENCY",
        value_parser = FalseyValueParser::new()
    )]
    pub require_agency: bool,
    /// Whether credentials are checked, or any token or access key is the built-in admin
    #[arg(long, env = "SWR_EMULATOR_AUTH", value_enum, default_value = "strict")]
    pub auth: auth::Mode,
    /// How log lines on stderr are written
    #[arg(
        long,
        env = "SWR_EMULATOR_LOG_FORMAT",
        value_enum,
        default_value = "text"
    )]
    pub log_format: LogFormat,
    /// Least level of the log lines that are written
    #[arg(
        long,
        env = "SWR_EMULATOR_LOG_LEVEL",
        value_enum,
        default_value = "info"
    )]
    pub log_level: LogLevel,
    /// Whoever sends it as X-Emulator-Control-Token may reset, move the clock and let things fail
    #[arg(
        long,
        env = "SWR_EMULATOR_CONTROL_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true,
        value_parser = parse_control_token
    )]
    pub control_token: Option<auth::Secret>,
}

impl Config {
    /// How long a fired trigger is tried while its cluster fails.
    pub fn deploy_timeout(&self) -> Duration {
        Duration::from_secs(self.deploy_timeout.into())
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Failures of the emulator.
    Error,
    /// And what may become one.
    Warn,
    /// And a line for each request.
    Info,
    /// And details.
    Debug,
    /// And everything else.
    Trace,
}

/// Takes any token, since a refusal would show it. One that no header can hold opens nothing.
#[expect(clippy::unnecessary_wraps, reason = "the command line wants a parser")]
fn parse_control_token(text: &str) -> Result<auth::Secret, String> {
    Ok(auth::Secret::new(text))
}

/// Checks the name of a region.
pub(crate) fn parse_region(text: &str) -> Result<String, String> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > 64 || !text.bytes().all(legal) {
        return Err("a region has 1 to 64 lower-case letters, digits and hyphens".to_owned());
    }
    Ok(text.to_owned())
}

/// Checks a name of a registry.
pub(crate) fn parse_registry_host(text: &str) -> Result<String, String> {
    let authority: Result<http::uri::Authority, _> = text.parse();
    match authority {
        Ok(authority) if authority.as_str() == text && !text.contains('@') => Ok(text.to_owned()),
        _ => Err("a registry is named HOST or HOST:PORT, without a scheme or path".to_owned()),
    }
}

/// Checks a name that requests may be for; their port is not looked at.
fn parse_allowed_host(text: &str) -> Result<String, String> {
    let authority: Result<http::uri::Authority, _> = text.parse();
    match authority {
        Ok(authority) if authority.host() == text => Ok(text.to_owned()),
        _ => Err("an allowed host is a name without a scheme, a port or a path".to_owned()),
    }
}
