//! One resource over HTTP/1.1, in comparison with a hand-written axum handler and with `rest_over_grpc`: one server
//! thread each, 32 connections.
//!
//! The rates are those of the clients. They share the machine with the server, so the CPU time of the server's thread
//! is reported too: it is the cost of a request, independent of other load. If the thread is not busy nearly all the
//! time, the rates are those of the clients, and say little about the servers.

use std::{convert::Infallible, future::Future, net::SocketAddr, path::PathBuf, sync::mpsc};

use axum::body::Body;
use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tower::Service;
use transcoder_bench::{
    device,
    load::{self, alternate, calls, clients, median, rate, ratio},
    sides,
};

/// A server: its address, and its thread's statistics.
struct Server {
    address: SocketAddr,
    statistics: PathBuf,
}

fn main() {
    let servers = [
        Server::start(sides::bare(sides::twin())),
        Server::start(sides::bare(sides::peer())),
        Server::start(sides::bare(sides::ours())),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let get = load::request("GET", sides::PATH, "", "");
    for (name, server) in NAMES.iter().zip(&servers) {
        let answer = runtime.block_on(server.first(&get));
        println!("{name}: {} bytes of JSON", body(&answer).len());
        assert_eq!(body(&answer).len(), device::BYTES, "{}", String::from_utf8_lossy(&answer));
    }
    println!("{} connections, one server thread each\n", load::CLIENTS);

    compare("GET of one resource", &runtime, &servers, &get, Some([0.95, 1.05]));
    in_process();
    let device = serde_json::to_string(&device::twin()).expect("JSON");
    let put = load::request("PUT", sides::PATH, "content-type: application/json\r\n", &device);
    compare("PUT of one resource", &runtime, &servers, &put, None);
}

/// Length of one turn without sockets in milliseconds.
const TURN: u64 = 150;

const NAMES: [&str; 3] = ["hand-written axum handler", "rest_over_grpc", "transcoder"];

/// Only the GET, without connection and HTTP/1.1: the cost of the sides themselves.
fn in_process() {
    let request = || http::Request::get(sides::PATH).header("host", "localhost").body(Body::empty());
    let request = || request().expect("a request");
    let (mut twin, mut peer, mut ours) = (sides::twin(), sides::peer(), sides::ours());
    let rates: [Vec<f64>; 3] = alternate(|side| match side {
        0 => calls(TURN, || answer(Service::<Request<Body>>::call(&mut twin, request()))),
        1 => calls(TURN, || answer(peer.call(request()))),
        _ => calls(TURN, || answer(ours.call(request()))),
    });
    println!("GET of one resource without sockets (for information)");
    for (name, figure) in NAMES.into_iter().zip(rates.map(median)) {
        rate(name, figure);
    }
}

/// A response with its body.
fn answer<B, E>(call: impl Future<Output = Result<Response<B>, E>>) -> usize
where
    B: http_body::Body<Data = Bytes>,
{
    let response = call.now_or_never().and_then(Result::ok).expect("a response without waiting");
    let body = response.into_body().collect().now_or_never().and_then(Result::ok).expect("a body without waiting");
    body.to_bytes().len()
}

fn compare(
    what: &str,
    runtime: &tokio::runtime::Runtime,
    servers: &[Server; 3],
    request: &[u8],
    goals: Option<[f64; 2]>,
) {
    let (mut costs, mut shares) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
    let rates = alternate(|side| {
        let server = &servers[side];
        let before = server.busy();
        let started = std::time::Instant::now();
        let rate = runtime.block_on(server.turn(request));
        let requests = rate * started.elapsed().as_secs_f64();
        let busy = server.busy() - before;
        costs[side].push(busy / requests);
        shares[side].push(busy / started.elapsed().as_secs_f64());
        rate
    });
    let ([twin, peer, ours], costs, shares) = (rates.map(median), costs.map(median), shares.map(median));
    println!("{what}");
    for (side, figure) in [twin, peer, ours].into_iter().enumerate() {
        rate(NAMES[side], figure);
        let (cost, share) = (costs[side] * 1e6, shares[side] * 100.0);
        println!("  {:<44} {cost:>10.2} us of its thread a request, which was busy for {share:.0} %", "");
    }
    let of = |other: usize| costs[other] / costs[2];
    for (name, figure, cost, goal) in [("axum", ours / twin, of(0), 0), ("rest_over_grpc", ours / peer, of(1), 1)] {
        match goals {
            Some(goals) => ratio(&format!("ratio to {name}"), figure, goals[goal]),
            None => {
                println!("  ratio to {name} {figure:.3} (for information)");
                figure
            }
        };
        println!("  ratio to {name} by the thread's time {cost:.3} (for information)");
    }
}

impl Server {
    /// Starts a server in its own thread.
    fn start<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let (tell, told) = mpsc::channel();
        let address = load::serve(1, move |listener| async move {
            let thread = std::fs::read_link("/proc/thread-self").expect("a thread");
            tell.send(PathBuf::from("/proc").join(thread).join("schedstat")).expect("someone waits");
            axum::serve(listener, tower::make::Shared::new(service)).await.expect("it serves");
        });
        Self { address, statistics: told.recv().expect("it starts") }
    }

    /// CPU time of the thread in seconds.
    fn busy(&self) -> f64 {
        let text = std::fs::read_to_string(&self.statistics).expect("statistics of the thread");
        let nanos: f64 = text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("nanoseconds");
        nanos / 1e9
    }

    async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        stream
    }

    /// One response, unparsed.
    async fn first(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect().await;
        stream.write_all(request).await.expect("the server reads");
        let mut answer = Vec::new();
        while !is_whole(&answer) {
            assert!(stream.read_buf(&mut answer).await.expect("a response") > 0, "the response is truncated");
        }
        answer
    }

    /// One turn; returns the rate. All responses have the length of the first, so that the client needs little work.
    async fn turn(&self, request: &[u8]) -> f64 {
        let length = self.first(request).await.len();
        clients(|_, stop| self.client(request, length, move || stop.is_cancelled())).await
    }

    async fn client(&self, request: &[u8], length: usize, stopped: impl Fn() -> bool) -> u64 {
        let mut stream = self.connect().await;
        // The buffer is larger than a response: otherwise another read would be needed to see the end.
        let mut answer = vec![0; length + 1024];
        let mut done = 0;
        // The check costs a lock, so it is not done each time.
        while done % 16 != 0 || !stopped() {
            stream.write_all(request).await.expect("the server reads");
            let mut there = 0;
            while there < length {
                there += stream.read(&mut answer[there..]).await.expect("a response");
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
            done += 1;
        }
        done
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    answer.len() >= end + 4 + length.expect("a length")
}

fn body(answer: &[u8]) -> &[u8] {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    &answer[end + 4..]
}
