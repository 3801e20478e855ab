//! Listeners: HTTP/1.1 and HTTP/2 with prior knowledge on one port, on several addresses, until a signal.

use std::{
    convert::Infallible,
    fs, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Body;
use http::{Request, Response, Version};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::{self, HttpServerConnExec},
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_rustls::rustls::ServerConnection;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use super::{
    connection::{self, Answer, Connection, Crowd, End, Graceful, Guarded, PeerTimeouts, Streams, Wire},
    first_bytes::FirstBytes,
    tls::{self, Tls},
};
use crate::{auth::PeerCertificate, base::Drain};

/// Maximum size of all headers of a request, in bytes.
const MAX_HEADERS: u32 = 64 * 1024;
/// How long the headers of a request may take to arrive; a connection that is idle for this long is closed too.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// TCP keepalive: how long a connection may be silent before the system probes the peer, the interval of probes, and
/// how many may fail. A peer that lost power does not close its connections.
const PROBES: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(6);
/// How long connections may take to end after the drain deadline.
const LAST: Duration = Duration::from_secs(1);
/// Maximum number of concurrent calls on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
/// The pause when the system cannot accept another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The minimum interval of log lines about that.
const ACCEPT_LOG: Duration = Duration::from_secs(1);
/// How long a connection may take to identify its protocol; with TLS, to finish the handshake, and then again.
const SILENCE: Duration = Duration::from_secs(10);
/// Maximum number of connections, the same if the system does not report how many files may be open, and the number of file descriptors
/// reserved for everything else.
const MAX_CONNECTIONS: usize = 65_536;
const UNREPORTED: usize = 8192;
const OTHER_FILES: usize = 256;
/// How much of a response may wait for a peer that does not read, in bytes for each HTTP/2 stream. hyper's default is 400 KiB: for streams
/// of states, that is many which are outdated.
const UNREAD: usize = 16 * 1024;

/// Limits of the connections of a server.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Maximum number of connections; others wait until one ends.
    pub connections: usize,
    /// How long a connection may take to identify its protocol.
    pub silence: Duration,
    /// How long we wait for a peer after that.
    pub timeouts: PeerTimeouts,
}

impl Bounds {
    /// The limits of this process.
    pub fn of_process() -> Self {
        Self { connections: connections(open_files()), silence: SILENCE, timeouts: PeerTimeouts::default() }
    }
}

/// The number of connections of a process that may open this number of files.
fn connections(files: Option<usize>) -> usize {
    files.map_or(UNREPORTED, |files| files.saturating_sub(OTHER_FILES).max(files / 2).clamp(1, MAX_CONNECTIONS))
}

/// How many files the process may open, if the system reports it.
fn open_files() -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The connection of a request, in its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Address of the peer.
    pub address: SocketAddr,
    /// Whether it uses TLS.
    pub secure: bool,
}

/// A socket that accepts connections, and their TLS; `None` leaves it to a proxy.
pub struct Listener {
    pub socket: TcpListener,
    pub tls: Option<Tls>,
}

