//! The load generator: two servers with the same responses, measured in alternating turns, and the ratio of their
//! rates.
//!
//! Turns alternate, so that other load on the machine affects both alike; the ratio is that of the medians.

#![allow(dead_code, missing_docs, reason = "each benchmark uses its own part")]

use std::{
    future::Future,
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures::future::join_all;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

/// Concurrent clients.
pub const CLIENTS: usize = 32;
/// Length of one turn.
const TURN: Duration = Duration::from_millis(800);
/// Turns of each side.
const TURNS: usize = 9;

/// Starts a server with its own threads and returns its address. It ends with the process.
pub fn serve<F, Fut>(threads: usize, run: F) -> SocketAddr
where
    F: FnOnce(TcpListener) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = if threads == 1 {
            tokio::runtime::Builder::new_current_thread().enable_all().build()
        } else {
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
        };
        runtime.expect("a runtime").block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            tell.send(listener.local_addr().expect("an address")).expect("someone waits");
            run(listener).await;
        });
    });
    told.recv().expect("the server starts")
}

/// One side of a comparison over HTTP/1.1: a name, and the request that is sent repeatedly.
pub struct Side {
    pub name: &'static str,
    pub address: SocketAddr,
    pub request: Vec<u8>,
}

/// Compares two HTTP/1.1 servers and prints both rates and the ratio of the second to the first.
pub fn compare_http(what: &str, twin: &Side, ours: &Side, goal: f64) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rates = alternate(|side| {
        let side = if side == 0 { twin } else { ours };
        runtime.block_on(http_turn(side))
    });
    report(what, [twin.name, ours.name], rates, goal)
}

/// Alternates: `run(0)`, `run(1)` and so on each return a rate.
pub fn alternate<const SIDES: usize>(mut run: impl FnMut(usize) -> f64) -> [Vec<f64>; SIDES] {
    let mut rates = [const { Vec::new() }; SIDES];
    for side in 0..SIDES {
        run(side);
    }
    for round in 0..TURNS {
        for place in 0..SIDES {
            // Every side is equally often at every position of a round.
            let side = (place + round) % SIDES;
            rates[side].push(run(side));
        }
    }
    rates
}

/// Prints the medians and their ratio.
pub fn report(what: &str, names: [&str; 2], rates: [Vec<f64>; 2], goal: f64) -> f64 {
    let [twin, ours] = rates.map(median);
    println!("{what}");
    rate(names[0], twin);
    rate(names[1], ours);
    ratio("ratio", ours / twin, goal)
}

/// Prints a rate.
pub fn rate(name: &str, rate: f64) {
    println!("  {name:<44} {rate:>10.0} /s");
}

/// Prints a ratio beside its goal.
pub fn ratio(what: &str, ratio: f64, goal: f64) -> f64 {
    let missed = if ratio < goal { ", missed" } else { "" };
    println!("  {what} {ratio:.3} (goal {goal}{missed})");
    ratio
}

/// Calls a function repeatedly for some milliseconds. Returns the rate per second.
pub fn calls<T>(milliseconds: u64, mut call: impl FnMut() -> T) -> f64 {
    let (started, length) = (Instant::now(), Duration::from_millis(milliseconds));
    let mut done = 0_u32;
    while started.elapsed() < length {
        for _ in 0..64 {
            std::hint::black_box(call());
        }
        done += 64;
    }
    f64::from(done) / started.elapsed().as_secs_f64()
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs [`CLIENTS`] clients for one turn, on the calling thread; each returns its number of calls. Returns the rate.
pub async fn clients<F: Future<Output = u64>>(client: impl Fn(usize, CancellationToken) -> F) -> f64 {
    let stop = CancellationToken::new();
    let started = Instant::now();
    let ending = async {
        tokio::time::sleep(TURN).await;
        stop.cancel();
    };
    let (done, ()) = tokio::join!(join_all((0..CLIENTS).map(|number| client(number, stop.clone()))), ending);
    done.iter().sum::<u64>() as f64 / started.elapsed().as_secs_f64()
}

async fn http_turn(side: &Side) -> f64 {
    clients(|_, stop| async move {
        let mut stream = TcpStream::connect(side.address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        let mut done = 0;
        while !stop.is_cancelled() {
            let status = exchange(&mut stream, &side.request).await;
            assert!(status.is_some_and(|status| status < 300), "{status:?}");
            done += 1;
        }
        done
    })
    .await
}

/// Sends one request and reads its complete response; returns the status, or `None` if the server closed the
/// connection.
pub async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> Option<u16> {
    exchange_body(stream, request).await.map(|(status, _)| status)
}

/// As [`exchange`]; also returns the body.
pub async fn exchange_body(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &[u8],
) -> Option<(u16, Vec<u8>)> {
    stream.write_all(request).await.ok()?;
    stream.flush().await.ok()?;
    let mut buffer = Vec::with_capacity(4096);
    loop {
        if stream.read_buf(&mut buffer).await.ok()? == 0 {
            return None;
        }
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end]).ok()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length = content_length(head);
        while buffer.len() < end + 4 + length {
            stream.read_buf(&mut buffer).await.ok()?;
        }
        return Some((status, buffer.split_off(end + 4)));
    }
}

fn content_length(head: &str) -> usize {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}{length}\r\n{body}").into_bytes()
}
