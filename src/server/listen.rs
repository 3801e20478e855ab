//! Listeners: HTTP/1.1 and HTTP/2 with prior knowledge on one port, on several addresses, until a signal.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use axum::body::Body;
use http::{Request, Response};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

/// Most bytes of all headers of a request.
const MAX_HEADERS: u32 = 64 * 1024;
/// How long the headers of a request may take to arrive; a connection that is idle for so long is closed, too.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// How often an idle HTTP/2 peer is asked whether it is still there, and how long it may take to say so.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_PATIENCE: Duration = Duration::from_secs(20);
/// Most calls at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The address that a request came from, in its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Serves on these listeners until `stop`, then lets the calls in flight finish until `deadline` has passed or `abort`
/// comes. Returns whether all of them finished.
pub async fn serve<S>(
    listeners: Vec<TcpListener>,
    service: S,
    stop: CancellationToken,
    abort: CancellationToken,
    deadline: Duration,
) -> bool
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let connections = GracefulShutdown::new();
    let http = builder();
    let accepting = listeners.into_iter().map(|listener| accept(listener, &http, &service, &connections));
    tokio::select! {
        _ = futures::future::join_all(accepting) => {}
        () = stop.cancelled() => {}
    }
    // The listeners are closed: what comes now goes elsewhere.
    tokio::select! {
        () = connections.shutdown() => true,
        () = tokio::time::sleep(deadline) => false,
        () = abort.cancelled() => false,
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_HEADERS as usize)
        .half_close(false);
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADERS)
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_PATIENCE);
    http
}

/// Accepts connections for ever.
async fn accept<S>(
    listener: TcpListener,
    http: &auto::Builder<TokioExecutor>,
    service: &S,
    connections: &GracefulShutdown,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => connect(stream, peer, http, service, connections),
            // The connection was gone before we took it.
            Err(error) if is_of_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection in a task of its own.
fn connect<S>(
    stream: TcpStream,
    peer: SocketAddr,
    http: &auto::Builder<TokioExecutor>,
    service: &S,
    connections: &GracefulShutdown,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    // Answers are written whole; waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let service = service.clone().map_request(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        request
    });
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}