/// Serves on these listeners until the drain starts, then lets the calls in progress finish until `deadline` or
/// `abort`. Returns whether all of them finished. Connections themselves are not waited for: one without a call is
/// closed soon, and so is one whose peer does not read its responses. The service must always be ready.
pub async fn serve<S>(
    listeners: Vec<Listener>,
    service: S,
    bounds: Bounds,
    drain: Drain,
    abort: CancellationToken,
    deadline: Duration,
) -> bool
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let (connections, end) = (TaskTracker::new(), End::with(drain.clone()));
    let door = Door {
        talk: Talk { http: builder(bounds.timeouts), service, bounds, drain: drain.clone(), end: end.clone() },
        connections: connections.clone(),
        free: Arc::new(Semaphore::new(bounds.connections)),
        crowd: watch::Sender::new(0),
    };
    let accepting = listeners.into_iter().map(|listener| door.accept(listener));
    tokio::select! {
        _ = futures::future::join_all(accepting) => {}
        () = drain.draining() => {}
    }
    // The listeners are closed: new connections go to other servers.
    connections.close();
    tokio::select! {
        () = connections.wait() => {}
        () = tokio::time::sleep(deadline) => {}
        () = abort.cancelled() => {}
    }
    end.cut();
    // A connection that does not end even now is running a call.
    let ended = tokio::time::timeout(LAST, connections.wait()).await.is_ok();
    let (untaken, cut) = (end.untaken(), end.cut_off());
    if untaken > 0 {
        tracing::warn!(connections = untaken, "responses were cut off because their peers did not read them");
    }
    if cut > 0 {
        tracing::warn!(connections = cut, "calls were cut off because the drain timeout expired");
    }
    ended && cut == 0
}

fn builder(timeouts: PeerTimeouts) -> auto::Builder<Streams> {
    let mut http = auto::Builder::new(Streams { timeout: timeouts.write });
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_HEADERS as usize)
        // Makes hyper watch for the end of the peer's side; `Guarded` reports it when it matters.
        .half_close(false);
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADERS)
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(UNREAD)
        .keep_alive_interval(timeouts.ping)
        .keep_alive_timeout(timeouts.pong);
    http
}

/// Everything that a new connection needs.
struct Door<S> {
    talk: Talk<S>,
    connections: TaskTracker,
    free: Arc<Semaphore>,
    /// The number of accept loops that wait for a free slot.
    crowd: watch::Sender<usize>,
}

/// The state that a connection gets.
#[derive(Clone)]
struct Talk<S> {
    http: auto::Builder<Streams>,
    service: S,
    bounds: Bounds,
    drain: Drain,
    end: End,
}

