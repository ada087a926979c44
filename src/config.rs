//! Every setting, its flag, its variable and its default.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, ValueEnum};

use crate::auth;
use crate::clock::parse_duration;

/// What an address to listen on must be.
const LISTEN_RULE: &str = "must be an address with a port, like 127.0.0.1:7970";

/// The settings of an instance. [`Config::default`] has the defaults of the command line.
#[derive(Debug, Clone, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub struct Config {
    /// Address and port to listen on, or a name that resolves to loopback addresses; port 0 takes any
    /// free port
    #[arg(
        long,
        env = "SWR_EMULATOR_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:7970",
        value_parser = parse_listen
    )]
    pub listen: SocketAddr,
    /// Data folder; created with mode 0700 if missing
    #[arg(
        long,
        env = "SWR_EMULATOR_DATA_DIR",
        value_name = "DIR",
        default_value = "./swr-emulator-data"
    )]
    pub data_dir: PathBuf,
    /// Use a fresh temporary data folder that is removed at exit (after a kill, by the next start with
    /// this flag)
    #[arg(
        long,
        env = "SWR_EMULATOR_EPHEMERAL",
        value_parser = parse_switch
    )]
    pub ephemeral: bool,
    /// Stop, as for SIGTERM, when standard input ends, for instance because the parent process died
    #[arg(
        long,
        env = "SWR_EMULATOR_EXIT_WITH_STDIN",
        value_parser = parse_switch
    )]
    pub exit_with_stdin: bool,
    /// Region to emulate; its projects are named after it
    #[arg(
        long,
        env = "SWR_EMULATOR_REGION",
        value_name = "REGION",
        default_value = "cn-north-4",
        value_parser = parse_region
    )]
    pub region: String,
    /// Seed file (YAML or JSON) with accounts, organizations, repositories, triggers and clusters; -
    /// reads it from standard input
    #[arg(long, env = "SWR_EMULATOR_SEED", value_name = "FILE", value_parser = parse_seed)]
    pub seed: Option<SeedSource>,
    /// Text of a seed file, in place of --seed; meant for the variable, since other users of the
    /// machine can see flags
    #[arg(
        long,
        env = "SWR_EMULATOR_SEED_YAML",
        value_name = "YAML",
        hide_env_values = true,
        value_parser = parse_seed_text
    )]
    pub seed_yaml: Option<SeedSource>,
    /// Snapshot to start from, into an absent or empty data folder, in place of a seed
    #[arg(long, env = "SWR_EMULATOR_FROM", value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Largest snapshot that can be loaded, in MiB
    #[arg(
        long,
        env = "SWR_EMULATOR_MAX_SNAPSHOT",
        value_name = "MIB",
        default_value_t = 2048,
        allow_negative_numbers = true,
        value_parser = whole_number("must be a whole number of MiB", 1..=1_048_576)
    )]
    pub max_snapshot: u32,
    /// Additional name of the registry (repeatable); `path` shows the first one, or the address if
    /// there is none
    #[arg(
        long,
        env = "SWR_EMULATOR_REGISTRY_HOST",
        value_name = "HOST[:PORT]",
        value_delimiter = ',',
        value_parser = parse_registry_host
    )]
    pub registry_host: Vec<String>,
    /// Additional `Host` that a loopback listener serves (repeatable)
    #[arg(
        long,
        env = "SWR_EMULATOR_ALLOW_HOST",
        value_name = "HOST",
        value_delimiter = ',',
        value_parser = parse_allowed_host
    )]
    pub allow_host: Vec<String>,
    /// Maximum number of organizations per account and region
    #[arg(
        long,
        env = "SWR_EMULATOR_QUOTA_NAMESPACES",
        value_name = "N",
        default_value_t = 1000,
        allow_negative_numbers = true,
        value_parser = whole_number("must be a whole number", 0..=u32::MAX)
    )]
    pub quota_namespaces: u32,
    /// Memory for answers that are kept ready, in MiB; 0 keeps none
    #[arg(
        long,
        env = "SWR_EMULATOR_ANSWER_CACHE",
        value_name = "MIB",
        default_value_t = 16,
        allow_negative_numbers = true,
        value_parser = whole_number("must be a whole number of MiB", 0..=65_536)
    )]
    pub answer_cache: u32,
    /// How long a fired trigger is retried while its cluster fails, in seconds
    #[arg(
        long,
        env = "SWR_EMULATOR_DEPLOY_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 60,
        allow_negative_numbers = true,
        value_parser = whole_number("must be a whole number of seconds", 0..=3600)
    )]
    pub deploy_timeout: u32,
    /// Refuse new triggers whose cluster, workload or container does not exist, as the live service
    /// does
    #[arg(
        long,
        env = "SWR_EMULATOR_STRICT_TARGETS",
        value_parser = parse_switch
    )]
    pub strict_targets: bool,
    /// Refuse new triggers and fail firings until the account has the agency, as the live service does
    #[arg(
        long,
        env = "SWR_EMULATOR_REQUIRE_AGENCY",
        value_parser = parse_switch
    )]
    pub require_agency: bool,
    /// Whether the answer to a new trigger carries hints (X-Emulator-Hint), and the log tells them
    #[arg(
        long,
        env = "SWR_EMULATOR_HINTS",
        value_name = "on|off",
        default_value = "on",
        action = ArgAction::Set,
        value_parser = parse_switch
    )]
    pub hints: bool,
    /// How credentials are checked
    #[arg(long, env = "SWR_EMULATOR_AUTH", value_enum, default_value = "strict")]
    pub auth: auth::Mode,
    /// Record the bodies of requests that hold no secrets, for those who may reset the instance
    #[arg(
        long,
        env = "SWR_EMULATOR_RECORD_BODIES",
        value_name = "on|off",
        default_value = "on",
        action = ArgAction::Set,
        value_parser = parse_switch
    )]
    pub record_bodies: bool,
    /// Format of the log lines
    #[arg(
        long,
        env = "SWR_EMULATOR_LOG_FORMAT",
        value_enum,
        default_value = "text"
    )]
    pub log_format: LogFormat,
    /// Minimum level of the log lines
    #[arg(
        long,
        env = "SWR_EMULATOR_LOG_LEVEL",
        value_enum,
        default_value = "info"
    )]
    pub log_level: LogLevel,
    /// File that log lines are added to, instead of stderr; created if missing
    #[arg(long, env = "SWR_EMULATOR_LOG_FILE", value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// File to write pushes, firings, rollouts and requests to at exit: a page if the name ends in
    /// .html, otherwise JSON
    #[arg(long, env = "SWR_EMULATOR_REPORT", value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Token that lets every user who sends it as X-Emulator-Control-Token reset the instance, move
    /// its clock and inject faults
    #[arg(
        long,
        env = "SWR_EMULATOR_CONTROL_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true,
        value_parser = parse_control_token
    )]
    pub control_token: Option<auth::Secret>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7970)),
            data_dir: "./swr-emulator-data".into(),
            ephemeral: false,
            exit_with_stdin: false,
            region: "cn-north-4".to_owned(),
            seed: None,
            seed_yaml: None,
            from: None,
            max_snapshot: 2048,
            registry_host: Vec::new(),
            allow_host: Vec::new(),
            quota_namespaces: 1000,
            answer_cache: 16,
            deploy_timeout: 60,
            strict_targets: false,
            require_agency: false,
            hints: true,
            auth: auth::Mode::Strict,
            record_bodies: true,
            log_format: LogFormat::Text,
            log_level: LogLevel::Info,
            log_file: None,
            report: None,
            control_token: None,
        }
    }
}

