//! Listeners: HTTP/1.1 and HTTP/2 with prior knowledge on one port, on several addresses, until a signal.

use std::{
    convert::Infallible,
    fs, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Body;
use http::{Request, Response};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

use super::{first_bytes::FirstBytes, tls::Tls};
use crate::base::Drain;

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
/// How often that is logged at most.
const ACCEPT_LOG: Duration = Duration::from_secs(1);
/// How long a connection may take until it is known what it speaks; with TLS, until the handshake is done, and then again.
const SILENCE: Duration = Duration::from_secs(10);
/// Most connections at a time, and how many open files are left for everything else.
const MAX_CONNECTIONS: usize = 8192;
const OTHER_FILES: usize = 256;

/// Bounds of the connections of a server.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most connections at a time; others wait until one ends.
    pub connections: usize,
    /// How long a connection may take until it is known what it speaks.
    pub silence: Duration,
}

impl Bounds {
    /// What this process can take.
    pub fn of_process() -> Self {
        let files = open_files().map_or(MAX_CONNECTIONS, |files| files.saturating_sub(OTHER_FILES).max(files / 2));
        Self { connections: files.clamp(1, MAX_CONNECTIONS), silence: SILENCE }
    }
}

/// How many files the process may open, where the system tells.
fn open_files() -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The connection that a request came by, in its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Address of the other end.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub secure: bool,
}

/// Serves on these listeners until the drain begins, then lets the calls in flight finish until `deadline` has passed or `abort`
/// comes. Returns whether all of them finished. With `tls` every listener speaks it, and nothing else.
pub async fn serve<S>(
    listeners: Vec<TcpListener>,
    service: S,
    bounds: Bounds,
    tls: Option<Tls>,
    drain: Drain,
    abort: CancellationToken,
    deadline: Duration,
) -> bool
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let connections = GracefulShutdown::new();
    let door = Door {
        talk: Talk { http: builder(), service, silence: bounds.silence },
        tls,
        connections: &connections,
        free: Arc::new(Semaphore::new(bounds.connections)),
        drain: drain.clone(),
    };
    let accepting = listeners.into_iter().map(|listener| door.accept(listener));
    tokio::select! {
        _ = futures::future::join_all(accepting) => {}
        () = drain.draining() => {}
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

/// What every new connection needs.
struct Door<'c, S> {
    talk: Talk<S>,
    tls: Option<Tls>,
    connections: &'c GracefulShutdown,
    free: Arc<Semaphore>,
    drain: Drain,
}

/// What a connection takes with it.
#[derive(Clone)]
struct Talk<S> {
    http: auto::Builder<TokioExecutor>,
    service: S,
    silence: Duration,
}

impl<S> Door<'_, S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    /// Accepts connections for ever.
    async fn accept(&self, listener: TcpListener) {
        let mut logged: Option<Instant> = None;
        loop {
            // Nobody closes the semaphore.
            let Ok(room) = self.free.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => self.connect(stream, peer, room),
                // The connection was gone before we took it.
                Err(error) if is_of_peer(&error) => {}
                Err(error) => {
                    if logged.is_none_or(|when| when.elapsed() >= ACCEPT_LOG) {
                        tracing::warn!(%error, "no connection can be accepted");
                        logged = Some(Instant::now());
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves one connection in a task of its own.
    fn connect(&self, stream: TcpStream, address: SocketAddr, room: OwnedSemaphorePermit) {
        // Answers are written whole; waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        let (talk, watcher) = (self.talk.clone(), self.connections.watcher());
        let drain = self.drain.clone();
        let Some(tls) = self.tls.clone() else {
            let serving = talk.serve(stream, Peer { address, secure: false }, drain, watcher);
            tokio::spawn(async move {
                let _room = room;
                serving.await;
            });
            return;
        };
        tokio::spawn(async move {
            let _room = room;
            let shaken = tokio::select! {
                shaken = tls.accept(stream, talk.silence) => shaken,
                // Nothing has been asked yet.
                () = drain.draining() => return,
            };
            match shaken {
                Ok(stream) => talk.serve(stream, Peer { address, secure: true }, drain, watcher).await,
                Err(error) => tracing::debug!(%error, %address, "a TLS handshake failed"),
            }
        });
    }
}

impl<S> Talk<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    /// Serves HTTP on a stream to its end.
    fn serve<C>(
        self,
        stream: C,
        peer: Peer,
        drain: Drain,
        watcher: Watcher,
    ) -> impl Future<Output = ()> + Send + use<C, S>
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = self.service.map_request(move |request: Request<hyper::body::Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(drain.clone());
            request
        });
        let stream = TokioIo::new(FirstBytes::within(self.silence, stream));
        let connection = self.http.serve_connection(stream, TowerToHyperService::new(service)).into_owned();
        let connection = watcher.watch(connection);
        async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        }
    }
}

fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server with one connection at a time, and its address.
    async fn server(tls: Option<Tls>, drain: &Drain) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service =
            tower::service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::from("fine"))));
        let bounds = Bounds { connections: 1, silence: Duration::from_millis(100) };
        let (drain, abort) = (drain.clone(), CancellationToken::new());
        tokio::spawn(serve(vec![listener], service, bounds, tls, drain, abort, Duration::from_secs(5)));
        address
    }

    #[tokio::test]
    async fn silent_connections_are_closed_and_others_wait_for_room() {
        let drain = Drain::default();
        let address = server(None, &drain).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut waits = TcpStream::connect(address).await.unwrap();
        waits.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(Duration::from_secs(20), waits.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("fine"), "{answer}");
        // There was room for that one only because this one is closed.
        ends(&mut silent).await;
        drain.begin();
    }

    async fn ends(stream: &mut TcpStream) {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut [0; 8])).await.unwrap();
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }

    #[tokio::test]
    async fn a_handshake_has_to_end_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let drain = Drain::default();
        let address = server(Some(Tls::load(&certificate, &key).unwrap()), &drain).await;
        // The second has room only because the first is closed.
        for begun in [&[][..], &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]] {
            let mut stalled = TcpStream::connect(address).await.unwrap();
            stalled.write_all(begun).await.unwrap();
            ends(&mut stalled).await;
        }
        drain.begin();
    }

    #[test]
    fn the_bound_leaves_room_for_other_files() {
        let bounds = Bounds::of_process();
        assert!(bounds.connections >= 1 && open_files().is_none_or(|files| bounds.connections < files));
    }
}
