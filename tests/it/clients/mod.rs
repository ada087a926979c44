//! The emulator as real clients meet it: the vendor's SDKs, the usual clients of registries, and a
//! tool that reads the document of the API.
//!
//! All of it needs programs that a machine may not have, so a plain `cargo test` leaves these tests
//! out; `./tests/run` installs what they need and runs them.

mod engine;
mod image;
mod openapi;
mod registry;
mod sdk;

use std::path::Path;
use std::process::Command;

/// The folder that holds the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// How a program ended, and what it said.
#[derive(Debug)]
struct Outcome {
    /// The program with its arguments.
    call: String,
    success: bool,
    stdout: String,
    stderr: String,
}

impl Outcome {
    /// Runs a program to its end.
    #[track_caller]
    fn of(command: &mut Command) -> Self {
        let call = format!("{command:?}");
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("{call}: {error}; ./tests/run installs it"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            call,
            success: output.status.success(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Asserts that it succeeded, and gives back what it wrote to stdout.
    #[track_caller]
    fn succeeded(self) -> String {
        let Self {
            call,
            success,
            stdout,
            stderr,
        } = self;
        assert!(success, "{call} failed:\n{stdout}{stderr}");
        stdout
    }

    /// Asserts that it failed, and gives back what it wrote to stderr.
    #[track_caller]
    fn failed(self) -> String {
        let Self {
            call,
            success,
            stdout,
            stderr,
        } = self;
        assert!(!success, "{call} did not fail:\n{stdout}{stderr}");
        stderr
    }
}