impl Config {
    /// How many bytes of answers are kept ready.
    pub(crate) fn answer_cache_bytes(&self) -> u64 {
        u64::from(self.answer_cache) * 1024 * 1024
    }

    /// Where the seed comes from, if there is one.
    pub(crate) fn seed_source(&self) -> Option<&SeedSource> {
        self.seed.as_ref().or(self.seed_yaml.as_ref())
    }

    /// The seed file, if that is where the seed comes from.
    pub(crate) fn seed_file(&self) -> Option<&Path> {
        match self.seed_source() {
            Some(SeedSource::File(path)) => Some(path),
            _ => None,
        }
    }

    /// How many bytes a snapshot may have that is loaded.
    pub(crate) fn max_snapshot_bytes(&self) -> u64 {
        u64::from(self.max_snapshot) * 1024 * 1024
    }

    /// Settles which seed or snapshot counts where several are given, by where each setting of the
    /// command line came from: a flag is stronger than a variable. The error says which settings
    /// exclude each other.
    #[doc(hidden)]
    pub fn settle_origin(&mut self, matches: &ArgMatches) -> Result<(), String> {
        let is_flag = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let given = [
            ("seed", self.seed.is_some()),
            ("seed_yaml", self.seed_yaml.is_some()),
            ("from", self.from.is_some()),
        ];
        let given = given
            .into_iter()
            .filter_map(|(id, is_given)| is_given.then_some(id));
        let (flags, variables): (Vec<_>, Vec<_>) = given.partition(|id| is_flag(id));
        let strongest = if flags.is_empty() {
            &variables
        } else {
            for variable in &variables {
                match *variable {
                    "seed" => self.seed = None,
                    "seed_yaml" => self.seed_yaml = None,
                    _ => self.from = None,
                }
            }
            &flags
        };
        if let [one, other, ..] = strongest[..] {
            let name = |id: &str| {
                if is_flag(id) {
                    format!("--{}", id.replace('_', "-"))
                } else {
                    format!("SWR_EMULATOR_{}", id.to_uppercase())
                }
            };
            return Err(format!("{} cannot be used with {}", name(one), name(other)));
        }
        if self.seed == Some(SeedSource::Input) && self.exit_with_stdin {
            let rule = "--seed - cannot be used with --exit-with-stdin: both read standard input";
            return Err(rule.to_owned());
        }
        Ok(())
    }

