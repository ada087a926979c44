//! The registry beside Debian's docker-registry, in one run and on the same disk: pushing and
//! pulling many small blobs, one large blob, and many manifests. Rounds go A B B A; each figure is
//! the other's time through ours, so above 1 the emulator is the faster one. Then manifests as large
//! as there can be, for the memory that the emulator has before, at once afterwards, and later.
//!
//! `docker-registry` has to be installed. It does not sync what it stores; the emulator does.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use swr_emulator::internal::{Secret, long_term_password};
use swr_emulator::{BUILTIN_ACCESS_KEY, BUILTIN_SECRET_KEY};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROUNDS: usize = 5;
const CONNECTIONS: usize = 4;
const MIB: usize = 1024 * 1024;
const LARGE_MANIFESTS: usize = 40;
const LARGE_MANIFEST: usize = 4 * MIB - 1024;
/// How long the emulator has nothing to do before its memory is looked at again.
const REST: Duration = Duration::from_secs(10);
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn main() -> Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("registry-bench-")
        .tempdir_in(".")?;
    let ours = Server::emulator(&folder.path().join("ours"))?;
    let before = ours.memory()?;
    let theirs = Server::docker_registry(folder.path())?;
    let mut ratios: Vec<(&str, Vec<f64>)> = Vec::new();
    for round in 0..ROUNDS {
        let order = if round % 2 == 0 {
            [&ours, &theirs]
        } else {
            [&theirs, &ours]
        };
        let mut times = [Vec::new(), Vec::new()];
        for server in order {
            let at = usize::from(std::ptr::eq(server, &raw const theirs));
            times[at] = measure(server, round)?;
        }
        let [ours, theirs] = times;
        for ((what, ours), (_, theirs)) in ours.into_iter().zip(theirs) {
            let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
            match ratios.iter_mut().find(|(known, _)| *known == what) {
                Some((_, all)) => all.push(ratio),
                None => ratios.push((what, vec![ratio])),
            }
        }
    }
    let mut table = "| docker-registry's time / the emulator's | median | lowest | highest |\n\
                     |---|---|---|---|\n"
        .to_owned();
    for (what, mut all) in ratios {
        all.sort_by(f64::total_cmp);
        let (median, last) = (all[all.len() / 2], all[all.len() - 1]);
        writeln!(
            table,
            "| {what} | {median:.2} | {:.2} | {last:.2} |",
            all[0]
        )?;
    }
    writeln!(
        table,
        "\n{ROUNDS} rounds, {CONNECTIONS} connections, ABBA, same disk"
    )?;
    large_manifests(&ours)?;
    let after = ours.memory()?;
    std::thread::sleep(REST);
    let later = ours.memory()?;
    writeln!(
        table,
        "\nMemory (RSS): {before:.1} MiB at the start, {after:.1} MiB after all of it, {later:.1} MiB \
         ten seconds later"
    )?;
    std::io::stdout().write_all(table.as_bytes())?;
    Ok(())
}

/// Pushes and pulls manifests of almost the size that a registry has to take.
fn large_manifests(server: &Server) -> Result<()> {
    let repository = "group/large";
    let token = server.token(repository)?;
    let config = (digest(b"{}"), b"{}".to_vec());
    Connection::open(server, &token)?.push_blob(repository, &config)?;
    let manifests: Vec<_> = (0..LARGE_MANIFESTS)
        .map(|at| {
            let (tag, content) = manifest(0, at);
            let mut content: Value = serde_json::from_slice(&content)?;
            content["annotations"] = json!({"padding": "x".repeat(LARGE_MANIFEST)});
            Ok((tag, content.to_string().into_bytes()))
        })
        .collect::<Result<_>>()?;
    each(server, &token, &manifests, |c, (tag, content)| {
        c.push_manifest(repository, tag, content)?;
        let path = format!("/v2/{repository}/manifests/{tag}");
        c.expect_body(&path, content.len())
    })
}

