//! What the benches of the whole program share: an emulator in a process of its own, and blocking
//! connections to it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use swr_emulator::internal::{Secret, long_term_password};
use swr_emulator::{BUILTIN_ACCESS_KEY, BUILTIN_SECRET_KEY};

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// The emulator of this build.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_swr-emulator");

/// The header of the built-in token.
pub(crate) const MANAGEMENT: &str = "X-Auth-Token: swr-emulator";

/// The digest of some content.
pub(crate) fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

/// The emulator in a process of its own, which ends with this value.
pub(crate) struct Emulator {
    process: Child,
    /// Where it listens.
    pub(crate) address: String,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // In order, so that its temporary folder goes too; it may have ended by itself.
        let id = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.process.wait();
    }
}

impl Emulator {
    /// Starts a program with a seed file; it keeps its data in `folder`.
    pub(crate) fn start(
        program: impl AsRef<OsStr>,
        folder: &Path,
        seed: &Value,
        arguments: &[&str],
    ) -> Result<Self> {
        let file = folder.join("seed.json");
        std::fs::write(&file, seed.to_string())?;
        let mut process = Command::new(program)
            .env_clear()
            .env("TMPDIR", folder)
            .args(["--ephemeral", "--listen", "127.0.0.1:0", "--seed"])
            .arg(file)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = process.stdout.take().ok_or("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://");
        Ok(Self {
            process,
            address: address.ok_or("the emulator did not start")?.to_owned(),
        })
    }

    /// A connection for the management API.
    pub(crate) fn management(&self) -> Result<Connection> {
        Connection::open(&self.address, MANAGEMENT)
    }

    /// A connection to the registry, with a bearer token for one repository of `group`.
    pub(crate) fn registry(&self, repository: &str) -> Result<Connection> {
        Connection::open(&self.address, &self.bearer(repository)?)
    }

    /// The header of such a token.
    pub(crate) fn bearer(&self, repository: &str) -> Result<String> {
        let password = long_term_password(BUILTIN_ACCESS_KEY, &Secret::new(BUILTIN_SECRET_KEY));
        let login = BASE64_STANDARD.encode(format!("x@{BUILTIN_ACCESS_KEY}:{password}"));
        let path = format!(
            "/swr/auth/v2/registry/auth/?service=dockyard&scope=repository:group/{repository}:pull,push"
        );
        let login = format!("Authorization: Basic {login}");
        let answer = Connection::open(&self.address, &login)?.request("GET", &path, "", b"")?;
        let answer: Value = serde_json::from_slice(&answer.is(200)?.body)?;
        let token = answer["token"].as_str().ok_or("no token")?;
        Ok(format!("Authorization: Bearer {token}"))
    }

    /// A figure of `/proc/PID/status`, in MiB: `VmRSS` is the memory that it has, `VmHWM` the most
    /// that it had.
    pub(crate) fn memory(&self, figure: &str) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let kibibytes = text
            .lines()
            .find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'))
            .and_then(|value| value.trim().strip_suffix(" kB"))
            .ok_or("/proc/PID/status has no such figure")?;
        Ok(kibibytes.parse::<f64>()? / 1024.0)
    }
}

/// A keep-alive connection.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    login: String,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The answer, if it has this status.
    pub(crate) fn is(self, status: u16) -> Result<Self> {
        if self.status != status {
            let body = String::from_utf8_lossy(&self.body).into_owned();
            return Err(format!("{} instead of {status}: {body}", self.status).into());
        }
        Ok(self)
    }
}

impl Connection {
    /// One that sends this header with each request.
    pub(crate) fn open(address: &str, login: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            login: login.to_owned(),
        })
    }

    /// Sends a request and reads its answer.
    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<Answer> {
        self.send(method, path, headers, body)?;
        self.receive()
    }

    /// Sends a request.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<()> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{}\r\n{headers}Content-Length: {}\r\n\r\n",
            self.login,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request)?;
        Ok(())
    }

    fn receive(&mut self) -> Result<Answer> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).ok_or("no status")?.parse()?;
        let mut length = Some(0);
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse()?);
            }
            if name.eq_ignore_ascii_case("transfer-encoding") {
                length = None;
            }
        }
        let body = match length {
            Some(length) => self.exactly(length)?,
            None => self.chunks()?,
        };
        Ok(Answer { status, body })
    }

    fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim(), 16)?;
            let chunk = self.exactly(length + 2)?;
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }
}
