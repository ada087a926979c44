//! The servers as processes: starting, asking, stopping them, and what they use.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{self, Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;
use crate::client::{Connection, Request};
use crate::servers;
use crate::workload;

/// Which emulator a server is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Build<'a> {
    /// The one that this program was built with.
    Own,
    /// An older one, say.
    Other(&'a Path),
}

impl Build<'_> {
    fn program(&self) -> &Path {
        match self {
            Self::Own => Path::new(env!("CARGO_BIN_EXE_swr-emulator")),
            Self::Other(path) => path,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Own => "emulator",
            Self::Other(_) => "other build",
        }
    }
}

/// A running server. It ends with the value.
#[derive(Debug)]
pub(crate) struct Child {
    process: process::Child,
    address: SocketAddr,
    pub(crate) name: &'static str,
    health: &'static str,
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Child {
    /// An emulator of this build or of another one, with its defaults.
    pub(crate) fn emulator(build: Build<'_>, data: &Path) -> Result<Self> {
        let mut command = Command::new(build.program());
        command
            .args(["--listen", "127.0.0.1:0", "--log-level", "info"])
            .arg("--data-dir")
            .arg(data);
        Self::start(build.name(), "/_emulator/health", &mut command)
    }

    pub(crate) fn bare() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(servers::BARE);
        Self::start("bare", "/health", &mut command)
    }

    /// A naive server with all that the workloads read; `cold` triggers are there to be read once.
    pub(crate) fn naive(database: &Path, cold: u32) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(servers::NAIVE).arg(database);
        command.arg(cold.to_string());
        Self::start("naive", "/health", &mut command)
    }

    /// Returns once the server says where it listens: its first line ends in `http://ADDRESS`.
    fn start(name: &'static str, health: &'static str, command: &mut Command) -> Result<Self> {
        let mut process = command
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = process.stdout.take();
        // Made first, so that the process also ends when its line is no address.
        let mut child = Self {
            process,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            name,
            health,
        };
        let mut line = String::new();
        BufReader::new(stdout.ok_or("the server has no stdout")?).read_line(&mut line)?;
        let (_, address) = line
            .trim()
            .rsplit_once("http://")
            .ok_or_else(|| format!("{name} does not say where it listens: {line:?}"))?;
        child.address = address.parse()?;
        Ok(child)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks whether the server is ready.
    pub(crate) async fn is_healthy(&self) -> Result<()> {
        let mut connection = Connection::open(self.address).await?;
        connection.send(&Request::list(self.health)).await?;
        Ok(())
    }

    /// Listens to all that happens in an emulator, until it ends.
    pub(crate) async fn listen(&self) -> Result<()> {
        let mut stream = TcpStream::connect(self.address).await?;
        let head = format!(
            "GET /_emulator/events HTTP/1.1\r\nHost: {}\r\nX-Auth-Token: {}\r\n\r\n",
            self.address,
            swr_emulator::BUILTIN_TOKEN
        );
        stream.write_all(head.as_bytes()).await?;
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await?;
        if begin != *b"HTTP/1.1 200" {
            return Err(format!("{} lets nobody listen", self.name).into());
        }
        tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
        Ok(())
    }

    /// Makes the repositories that all workloads use; the naive server has them from the start.
    pub(crate) async fn make_repositories(&self) -> Result<()> {
        let mut connection = Connection::open(self.address).await?;
        let organization = r#"{"namespace":"group"}"#;
        let request = Request::new("POST", "/v2/manage/namespaces", organization);
        connection.send(&request).await?;
        for name in workload::repositories() {
            let body = format!(r#"{{"repository":"{name}","is_public":false}}"#);
            let path = "/v2/manage/namespaces/group/repos";
            connection.send(&Request::new("POST", path, &body)).await?;
        }
        Ok(())
    }

    /// Takes everything away and makes the repositories anew.
    pub(crate) async fn reset(&self) -> Result<()> {
        let mut connection = Connection::open(self.address).await?;
        let request = Request::new("POST", "/_emulator/reset", "");
        connection.send(&request).await?;
        self.make_repositories().await
    }

    /// Ends the server in order, and waits for it.
    pub(crate) fn terminate(mut self) -> Result<()> {
        let status = Command::new("kill")
            .arg("-TERM")
            .arg(self.process.id().to_string())
            .status()?;
        if !status.success() {
            return Err(format!("{} could not be told to end", self.name).into());
        }
        self.process.wait()?;
        Ok(())
    }

    /// The CPU time it has used, in the kernel's ticks.
    pub(crate) fn cpu_ticks(&self) -> Result<u32> {
        cpu_ticks(&self.process.id().to_string())
    }

    /// The CPU time of each of its threads, in nanoseconds.
    pub(crate) fn threads(&self) -> Result<Threads> {
        let mut threads = HashMap::new();
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let thread = thread?;
            // One that has ended meanwhile has no file.
            let Ok(text) = std::fs::read_to_string(thread.path().join("schedstat")) else {
                continue;
            };
            let time = text.split(' ').next().unwrap_or_default().parse()?;
            threads.insert(thread.file_name(), time);
        }
        Ok(Threads(threads))
    }

    /// The memory that it occupies, in MiB.
    pub(crate) fn resident_mebibytes(&self) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let kibibytes = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|value| value.trim().strip_suffix(" kB"))
            .ok_or("/proc/PID/status has no VmRSS")?;
        let kibibytes: u32 = kibibytes.parse()?;
        Ok(f64::from(kibibytes) / 1024.0)
    }
}

/// The CPU time of a server's threads: exact where ticks of 10 ms are too coarse. What a thread has
/// used that ended is not in it.
#[derive(Debug)]
pub(crate) struct Threads(HashMap<OsString, u64>);

impl Threads {
    /// What they have used since then, in nanoseconds.
    pub(crate) fn since(&self, before: &Self) -> u64 {
        let used = self.0.iter().map(|(thread, time)| {
            let before = before.0.get(thread).copied().unwrap_or_default();
            time.saturating_sub(before)
        });
        used.sum()
    }
}

/// The CPU time that this program has used.
pub(crate) fn own_cpu_ticks() -> Result<u32> {
    cpu_ticks("self")
}

fn cpu_ticks(process: &str) -> Result<u32> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the program's name, which may hold anything but ends in `)`.
    let (_, fields) = text.rsplit_once(')').ok_or("/proc/PID/stat has no name")?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut next = || -> Result<u32> { Ok(fields.next().unwrap_or_default().parse()?) };
    Ok(next()? + next()?)
}

/// The time of all CPUs together: what programs used, and all there was.
pub(crate) fn machine_ticks() -> Result<(u32, u32)> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let line = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("cpu "));
    let ticks: std::result::Result<Vec<u32>, _> = line
        .ok_or("/proc/stat has no line for all CPUs")?
        .split_ascii_whitespace()
        // What follows is a part of the others.
        .take(8)
        .map(str::parse)
        .collect();
    let ticks = ticks?;
    let all: u32 = ticks.iter().sum();
    // A process pays for the interrupts that it meets; idle, waiting and stolen time is unused.
    let unused: u32 = [3, 4, 7].iter().filter_map(|field| ticks.get(*field)).sum();
    Ok((all - unused, all))
}