/// Pushes and pulls everything once; how long each part took.
fn measure(server: &Server, round: usize) -> Result<Vec<(&'static str, Duration)>> {
    let repository = format!("group/bench{round}");
    let token = server.token(&repository)?;
    let small = blobs(round, 64, MIB);
    let large = blobs(round + 1000, 1, 512 * MIB);
    let config = (digest(b"{}"), b"{}".to_vec());
    let manifests: Vec<_> = (0..500).map(|at| manifest(round, at)).collect();
    let mut connection = Connection::open(server, &token)?;
    connection.push_blob(&repository, &config)?;
    let mut times = Vec::new();
    let mut time = |what, work: &dyn Fn() -> Result<()>| -> Result<()> {
        let started = Instant::now();
        work()?;
        times.push((what, started.elapsed()));
        Ok(())
    };
    time("push 64 × 1 MiB", &|| {
        each(server, &token, &small, |c, blob| {
            c.push_blob(&repository, blob)
        })
    })?;
    time("pull 64 × 1 MiB", &|| {
        each(server, &token, &small, |c, blob| {
            c.pull_blob(&repository, blob)
        })
    })?;
    time("push 1 × 512 MiB", &|| {
        each(server, &token, &large, |c, blob| {
            c.push_blob(&repository, blob)
        })
    })?;
    time("pull 1 × 512 MiB", &|| {
        each(server, &token, &large, |c, blob| {
            c.pull_blob(&repository, blob)
        })
    })?;
    time("push 500 manifests", &|| {
        each(server, &token, &manifests, |c, (tag, content)| {
            c.push_manifest(&repository, tag, content)
        })
    })?;
    time("pull 500 manifests", &|| {
        each(server, &token, &manifests, |c, (tag, content)| {
            let path = format!("/v2/{repository}/manifests/{tag}");
            c.expect_body(&path, content.len())
        })
    })?;
    Ok(times)
}

type Named = (String, Vec<u8>);

/// Works on all items over some connections at once.
fn each(
    server: &Server,
    token: &str,
    items: &[Named],
    work: impl Fn(&mut Connection, &Named) -> Result<()> + Sync,
) -> Result<()> {
    std::thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(items.len().div_ceil(CONNECTIONS))
            .map(|share| {
                let work = &work;
                scope.spawn(move || -> std::result::Result<(), String> {
                    let mut connection =
                        Connection::open(server, token).map_err(|error| error.to_string())?;
                    for item in share {
                        work(&mut connection, item).map_err(|error| error.to_string())?;
                    }
                    Ok(())
                })
            })
            .collect();
        for worker in workers {
            worker.join().map_err(|_| "a worker panicked")??;
        }
        Ok(())
    })
}

/// Content that no earlier round had, with its digest.
fn blobs(seed: usize, count: usize, size: usize) -> Vec<Named> {
    let mut state = seed as u64 * 7919 + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..count)
        .map(|_| {
            let content: Vec<u8> = (0..size / 8).flat_map(|_| next()).collect();
            (digest(&content), content)
        })
        .collect()
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

fn manifest(round: usize, at: usize) -> Named {
    let content = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                   "digest": digest(b"{}"), "size": 2},
        "layers": [],
        "annotations": {"bench": format!("{round}-{at}")},
    });
    (format!("v{at}"), content.to_string().into_bytes())
}

/// A registry in a process of its own, which ends with this value.
struct Server {
    process: Child,
    address: String,
    needs_login: bool,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn emulator(data: &Path) -> Result<Self> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_swr-emulator"))
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let stdout = process.stdout.take().ok_or("no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.ok_or("the emulator did not start")?.to_owned();
        let server = Self {
            process,
            address,
            needs_login: true,
        };
        let body = b"{\"namespace\":\"group\"}";
        let headers = "X-Auth-Token: swr-emulator\r\nContent-Type: application/json\r\n";
        let mut connection = Connection::open(&server, "")?;
        connection
            .request("POST", "/v2/manage/namespaces", headers, body)?
            .is(201)?;
        Ok(server)
    }