impl<S> Door<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    /// Accepts connections forever.
    async fn accept(&self, Listener { socket, tls }: Listener) {
        let mut logged: Option<Instant> = None;
        loop {
            let Some(room) = self.room().await else { return };
            match socket.accept().await {
                Ok((stream, peer)) => self.connect(stream, peer, tls.clone(), room),
                // The connection was closed before it was accepted.
                Err(error) if is_of_peer(&error) => {}
                Err(error) => {
                    if logged.is_none_or(|when| when.elapsed() >= ACCEPT_LOG) {
                        tracing::warn!(%error, "cannot accept connections");
                        logged = Some(Instant::now());
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// A slot for a connection. If none is free, idle connections are closed.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(room) = self.free.clone().try_acquire_owned() {
            return Some(room);
        }
        self.crowd.send_modify(|waiting| *waiting += 1);
        // The semaphore is never closed.
        let room = self.free.clone().acquire_owned().await.ok();
        self.crowd.send_modify(|waiting| *waiting -= 1);
        room
    }

    /// Serves one connection in its own task.
    fn connect(&self, stream: TcpStream, address: SocketAddr, tls: Option<Tls>, room: OwnedSemaphorePermit) {
        // Responses are written in one piece; Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&PROBES);
        let (talk, crowd) = (self.talk.clone(), self.crowd.subscribe());
        // Two tasks of their own: one for both would be as large as the larger one.
        match tls {
            None => {
                let peer = Peer { address, secure: false };
                let served = talk.serve(stream, peer, Handshake::default(), crowd);
                self.connections.spawn(holding(room, served));
            }
            Some(tls) => {
                let served = talk.shake_and_serve(stream, address, tls, crowd);
                self.connections.spawn(holding(room, served));
            }
        }
    }
}

/// Serves a connection, which has this slot meanwhile.
async fn holding(room: OwnedSemaphorePermit, served: impl Future<Output = ()>) {
    served.await;
    drop(room);
}

/// The result of a TLS handshake; the default is that of a connection without TLS.
#[derive(Default)]
struct Handshake {
    /// The protocol that both sides agreed on.
    agreed: Option<Vec<u8>>,
    /// The certificate of the client, who has proven that it has the key. Any issuer.
    certificate: Option<PeerCertificate>,
}

impl Handshake {
    fn of(connection: &ServerConnection) -> Self {
        let certificate = connection.peer_certificates().and_then(<[_]>::first);
        Self {
            agreed: connection.alpn_protocol().map(<[u8]>::to_vec),
            certificate: certificate.map(|certificate| PeerCertificate::new(certificate.to_vec())),
        }
    }
}

impl<S> Talk<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    /// Serves HTTP on a TLS connection, after the handshake.
    async fn shake_and_serve(self, stream: TcpStream, address: SocketAddr, tls: Tls, crowd: Crowd) {
        // A box, so that an idle connection has no room for it.
        let accepting = Box::pin(tls.accept(stream, self.bounds.silence));
        let shaken = tokio::select! {
            shaken = accepting => shaken,
            // There is no request yet.
            () = self.drain.draining() => return,
        };
        let served = match shaken {
            Ok(stream) => {
                let handshake = Handshake::of(stream.get_ref().1);
                self.serve(stream, Peer { address, secure: true }, handshake, crowd)
            }
            Err(error) => return tracing::debug!(%error, %address, "a TLS handshake failed"),
        };
        served.await;
    }

    /// Serves HTTP on a stream until it ends. Only the protocol of the handshake is allowed.
    ///
    /// What the connection needs is in one box, because a task of its future has room for all that it was made of.
    fn serve<C>(self, stream: C, peer: Peer, handshake: Handshake, crowd: Crowd) -> impl Future<Output = ()> + use<C, S>
    where
        C: AsyncRead + AsyncWrite + Wire + Unpin + Send + 'static,
    {
        let Self { http, service, bounds, drain, end } = self;
        let Handshake { agreed, certificate } = handshake;
        let http = match agreed.as_deref() {
            Some(tls::HTTP_2) => http.http2_only(),
            Some(tls::HTTP_1) => http.http1_only(),
            _ => http,
        };
        let connection = Connection::new();
        let stream = FirstBytes::within(bounds.silence, stream);
        let stream = TokioIo::new(Guarded::new(stream, connection.clone(), bounds.timeouts));
        let of_calls = connection.clone();
        // A call starts here, with its head, and not only when its future is polled.
        let service = service_fn(move |request: Request<Incoming>| {
            let whole = http_body::Body::is_end_stream(request.body());
            let call = of_calls.begin(request.version() == Version::HTTP_2, whole);
            let (mut request, rest) = connection::take(request, &of_calls);
            request.extensions_mut().insert(peer);
            if let Some(certificate) = certificate.clone() {
                request.extensions_mut().insert(certificate);
            }
            request.extensions_mut().insert(drain.clone());
            // It is always ready, as `serve` demands.
            let answered = service.clone().call(request);
            async move {
                let mut response = match answered.await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                if let Some(rest) = rest {
                    rest.settle(&mut response);
                }
                Ok::<_, Infallible>(response.map(|body| Answer::new(body, call)))
            }
        });
        let serving = Box::pin(http.serve_connection(stream, service).into_owned());
        async move {
            match connection::drive(serving, &connection, &end, crowd, bounds.timeouts.untaken).await {
                Some(Err(error)) => tracing::debug!(%error, "a connection ended early"),
                Some(Ok(())) => {}
                None => tracing::debug!(address = %peer.address, "closed an idle connection to make room"),
            }
        }
    }
}

impl<I, S, B> Graceful for auto::Connection<'static, I, S, Streams>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>>,
    S::Future: 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    Streams: HttpServerConnExec<S::Future, B>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
#[path = "listen_end_tests.rs"]
mod end_tests;
#[cfg(test)]
#[path = "listen_mutual_tests.rs"]
mod mutual_tests;
#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
