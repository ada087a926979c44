//! What the tests share: an emulator in this process, one as a program of its own, and requests.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use swr_emulator::{Config, Emulator};
use tokio::net::TcpStream;

/// The token of the built-in admin.
pub(crate) const TOKEN: &str = "swr-emulator";

/// Where the triggers of the example repository are.
pub(crate) const TRIGGERS: &str = "/v2/manage/namespaces/group/repos/busybox/triggers";

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: Config,
}

/// An emulator in this process, on a port of its own, with its data in a temporary folder.
pub(crate) struct TestApp {
    /// Lives as long as the test.
    emulator: Emulator,
    /// Who the requests are from.
    pub(crate) client: Client,
    /// Holds a seed file, if there is one.
    seed: Option<tempfile::TempDir>,
}

impl TestApp {
    /// Without a seed file.
    pub(crate) async fn start() -> Self {
        Self::with_arguments(&[]).await
    }

    /// With the organization `group` and the repository `busybox` in it.
    pub(crate) async fn with_repository() -> Self {
        Self::seeded("organizations: [{name: group, repositories: [{name: busybox}]}]").await
    }

    /// With a seed file.
    pub(crate) async fn seeded(seed: &str) -> Self {
        Self::seeded_with(seed, &[]).await
    }

    /// With a seed file and more arguments.
    pub(crate) async fn seeded_with(seed: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("seed.yaml");
        std::fs::write(&path, seed).expect("the seed file is written");
        let path = path.to_str().expect("a path that is UTF-8");
        let mut app = Self::with_arguments(&[&["--seed", path], arguments].concat()).await;
        app.seed = Some(folder);
        app
    }

    /// With arguments as on the command line.
    pub(crate) async fn with_arguments(arguments: &[&str]) -> Self {
        Self::of(&[&["--ephemeral"], arguments].concat()).await
    }

    /// With a data folder that stays.
    pub(crate) async fn kept(data_folder: &str) -> Self {
        Self::of(&["--data-dir", data_folder]).await
    }

    async fn of(arguments: &[&str]) -> Self {
        let own = ["swr-emulator", "--listen", "127.0.0.1:0"];
        let config = Arguments::parse_from(own.iter().chain(arguments)).config;
        let emulator = Emulator::start(&config).await.expect("the emulator starts");
        let client = Client {
            address: emulator.address().to_string(),
            token: Some(TOKEN.to_owned()),
        };
        Self {
            emulator,
            client,
            seed: None,
        }
    }

    /// Where it keeps its data.
    pub(crate) fn data_folder(&self) -> &Path {
        self.emulator.data_folder()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.client.send("GET", path, None).await
    }

    /// The pages of a list, as the header `Link` of each leads to the next.
    pub(crate) async fn pages(&self, path: &str) -> Vec<Value> {
        let mut pages = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let answer = self.get(&path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            pages.push(answer.json());
            next = answer.header("link").map(|link| {
                let next = link.strip_suffix(">; rel=\"next\"");
                let next = next.and_then(|next| next.strip_prefix('<'));
                next.expect("a link to the next page").to_owned()
            });
        }
        pages
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.client.send("POST", path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.client.send("PATCH", path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.client.send("DELETE", path, None).await
    }

    /// The same user at the address of another region.
    pub(crate) fn in_region(&self, name: &str) -> Client {
        let mut regions = self.emulator.addresses();
        let found = regions.find(|(region, _)| *region == name);
        let (_, address) = found.expect("the region is played");
        Client {
            address: address.to_string(),
            token: self.client.token.clone(),
        }
    }

    /// The same emulator, asked by somebody else.
    pub(crate) fn as_user(&self, token: &str) -> Client {
        Client {
            address: self.client.address.clone(),
            token: Some(token.to_owned()),
        }
    }

    /// The same emulator, asked without credentials.
    pub(crate) fn as_nobody(&self) -> Client {
        Client {
            address: self.client.address.clone(),
            token: None,
        }
    }
}

/// Sends requests to an emulator, each over a connection of its own.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: String,
    pub(crate) token: Option<String>,
}

impl Client {
    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request.body(body.into()).expect("a legal request");
        self.request(request).await
    }

    /// Sends a request as it is, but for the token and the host.
    pub(crate) async fn request(&self, request: Request<Bytes>) -> Answer {
        let mut connection = self.connect().await;
        self.request_on(&mut connection, request)
            .await
            .expect("an answer")
    }

    /// A connection to send several requests on.
    pub(crate) async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(&self.address)
            .await
            .expect("a connection");
        stream.set_nodelay(true).expect("an open socket");
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .expect("a fresh connection");
        tokio::spawn(connection);
        sender
    }

    /// Sends a request on a connection; none when it breaks before the whole answer is there.
    pub(crate) async fn request_on(
        &self,
        connection: &mut SendRequest<Full<Bytes>>,
        request: Request<Bytes>,
    ) -> Option<Answer> {
        let mut request = request.map(Full::new);
        let headers = request.headers_mut();
        headers.insert("Host", self.address.parse().expect("a header value"));
        if let Some(token) = &self.token {
            headers.insert("X-Auth-Token", token.parse().expect("a header value"));
        }
        let response = connection.send_request(request).await.ok()?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("ASCII"))
    }

    /// Asserts on status and body, and gives the answer back.
    #[track_caller]
    pub(crate) fn is(self, status: u16, body: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.text()), (status, body));
        self
    }

    /// Asserts that SWR refused in its own form, and gives the message back.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body = self.json();
        let code = format!("SVCSTG.SWR.{code}");
        let message = body["error_msg"].as_str().expect("a message").to_owned();
        let mut expected = json!({
            "errors": [{"errorCode": code, "errorMessage": message, "detail": ""}],
            "error_code": code,
            "error_msg": message,
            "details": [{"error_code": code, "error_msg": message}],
        });
        if status == 403 {
            const ENCODED: &str = "encoded_authorization_message";
            let encoded = body[ENCODED].clone();
            assert!(encoded.is_string(), "{body}");
            expected["errors"][0][ENCODED] = encoded.clone();
            expected[ENCODED] = encoded;
        }
        assert_eq!(body, expected);
        message
    }

    /// Asserts that the gateway refused in its form, and gives the message back.
    #[track_caller]
    pub(crate) fn refused_by_gateway(self, status: u16, code: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        let id = self
            .header("x-request-id")
            .expect("a request id")
            .to_owned();
        assert!(
            id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
            "{id}"
        );
        let body = self.json();
        let message = body["error_msg"].as_str().expect("a message").to_owned();
        assert_eq!(
            body,
            json!({"error_msg": message, "error_code": code, "request_id": id})
        );
        message
    }
}

/// The reference's example of a trigger, under a name.
pub(crate) fn trigger(name: &str) -> Value {
    json!({
        "action": "update", "app_type": "deployments", "application": "adsfa",
        "cluster_id": "5b28c12f-dc10-11e9-97b3-0255ac1001b5", "cluster_name": "test",
        "cluster_ns": "default", "condition": ".*", "container": "", "enable": "true",
        "name": name, "trigger_mode": "cce", "trigger_type": "all"
    })
}

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

/// The program, with no settings from the environment but these.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swr-emulator"));
    let settings = std::env::vars_os().map(|(name, _)| name);
    for name in settings.filter(|name| name.to_string_lossy().starts_with("SWR_EMULATOR_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}