    fn docker_registry(folder: &Path) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let file = folder.join("theirs.yml");
        let storage = folder.join("theirs");
        let config = json!({
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": true}},
            "storage": {"filesystem": {"rootdirectory": storage}, "delete": {"enabled": true}},
            "http": {"addr": address},
        });
        std::fs::write(&file, config.to_string())?;
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("docker-registry has to be installed: {error}"))?;
        let server = Self {
            process,
            address,
            needs_login: false,
        };
        let started = Instant::now();
        while TcpStream::connect(&server.address).is_err() {
            if started.elapsed() > Duration::from_secs(20) {
                return Err("docker-registry did not start".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// The memory that it has, in MiB.
    fn memory(&self) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let kibibytes = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
            .ok_or("/proc/PID/status has no VmRSS")?;
        Ok(kibibytes.parse::<f64>()? / 1024.0)
    }

    /// A bearer token for a repository, where one is needed.
    fn token(&self, repository: &str) -> Result<String> {
        if !self.needs_login {
            return Ok(String::new());
        }
        let password = long_term_password(BUILTIN_ACCESS_KEY, &Secret::new(BUILTIN_SECRET_KEY));
        let login = BASE64_STANDARD.encode(format!("x@{BUILTIN_ACCESS_KEY}:{password}"));
        let path = format!(
            "/swr/auth/v2/registry/auth/?service=dockyard&scope=repository:{repository}:pull,push"
        );
        let headers = format!("Authorization: Basic {login}\r\n");
        let answer = Connection::open(self, "")?.request("GET", &path, &headers, b"")?;
        let answer: Value = serde_json::from_slice(&answer.is(200)?.body)?;
        Ok(answer["token"].as_str().ok_or("no token")?.to_owned())
    }
}

/// A keep-alive connection.
struct Connection {
    stream: BufReader<TcpStream>,
    authorization: String,
}

struct Answer {
    status: u16,
    location: String,
    body: Vec<u8>,
}

impl Answer {
    fn is(self, status: u16) -> Result<Self> {
        if self.status != status {
            let body = String::from_utf8_lossy(&self.body).into_owned();
            return Err(format!("{} instead of {status}: {body}", self.status).into());
        }
        Ok(self)
    }
}

impl Connection {
    fn open(server: &Server, token: &str) -> Result<Self> {
        let stream = TcpStream::connect(&server.address)?;
        stream.set_nodelay(true)?;
        let authorization = if token.is_empty() {
            String::new()
        } else {
            format!("Authorization: Bearer {token}\r\n")
        };
        Ok(Self {
            stream: BufReader::with_capacity(256 * 1024, stream),
            authorization,
        })
    }

    fn push_blob(&mut self, repository: &str, (digest, content): &Named) -> Result<()> {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let location = self.request("POST", &path, "", b"")?.is(202)?.location;
        let path = location
            .find("/v2/")
            .map(|at| &location[at..])
            .ok_or("no location")?;
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}digest={digest}");
        let headers = "Content-Type: application/octet-stream\r\n";
        self.request("PUT", &path, headers, content)?.is(201)?;
        Ok(())
    }

    fn pull_blob(&mut self, repository: &str, (digest, content): &Named) -> Result<()> {
        self.expect_body(&format!("/v2/{repository}/blobs/{digest}"), content.len())
    }

    fn push_manifest(&mut self, repository: &str, tag: &str, content: &[u8]) -> Result<()> {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let headers = format!("Content-Type: {OCI_MANIFEST}\r\n");
        self.request("PUT", &path, &headers, content)?.is(201)?;
        Ok(())
    }

    fn expect_body(&mut self, path: &str, length: usize) -> Result<()> {
        let headers = format!("Accept: {OCI_MANIFEST}\r\n");
        let answer = self.request("GET", path, &headers, b"")?.is(200)?;
        if answer.body.len() != length {
            return Err(format!("{} bytes instead of {length}", answer.body.len()).into());
        }
        Ok(())
    }

    fn request(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<Answer> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{}{headers}Content-Length: {}\r\n\r\n",
            self.authorization,
            body.len()
        );
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.stream.get_mut().write_all(body)?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).ok_or("no status")?.parse()?;
        let (mut length, mut location) = (0, String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse()?,
                "location" => value.trim().clone_into(&mut location),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answer {
            status,
            location,
            body,
        })
    }
}
