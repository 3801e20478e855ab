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
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Service, ServiceExt};

use super::{
    connection::{self, Answer, Connection, Crowd, End, Graceful, Guarded, PeerTimeouts, Streams, Wire},
    first_bytes::FirstBytes,
    tls::{self, Tls},
};
use crate::base::Drain;

/// Most bytes of all headers of a request.
const MAX_HEADERS: u32 = 64 * 1024;
/// How long the headers of a request may take to arrive; a connection that is idle for so long is closed, too.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// How long nothing comes over TCP until the system asks the peer whether it is still there, how often it asks, and how many
/// times in vain: whoever lost its power says no good-bye.
const PROBES: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(6);
/// How long connections may take to end when the time to drain is over.
const LAST: Duration = Duration::from_secs(1);
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
    /// How long a peer may have us wait for it after that.
    pub timeouts: PeerTimeouts,
}

impl Bounds {
    /// What this process can take.
    pub fn of_process() -> Self {
        let files = open_files().map_or(MAX_CONNECTIONS, |files| files.saturating_sub(OTHER_FILES).max(files / 2));
        Self { connections: files.clamp(1, MAX_CONNECTIONS), silence: SILENCE, timeouts: PeerTimeouts::default() }
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

/// Serves on these listeners until the drain begins, then lets the calls in flight finish until `deadline` has passed or
/// `abort` comes. Returns whether all of them finished. Connections are no work: one without a call ends soon, whatever its
/// peer does, and so does one whose peer does not take its answers. With `tls` every listener speaks it, and nothing else.
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
    let (connections, end) = (TaskTracker::new(), End::with(drain.clone()));
    let door = Door {
        talk: Talk { http: builder(bounds.timeouts), service, bounds, drain: drain.clone(), end: end.clone() },
        tls,
        connections: connections.clone(),
        free: Arc::new(Semaphore::new(bounds.connections)),
        crowd: watch::Sender::new(0),
    };
    let accepting = listeners.into_iter().map(|listener| door.accept(listener));
    tokio::select! {
        _ = futures::future::join_all(accepting) => {}
        () = drain.draining() => {}
    }
    // The listeners are closed: what comes now goes elsewhere.
    connections.close();
    tokio::select! {
        () = connections.wait() => {}
        () = tokio::time::sleep(deadline) => {}
        () = abort.cancelled() => {}
    }
    end.cut();
    // What does not even end now is at work.
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
        // hyper then looks for the end of the peer's side, and `Guarded` tells it when that matters.
        .half_close(false);
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADERS)
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(timeouts.ping)
        .keep_alive_timeout(timeouts.pong);
    http
}

/// What every new connection needs.
struct Door<S> {
    talk: Talk<S>,
    tls: Option<Tls>,
    connections: TaskTracker,
    free: Arc<Semaphore>,
    /// How many accepting tasks wait for a place.
    crowd: watch::Sender<usize>,
}

/// What a connection takes with it.
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
    /// Accepts connections for ever.
    async fn accept(&self, listener: TcpListener) {
        let mut logged: Option<Instant> = None;
        loop {
            let Some(room) = self.room().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => self.connect(stream, peer, room),
                // The connection was gone before we took it.
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

    /// A place for a connection. Where there is none, those that are idle make room.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(room) = self.free.clone().try_acquire_owned() {
            return Some(room);
        }
        self.crowd.send_modify(|waiting| *waiting += 1);
        // Nobody closes the semaphore.
        let room = self.free.clone().acquire_owned().await.ok();
        self.crowd.send_modify(|waiting| *waiting -= 1);
        room
    }

    /// Serves one connection in a task of its own.
    fn connect(&self, stream: TcpStream, address: SocketAddr, room: OwnedSemaphorePermit) {
        // Answers are written whole; waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&PROBES);
        let (talk, tls, crowd) = (self.talk.clone(), self.tls.clone(), self.crowd.subscribe());
        self.connections.spawn(async move {
            let _room = room;
            match tls {
                None => talk.serve(stream, Peer { address, secure: false }, None, crowd).await,
                Some(tls) => talk.shake_and_serve(stream, address, &tls, crowd).await,
            }
        });
    }
}

impl<S> Talk<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    /// Serves HTTP on a TLS connection, once the handshake is done.
    async fn shake_and_serve(self, stream: TcpStream, address: SocketAddr, tls: &Tls, crowd: Crowd) {
        let shaken = tokio::select! {
            shaken = tls.accept(stream, self.bounds.silence) => shaken,
            // Nothing has been asked yet.
            () = self.drain.draining() => return,
        };
        match shaken {
            Ok(stream) => {
                let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
                self.serve(stream, Peer { address, secure: true }, agreed.as_deref(), crowd).await;
            }
            Err(error) => tracing::debug!(%error, %address, "a TLS handshake failed"),
        }
    }

    /// Serves HTTP on a stream to its end. What was agreed on in the handshake is spoken, and nothing else.
    async fn serve<C>(self, stream: C, peer: Peer, agreed: Option<&[u8]>, crowd: Crowd)
    where
        C: AsyncRead + AsyncWrite + Wire + Unpin + Send + 'static,
    {
        let Self { http, service, bounds, drain, end } = self;
        let http = match agreed {
            Some(tls::HTTP_2) => http.http2_only(),
            Some(tls::HTTP_1) => http.http1_only(),
            _ => http,
        };
        let connection = Connection::new();
        let stream = FirstBytes::within(bounds.silence, stream);
        let stream = TokioIo::new(Guarded::new(stream, connection.clone(), bounds.timeouts));
        let of_calls = connection.clone();
        // A call begins here, with its head, and not only when its future is polled.
        let service = service_fn(move |request: Request<Incoming>| {
            let whole = http_body::Body::is_end_stream(request.body());
            let call = of_calls.begin(request.version() == Version::HTTP_2, whole);
            let (mut request, rest) = connection::take(request, &of_calls);
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(drain.clone());
            let answered = service.clone().oneshot(request);
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
        let serving = http.serve_connection(stream, service).into_owned();
        match connection::drive(serving, &connection, &end, crowd, bounds.timeouts.untaken).await {
            Some(Err(error)) => tracing::debug!(%error, "a connection ended early"),
            Some(Ok(())) => {}
            None => tracing::debug!(address = %peer.address, "closed an idle connection to make room"),
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
#[path = "listen_tests.rs"]
mod tests;