    /// How long a fired trigger is tried while its cluster fails.
    pub fn deploy_timeout(&self) -> Duration {
        Duration::from_secs(self.deploy_timeout.into())
    }
}

/// Where a seed file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeedSource {
    /// A file with this path.
    File(PathBuf),
    /// Standard input, to its end. Paths in it are relative to the working directory.
    Input,
    /// The text itself, YAML or JSON. Paths in it are relative to the working directory.
    Text(String),
}

/// Takes any path, and `-` for standard input.
#[expect(clippy::unnecessary_wraps, reason = "the command line wants a parser")]
fn parse_seed(path: &str) -> Result<SeedSource, String> {
    Ok(match path {
        "-" => SeedSource::Input,
        path => SeedSource::File(path.into()),
    })
}

/// Takes any text: one that is not a seed is refused at the start, with line and field.
#[expect(clippy::unnecessary_wraps, reason = "the command line wants a parser")]
fn parse_seed_text(text: &str) -> Result<SeedSource, String> {
    Ok(SeedSource::Text(text.to_owned()))
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Readable lines.
    Text,
    /// One JSON object per line.
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Failures of the emulator.
    Error,
    /// Also problems that the emulator can cope with.
    Warn,
    /// Also a line for each request.
    Info,
    /// Also details.
    Debug,
    /// Everything.
    Trace,
}

/// Takes any token, since a refusal would show it. One that no header can hold opens nothing.
#[expect(clippy::unnecessary_wraps, reason = "the command line wants a parser")]
fn parse_control_token(text: &str) -> Result<auth::Secret, String> {
    Ok(auth::Secret::new(text))
}

/// Reads an address to listen on: an IP address, or a name that resolves to loopback addresses only.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    listen_address(text, |host, port| {
        (host, port).to_socket_addrs().map(Iterator::collect)
    })
}

/// The same with a resolver; of the addresses of a name, those of IPv4 come first.
fn listen_address(
    text: &str,
    resolve: impl FnOnce(&str, u16) -> io::Result<Vec<SocketAddr>>,
) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let named = text.rsplit_once(':').and_then(|(host, port)| {
        let is_host = (1..=253).contains(&host.len()) && host.bytes().all(legal);
        Some((is_host.then_some(host)?, port.parse().ok()?))
    });
    let Some((host, port)) = named else {
        return Err(LISTEN_RULE.to_owned());
    };
    let addresses = resolve(host, port)
        .map_err(|error| format!("{LISTEN_RULE}; {host} does not resolve: {error}"))?;
    if let Some(beyond) = addresses.iter().find(|one| !one.ip().is_loopback()) {
        return Err(format!(
            "{host} resolves to {}, which is not a loopback address; to listen there, give the \
             address itself",
            beyond.ip()
        ));
    }
    addresses
        .into_iter()
        .min_by_key(SocketAddr::is_ipv6)
        .ok_or_else(|| format!("{LISTEN_RULE}; {host} resolves to no address"))
}

/// Reads a switch.
fn parse_switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("must be true, yes, on or 1, or false, no, off or 0".to_owned()),
    }
}

