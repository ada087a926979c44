//! The environment of the command: what `swr-emulator env` prints, a login for clients of
//! registries, and no proxy in between.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::{Arg, Args};
use serde_json::{Map, Value, json};
use swr_emulator::internal::{Secret, long_term_password};
use swr_emulator::{BUILTIN_ACCESS_KEY, BUILTIN_SECRET_KEY, Config, Emulator};

/// The name of the file with the login, in the emulator's own folder, which is removed at the end.
const LOGINS: &str = "registry-auth.json";
/// Where no proxy is asked, besides the emulator's own host.
const LOCAL: [&str; 2] = ["127.0.0.1", "localhost"];

/// Gives a command its environment.
pub(super) fn set(command: &mut Command, config: &Config, emulator: &Emulator) -> io::Result<()> {
    // Those of this emulator, so that one which the command starts has a port and a log of its own.
    for name in settings() {
        command.env_remove(name);
    }
    if let Some(token) = &config.control_token {
        command.env("SWR_EMULATOR_CONTROL_TOKEN", token.expose());
    }
    command.envs(emulator.env());
    command.env("REGISTRY_AUTH_FILE", write_logins(emulator)?);
    let own = emulator.address().ip().to_string();
    let [upper, lower] = ["NO_PROXY", "no_proxy"].map(std::env::var_os);
    let [upper, lower] = [upper.clone().or(lower.clone()), lower.or(upper)]
        .map(|hosts| without_proxy(hosts.unwrap_or_default(), &own));
    command.env("NO_PROXY", upper).env("no_proxy", lower);
    Ok(())
}

/// The variables of an emulator's settings.
fn settings() -> Vec<OsString> {
    let command = Config::augment_args(clap::Command::new("exec"));
    let variables = command.get_arguments().filter_map(Arg::get_env);
    variables.map(OsStr::to_owned).collect()
}

/// Writes the logins of the regions' registries in the form of `docker login`, for the owner's eyes
/// only. Without the built-in account there is no login to write, and those that the command makes
/// stay apart from the user's own.
fn write_logins(emulator: &Emulator) -> io::Result<PathBuf> {
    let mut logins = Map::new();
    if emulator.has_builtin_account() {
        let password = long_term_password(BUILTIN_ACCESS_KEY, &Secret::new(BUILTIN_SECRET_KEY));
        for (region, registry) in emulator.registries() {
            let login = format!("{region}@{BUILTIN_ACCESS_KEY}:{password}");
            let login = json!({"auth": BASE64_STANDARD.encode(login)});
            logins.insert(registry, login);
        }
    }
    let path = std::path::absolute(emulator.data_folder())?.join(LOGINS);
    let mut options = std::fs::File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.write(true).create_new(true).open(&path)?;
    file.write_all(
        json!({"auths": Value::Object(logins)})
            .to_string()
            .as_bytes(),
    )?;
    Ok(path)
}

/// A list of hosts with those that no proxy can reach.
fn without_proxy(mut hosts: OsString, own: &str) -> OsString {
    for host in LOCAL.into_iter().chain([own]) {
        let listed = hosts.to_string_lossy();
        let mut listed = listed.split([',', ' ']);
        if listed.any(|listed| listed == host || listed == "*") {
            continue;
        }
        if !hosts.is_empty() {
            hosts.push(",");
        }
        hosts.push(host);
    }
    hosts
}
