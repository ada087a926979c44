//! `swr-emulator healthcheck`: asks a running emulator whether it serves.

use std::time::Duration;

use http::{Request, Uri};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long the emulator may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the emulator is
    #[arg(
        long,
        env = "SWR_EMULATOR_URL",
        default_value = "http://127.0.0.1:7970"
    )]
    url: Uri,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<(), String> {
    let url = &arguments.url;
    match tokio::time::timeout(PATIENCE, ask(url)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reason)) => Err(format!("the emulator at {url} is not ready: {reason}")),
        Err(_) => Err(format!("the emulator at {url} does not answer")),
    }
}

async fn ask(url: &Uri) -> Result<(), String> {
    let host = url.host().ok_or("the URL has no host")?;
    if url.scheme_str() != Some("http") {
        return Err("the URL must start with http://".to_owned());
    }
    let port = url.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port))
        .await
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let request = Request::get("/_emulator/health")
        .header(
            "host",
            url.authority().map_or(host, |authority| authority.as_str()),
        )
        .body(String::new())
        .map_err(|error| error.to_string())?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    if response.status().is_success() {
        Ok(())
    } else {
        Err(format!("it answers {}", response.status()))
    }
}
