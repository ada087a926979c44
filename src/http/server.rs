//! The listener: connections, their bounds in number, size and time, and an orderly end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::pace::PacedStream;

/// Connections open at once; the next one waits in the system's queue.
const MAX_CONNECTIONS: usize = 1024;
/// The head of a request: all of its header lines together, and their number.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// How long a connection may take to send a head, or be idle before the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a client may leave an answer unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long running requests may take to finish once the server is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Marks a response that is never sent: its connection is closed instead.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the connection was cut on purpose")]
pub(super) struct Cut;

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A running listener.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves `router` on a bound listener until it is stopped.
    pub fn start(listener: TcpListener, router: Router) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(listener, router, stopped));
        Ok(Self {
            address,
            stop,
            task,
        })
    }

    /// The address it listens on, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connection, lets running requests finish (10 s at most), and returns.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            warn!(%error, "The listener's task failed");
        }
    }
}

async fn accept(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(async move {
        // An error means that the server's handle is gone: reason enough to stop.
        drop(stopped.wait_for(|stopped| *stopped).await);
    });
    loop {
        let connection = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, stream) = tokio::select! {
            () = &mut stop => break,
            (place, accepted) = connection => match accepted {
                Ok((stream, _)) => (place, stream),
                Err(error) => {
                    // Out of file descriptors, most likely: give connections time to close.
                    warn!(%error, "Could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let service = ServiceExt::<Request<Incoming>>::map_result(router.clone(), unless_cut);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .serve_connection(
                TokioIo::new(bounded(stream)),
                TowerToHyperService::new(service),
            );
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "A connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        warn!("Some requests did not finish in time");
    }
}

/// The response, or the error at which a connection is dropped before it has sent anything of it.
fn unless_cut(response: Result<Response, Infallible>) -> Result<Response, Cut> {
    let response = response?;
    match response.extensions().get::<Cut>() {
        None => Ok(response),
        Some(cut) => Err(*cut),
    }
}

/// The stream with bounds on how long the other side may leave what was sent unread, and on how
/// little of it it may take.
fn bounded(stream: TcpStream) -> PacedStream<Pin<Box<TimeoutStream<TcpStream>>>> {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "Could not switch off Nagle's algorithm");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    PacedStream::new(Box::pin(stream))
}
