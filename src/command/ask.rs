//! Asks a running emulator how it is, over the one operation that is open to everybody, or for more
//! with a token.

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use swr_emulator::{BUILTIN_TOKEN, config};
use tokio::net::TcpStream;

/// The most that an answer about its health may hold.
const MAX_HEALTH: usize = 1024 * 1024;

const HEALTH: &str = "/_emulator/health";

/// How long an emulator may take to answer a question about what it holds, for which it may have to
/// ask clusters.
const PATIENCE: Duration = Duration::from_mins(1);
/// The most that such an answer may hold.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Where an emulator is: `http://HOST[:PORT]`.
#[derive(Debug, Clone)]
pub(crate) struct Url {
    host: String,
    port: u16,
    /// Host and port as they were given.
    authority: String,
}

impl Url {
    /// The host alone, an IPv6 address without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Host, and port where one was given.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

impl FromStr for Url {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "must be a URL like http://127.0.0.1:7970, without a path";
        let uri: Uri = text.parse().map_err(|_| RULE)?;
        let authority = uri.authority().ok_or(RULE)?.as_str();
        // It is printed into programs of many languages, so it holds nothing that ends a text.
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let port = match uri.port() {
            Some(port) => port.as_u16(),
            None => 80,
        };
        let host = uri.host().ok_or(RULE)?;
        let is_whole = authority == host || authority == format!("{host}:{port}");
        if uri.scheme_str() != Some("http")
            || !matches!(uri.path_and_query().map_or("/", |path| path.as_str()), "/")
            || !authority.bytes().all(legal)
            || !is_whole
        {
            return Err(RULE);
        }
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            authority: authority.to_owned(),
        })
    }
}

/// What an emulator says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Health {
    /// The region that is emulated at the address.
    pub(crate) region: String,
    /// Whether the well-known keys are good for something.
    pub(crate) builtin_account: bool,
}

/// Asks for the emulator's health; the error says why it is not known.
pub(crate) async fn health(url: &Url, patience: Duration) -> Result<(StatusCode, Health), String> {
    let (status, body) = tokio::time::timeout(patience, get(url, HEALTH, &[], MAX_HEALTH))
        .await
        .map_err(|_| "it did not answer in time".to_owned())??;
    let health: Health = serde_json::from_slice(&body).map_err(|_| {
        format!("it answered {status}, but not as an emulator of this version does")
    })?;
    config::parse_region(&health.region).map_err(|rule| format!("its region {rule}"))?;
    Ok((status, health))
}

/// The answer to a GET with more headers, of so many bytes at most.
pub(crate) async fn get(
    url: &Url,
    path: &str,
    headers: &[(&str, &str)],
    most: usize,
) -> Result<(StatusCode, Bytes), String> {
    let response = send(url, Method::GET, path, headers, Full::<Bytes>::default()).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), most).collect();
    let body = body.await.map_err(|error| error.to_string())?;
    Ok((status, body.to_bytes()))
}

/// Sends a request with more headers; the head of its answer.
pub(crate) async fn send<B>(
    url: &Url,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: B,
) -> Result<Response<Incoming>, String>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect((&*url.host, url.port))
        .await
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path);
    request = request.header("host", &url.authority);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body).map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await;
    response.map_err(|error| error.to_string())
}

/// Why an emulator refused something, from the body of its answer.
pub(crate) fn refusal(url: &Url, status: StatusCode, body: &[u8]) -> String {
    let reason: Option<Refusal> = serde_json::from_slice(body).ok();
    let reason = reason.map_or_else(String::new, |refusal| format!(": {}", refusal.error_msg));
    format!("the emulator at {url} answered {status}{reason}")
}

#[derive(Deserialize)]
struct Refusal {
    error_msg: String,
}

/// Which emulator is meant, and who asks it for what concerns it as a whole.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// URL of the emulator
    #[arg(
        long,
        env = "SWR_EMULATOR_URL",
        default_value = "http://127.0.0.1:7970"
    )]
    pub(crate) url: Url,
    /// Token of a user who may reset the emulator
    #[arg(
        long,
        env = "SWR_EMULATOR_TOKEN",
        hide_env_values = true,
        default_value = BUILTIN_TOKEN
    )]
    token: String,
    /// Token of the emulator's --control-token, for any other user
    #[arg(
        long,
        env = "SWR_EMULATOR_CONTROL_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    control_token: Option<String>,
}

impl Target {
    /// The headers that say who asks.
    pub(crate) fn headers(&self) -> Vec<(&str, &str)> {
        let mut headers = vec![("x-auth-token", self.token.as_str())];
        if let Some(token) = &self.control_token {
            headers.push(("x-emulator-control-token", token));
        }
        headers
    }

    /// What the emulator answers to a GET.
    pub(crate) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let (status, body) = self.answer(path).await?;
        if !status.is_success() {
            return Err(refusal(&self.url, status, &body));
        }
        self.parse(path, &body)
    }

    /// The same where it may be that there is nothing of the kind, or not for this user.
    pub(crate) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, String> {
        let (status, body) = self.answer(path).await?;
        match status {
            StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => self.parse(path, &body).map(Some),
            status => Err(refusal(&self.url, status, &body)),
        }
    }

    async fn answer(&self, path: &str) -> Result<(StatusCode, Bytes), String> {
        let headers = self.headers();
        let answer = get(&self.url, path, &headers, MAX_ANSWER);
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        answer
            .unwrap_or_else(|_| Err("it did not answer in time".to_owned()))
            .map_err(|reason| self.unreachable(&reason))
    }

    fn parse<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, String> {
        let path = path.split('?').next().unwrap_or_default();
        serde_json::from_slice(body)
            .map_err(|error| format!("cannot read the answer of {} to {path}: {error}", self.url))
    }

    /// That nobody answers there.
    pub(crate) fn unreachable(&self, reason: &str) -> String {
        format!("no emulator answers at {}: {reason}", self.url)
    }
}

/// A part of a path, escaped as `encodeURIComponent` does it, but for marks that nobody has in names.
pub(crate) fn escaped(part: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    percent_encoding::utf8_percent_encode(part, KEPT).to_string()
}

/// A path with a query, each value escaped.
pub(crate) fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("{path}?{}", query.finish())
}
