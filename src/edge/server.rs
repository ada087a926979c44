//! The listener: its bounds in number, size and time, and an orderly end. What it knows of its
//! connections is in `connections`.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_io_timeout::TimeoutStream;
use tracing::{debug, info, warn};

use super::connections::{Connection, Connections, OpenConnection};
use super::head_timer::HeadTimer;
use super::hosts::{self, AllowedHosts};
use super::lingering::Lingering;
use super::management::{self, Edge};
use super::ready;
use crate::app::AppState;
use crate::http::{Cut, PacedStream};

/// The head of a request: all of its lines together, and the number of its header lines.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// How long a connection may take to send a head, or be idle before the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a client may leave an answer unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long running requests may take to finish once the instance stops. Who runs containers
/// often kills after ten seconds.
const GRACE: Duration = Duration::from_secs(8);

/// How long they take before it is told that they are waited for.
const NOTICE: Duration = Duration::from_millis(300);

/// A running listener; it ends with this value.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    app: AppState,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.app.stop.raise();
    }
}

impl Server {
    /// Serves on a bound listener until the instance stops. On a loopback address only
    /// requests for `hosts` are served.
    pub fn start(
        listener: TcpListener,
        edge: Edge,
        hosts: &Arc<AllowedHosts>,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let hosts = address.ip().is_loopback().then(|| Arc::clone(hosts));
        let app = Arc::clone(&edge.app);
        let front = Front { edge, hosts };
        Ok(Self {
            address,
            app,
            task: tokio::spawn(accept(listener, Arc::new(front))),
        })
    }

    /// The address it listens on, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forgets the answers that are kept for the next requests.
    pub fn rest(&self) {
        self.app.answers.clear();
    }

    /// Takes no new connection, lets running requests finish (8 s at most), and returns.
    pub async fn stop(mut self) {
        self.app.stop.raise();
        if let Err(error) = (&mut self.task).await {
            warn!(%error, "The listener's task failed");
        }
    }
}

/// What all connections of a listener share.
#[derive(Debug)]
struct Front {
    edge: Edge,
    /// For whom requests may be; for anybody where there is nothing.
    hosts: Option<Arc<AllowedHosts>>,
}

impl Front {
    async fn serve(&self, request: Request<Body>) -> Result<Response, Cut> {
        if let Err(refusal) = hosts::check(&request, self.hosts.as_deref()) {
            return Ok(management::refuse(&self.edge.app, &request, &refusal));
        }
        if let Some(response) = ready::answer(&self.edge.app, &request) {
            return Ok(response);
        }
        let response = self.edge.serve(request).await;
        // The error at which a connection is dropped before it has sent anything of the response.
        match response.extensions().get::<Cut>() {
            None => Ok(response),
            Some(cut) => Err(*cut),
        }
    }
}

async fn accept(listener: TcpListener, front: Arc<Front>) {
    let connections = Connections::new(Arc::clone(&front.edge.app.wanted));
    let mut stop = pin!(front.edge.app.stop.raised());
    loop {
        // A place comes second: only when somebody is there is it known that one is needed.
        let accepted = async {
            let accepted = listener.accept().await;
            let connection = connections.open().await;
            accepted.map(|(stream, _)| (stream, connection))
        };
        let (stream, connection) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: give connections time to close.
                    warn!(%error, "Could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        tokio::spawn(serve_connection(stream, connection, Arc::clone(&front)));
    }
    drop(listener);
    connections.close_all();
    let late = Instant::now() + GRACE;
    let mut ended = pin!(connections.all_ended());
    if timeout(NOTICE, ended.as_mut()).await.is_ok() {
        return;
    }
    match connections.running() {
        0 => {}
        requests => info!(requests, "Waiting for running requests to finish"),
    }
    if timeout_at(late, ended).await.is_err() {
        warn!("Some requests did not finish in time");
    }
}

async fn serve_connection(stream: TcpStream, open: OpenConnection, front: Arc<Front>) {
    let connection: &Arc<Connection> = open.connection();
    let service = service_fn(|request: Request<Incoming>| {
        let running = connection.begin();
        let front = &front;
        async move {
            let response = front.serve(request.map(Body::new)).await?;
            Ok::<_, Cut>(response.map(|body| running.until_sent(body)))
        }
    });
    let mut served = pin!(
        http1::Builder::new()
            .timer(HeadTimer::default())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .max_header_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .serve_connection(
                TokioIo::new(Lingering::new(bounded(stream), Arc::clone(connection))),
                service,
            )
    );
    let served = tokio::select! {
        served = served.as_mut() => served,
        () = connection.told_to_close() => {
            if !connection.has_served() {
                // Nothing was asked yet, at most begun.
                return;
            }
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = served {
        debug!(%error, "A connection ended early");
    }
}

/// The stream, with a limit on how long the client may leave an answer unread and on how slowly it
/// may read.
fn bounded(stream: TcpStream) -> PacedStream<Pin<Box<TimeoutStream<TcpStream>>>> {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "Could not switch off Nagle's algorithm");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    PacedStream::new(Box::pin(stream))
}
