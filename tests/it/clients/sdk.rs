//! The vendor's own SDKs: each runs its program in `tests/clients`.

use std::path::Path;
use std::process::Command;

use swr_emulator::{BUILTIN_ACCESS_KEY, BUILTIN_SECRET_KEY};

use super::{Outcome, root};
use crate::support::Process;

#[test]
#[ignore = "needs the Python SDK; ./tests/run installs it"]
fn the_python_sdk_is_served() {
    let python = root().join("tests/.venv/bin/python");
    passes(&python, "tests/clients/python_sdk.py");
}

#[test]
#[ignore = "needs the Node SDK; ./tests/run installs it"]
fn the_node_sdk_is_served() {
    passes(Path::new("node"), "tests/clients/node_sdk.mjs");
}

/// Runs a program of tests against a fresh emulator that has what `tests/clients/seed.yaml` says.
fn passes(interpreter: &Path, program: &str) {
    let seed = root().join("tests/clients/seed.yaml");
    let seed = seed.to_str().expect("a path that is UTF-8");
    let arguments = ["--ephemeral", "--listen", "127.0.0.1:0", "--seed", seed];
    let mut process = Process::start(&arguments);
    let east = process.next_region("cn-east-3");
    let mut command = Command::new(interpreter);
    command
        .arg(root().join(program))
        .env("SWR_EMULATOR_URL", &process.url)
        .env("SWR_EMULATOR_EAST_URL", format!("http://{}", east.address))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // Whoever runs the tests may have real keys or a proxy in the environment.
        .env("HUAWEICLOUD_SDK_AK", BUILTIN_ACCESS_KEY)
        .env("HUAWEICLOUD_SDK_SK", BUILTIN_SECRET_KEY)
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1");
    Outcome::of(&mut command).succeeded();
}
