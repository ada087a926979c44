//! Asks a running emulator how it is, over the one operation that is open to everybody, or for more
//! with a token.

use std::str::FromStr;
use std::time::Duration;

use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use swr_emulator::config;
use tokio::net::TcpStream;

/// The most that an answer about its health may hold.
const MAX_HEALTH: usize = 1024 * 1024;

const HEALTH: &str = "/_emulator/health";

/// Where an emulator is: `http://HOST[:PORT]`.
#[derive(Debug, Clone)]
pub(crate) struct Url {
    host: String,
    port: u16,
    /// Host and port as they were given.
    authority: String,
}

impl Url {
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
) -> Result<(StatusCode, bytes::Bytes), String> {
    let stream = TcpStream::connect((&*url.host, url.port))
        .await
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let mut request = Request::get(path).header("host", &url.authority);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(String::new())
        .map_err(|error| error.to_string())?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status();
    let body = Limited::new(response.into_body(), most).collect();
    let body = body.await.map_err(|error| error.to_string())?;
    Ok((status, body.to_bytes()))
}
