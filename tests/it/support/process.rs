//! The emulator as a program of its own, as its users run it.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Client, TOKEN};

/// An emulator as a program of its own, which ends with this value.
pub(crate) struct Process {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    /// Where it is, as `http://ADDRESS`.
    pub(crate) url: String,
}

impl Process {
    /// Starts the program and waits until it serves.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::of(&mut program(arguments))
    }

    /// The same with a command that may have more settings.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("a pipe");
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        let url = line
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("the program did not start: {line:?}"))
            .trim()
            .to_owned();
        Self { child, stdout, url }
    }

    pub(crate) fn client(&self) -> Client {
        Client {
            address: self.url["http://".len()..].to_owned(),
            token: Some(TOKEN.to_owned()),
        }
    }

    /// A client of another region, whose line of the start comes next.
    pub(crate) fn next_region(&mut self, name: &str) -> Client {
        let mut line = String::new();
        while !line.starts_with("region ") {
            line.clear();
            let length = self.stdout.read_line(&mut line).expect("a line");
            assert_ne!(length, 0, "no line tells of the region {name}");
        }
        let address = line
            .strip_prefix(&format!("region       {name} on http://"))
            .unwrap_or_else(|| panic!("the region {name} does not come next: {line:?}"));
        Client {
            address: address.trim().to_owned(),
            ..self.client()
        }
    }

    /// `kill -9`, as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// The most memory that it had at once, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the tests run on Linux");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        peak.expect("a figure in kB").parse().expect("a number")
    }

    /// Waits for its end; its exit code and what stdout held after the first line.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("UTF-8");
        let status = self.child.wait().expect("ended");
        (status.code(), rest)
    }

    /// The same, but for no longer than this.
    pub(crate) fn wait_for(mut self, time: Duration) -> Option<i32> {
        let late = Instant::now() + time;
        while Instant::now() < late {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.child.kill().expect("killed");
        panic!("the program did not end within {time:?}");
    }

    /// Sends a signal, by name.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([&format!("-{signal}"), &self.child.id().to_string()])
            .status()
            .expect("kill is there");
        assert!(status.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // In order, so that its temporary folder goes too; it may have ended by itself already.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal("TERM");
        }
        let _ = self.child.wait();
    }
}

/// A data folder and a seed file that outlive the programs that use them.
pub(crate) struct Kept {
    folder: tempfile::TempDir,
}

impl Kept {
    pub(crate) fn seeded(seed: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("seed.yaml"), seed).expect("the seed file is written");
        Self { folder }
    }

    /// Where the programs keep their data.
    pub(crate) fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts a program on what the one before has left.
    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        let (data, seed) = (self.data_folder(), self.folder.path().join("seed.yaml"));
        let [data, seed] = [&data, &seed].map(|path| path.to_str().expect("UTF-8"));
        let own = [
            "--data-dir",
            data,
            "--seed",
            seed,
            "--listen",
            "127.0.0.1:0",
        ];
        Process::start(&[&own[..], arguments].concat())
    }
}

/// The setting that a run of all tests may choose for all emulators; clap reads it for those in this
/// process.
const FOR_ALL: &str = "SWR_EMULATOR_ANSWER_CACHE";

/// The program, with no settings from the environment but these.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swr-emulator"));
    forget_settings(&mut command);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Takes the settings of whoever runs the tests from a command that starts the program.
pub(crate) fn forget_settings(command: &mut Command) {
    let settings = std::env::vars_os().map(|(name, _)| name);
    let of_no_test = settings.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("SWR_EMULATOR_") && name != FOR_ALL
    });
    for name in of_no_test {
        command.env_remove(name);
    }
}