/// Reads a number; the rule is told with its bounds.
fn whole_number(
    rule: &'static str,
    bounds: RangeInclusive<u32>,
) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| {
        let number = text.parse().ok();
        number
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| format!("{rule} from {} to {}", bounds.start(), bounds.end()))
    }
}

/// How long `/_emulator/idle` and `/_emulator/wait`, and a test in Rust, wait when nothing is said.
pub(crate) const DEFAULT_WAIT: Duration = Duration::from_secs(10);

/// The longest time that anything can be asked to wait.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// Reads how long to wait, like `10s`; ten minutes at the most. A number alone counts as seconds.
pub fn parse_wait(text: &str) -> Result<Duration, &'static str> {
    let wait = match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => parse_duration(text).and_then(|wait| Duration::try_from(wait).ok()),
    };
    wait.filter(|wait| *wait <= LONGEST_WAIT)
        .ok_or("must be a duration like 500ms, 10s or 2m, at most 10m")
}

/// Checks the name of a region.
pub fn parse_region(text: &str) -> Result<String, String> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > 64 || !text.bytes().all(legal) {
        return Err("must have 1 to 64 lower-case letters, digits and hyphens".to_owned());
    }
    Ok(text.to_owned())
}

/// Checks a name of a registry.
pub(crate) fn parse_registry_host(text: &str) -> Result<String, String> {
    let authority: Result<http::uri::Authority, _> = text.parse();
    match authority {
        // A port that is none is left out by the crate without a word.
        Ok(authority) if authority.host() == text => Ok(text.to_owned()),
        Ok(authority)
            if authority.port_u16().is_some_and(|port| port > 0)
                && authority.as_str() == text
                && !text.contains('@') =>
        {
            Ok(text.to_owned())
        }
        _ => {
            Err("must be HOST or HOST:PORT (port 1 to 65535), without a scheme or path".to_owned())
        }
    }
}

/// Checks a name that requests may be for; their port is not looked at.
fn parse_allowed_host(text: &str) -> Result<String, String> {
    let authority: Result<http::uri::Authority, _> = text.parse();
    match authority {
        Ok(authority) if authority.host() == text => Ok(text.to_owned()),
        _ => Err("must be a host name without a scheme, port or path".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    #[test]
    fn the_default_is_that_of_an_empty_command_line_without_variables() {
        let command = Config::augment_args(Command::new("swr-emulator"));
        let command = command.mut_args(|argument| argument.env(clap::builder::Resettable::Reset));
        let matches = command.get_matches_from(["swr-emulator"]);
        let parsed = Config::from_arg_matches(&matches).expect("settings");
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn a_name_to_listen_on_is_its_first_loopback_address_ipv4_before_ipv6() {
        let resolved = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|one| one.parse().expect("an address"));
            let addresses: Vec<SocketAddr> = addresses.collect();
            listen_address("name:80", |_, _| Ok(addresses))
        };
        let first = resolved(&["[::1]:80", "127.0.0.2:80", "127.0.0.1:80"]);
        assert_eq!(first.expect("taken").to_string(), "127.0.0.2:80");
        assert_eq!(
            resolved(&["[::1]:80"]).expect("taken").to_string(),
            "[::1]:80"
        );
        let beyond = resolved(&["127.0.0.1:80", "10.1.2.3:80"]).expect_err("refused");
        assert!(
            beyond.starts_with("name resolves to 10.1.2.3, which is not a loopback address"),
            "{beyond}"
        );
        assert!(resolved(&[]).is_err());
    }

    #[test]
    fn what_is_no_address_with_a_port_is_refused_unresolved() {
        for text in [
            ":7970",
            "7970",
            "127.0.0.1",
            "localhost",
            "a b:1",
            "a:99999",
            "[::1]",
            "",
        ] {
            let refused = listen_address(text, |_, _| panic!("{text} was looked up"));
            assert_eq!(refused.expect_err("refused"), LISTEN_RULE, "{text}");
        }
    }

    #[test]
    fn a_registry_has_a_port_that_there_is() {
        for name in ["swr.test", "swr.test:1", "swr.test:65535", "[::1]:5000"] {
            assert!(parse_registry_host(name).is_ok(), "{name}");
        }
        for name in [
            "swr.test:99999",
            "swr.test:0",
            "swr.test:",
            "a@b",
            "http://x",
            "x/y",
        ] {
            assert!(parse_registry_host(name).is_err(), "{name}");
        }
    }
}
