//! The effect of many failing logins from one address on others: the 99th percentile of reads and logins from another
//! address without a flood, with a flood over 2,000 connections, and with one over five HTTP/2 connections of 200
//! streams each, in alternating turns.
//!
//! `cargo bench --bench login_flood`, on Linux, where all of 127.0.0.0/8 is this machine.

mod support;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use support::program::Program;
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

/// The address of the flood.
const FLOOD: [u8; 4] = [127, 0, 0, 2];
/// The address of the others.
const OTHERS: [u8; 4] = [127, 0, 0, 3];
/// Clients that read, each after a pause, as people do.
const READERS: usize = 8;
/// The pause between two reads of a client.
const PAUSE: Duration = Duration::from_millis(4);
/// The pause between two logins of the one client that logs in.
const LOGIN_PAUSE: Duration = Duration::from_millis(60);
/// HTTP/1.1 connections of the flood, each of which sends as fast as it gets responses.
const CONNECTIONS: usize = 2000;
/// HTTP/2 connections of the flood, and the streams of each.
const H2: (usize, usize) = (5, 200);
/// Length of a turn, and turns of each side.
const TURN: Duration = Duration::from_secs(6);
const TURNS: usize = 5;
/// How long a flood runs before the measurement: on one machine, opening 2,000 connections costs the client more than
/// the server.
const STANDING: Duration = Duration::from_millis(1500);
/// The allowed factor for the duration of a call during a flood.
const GOAL: f64 = 2.0;

/// The kind of flood.
#[derive(Clone, Copy)]
enum Side {
    Nobody,
    Http1,
    Http2,
}

const SIDES: [(Side, &str); 3] = [
    (Side::Nobody, "nobody floods"),
    (Side::Http1, "2,000 connections try passwords"),
    (Side::Http2, "5 HTTP/2 connections of 200 streams do"),
];

/// The requests that are measured.
struct Calls {
    address: SocketAddr,
    read: Vec<u8>,
    login: Vec<u8>,
}

fn main() {
    let home = tempfile::tempdir().expect("a directory");
    let program = Program::start(home.path());
    let token = std::fs::read_to_string(home.path().join(".tenantry/admin.jwt")).expect("a token");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let headers = format!("authorization: Bearer {}\r\ncontent-type: application/json\r\n", token.trim());
    let create = support::request("PUT", "/admin/v2/tenants/acme", &headers, r#"{"allowedClusters":["standalone"]}"#);
    let calls = Calls {
        address: program.address,
        read: support::request("GET", "/admin/v2/tenants/acme", &headers, ""),
        login: login("admin", "admin"),
    };
    runtime.block_on(async {
        let mut stream = TcpStream::connect(program.address).await.expect("it listens");
        assert_eq!(support::exchange(&mut stream, &create).await, Some(204));
        while support::exchange(&mut stream, &calls.login).await != Some(200) {
            tokio::time::sleep(LOGIN_PAUSE).await;
        }
    });

    let mut times = SIDES.map(|_| (Vec::new(), Vec::new()));
    let mut tries = [0; SIDES.len()];
    for turn in 0..TURNS * SIDES.len() {
        let side = turn % SIDES.len();
        let flood = Flood::begin(program.address, SIDES[side].0);
        std::thread::sleep(STANDING);
        let (reads, logins) = runtime.block_on(turn_of(&calls));
        tries[side] += flood.end();
        times[side].0.extend(reads);
        times[side].1.extend(logins);
    }
    println!("p99 of {READERS} readers and of one who logs in, over {TURNS} turns");
    let p99s = times.map(|(reads, logins)| (p99(reads), p99(logins)));
    for (side, (reads, logins)) in p99s.iter().enumerate() {
        let (name, answered) = (SIDES[side].1, tries[side]);
        println!("  {name:<40} reads {reads:>8.2} ms, logins {logins:>8.2} ms ({answered} tries answered)");
    }
    for (side, (reads, logins)) in p99s.iter().enumerate().skip(1) {
        println!("p99 while {}, to that without a flood", SIDES[side].1);
        for (what, factor) in [("reads", reads / p99s[0].0), ("logins", logins / p99s[0].1)] {
            let missed = if factor > GOAL { ", missed" } else { "" };
            println!("  {what} {factor:.2} (goal at most {GOAL}{missed})");
        }
    }
}

fn login(user: &str, password: &str) -> Vec<u8> {
    let body = format!(r#"{{"username":"{user}","password":"{password}"}}"#);
    support::request("POST", "/api/auth/login", "content-type: application/json\r\n", &body)
}

async fn connect(from: [u8; 4], to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((IpAddr::from(from), 0).into())?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One turn: the durations of reads and logins.
async fn turn_of(calls: &Calls) -> (Vec<Duration>, Vec<Duration>) {
    let stop = CancellationToken::new();
    let ending = async {
        tokio::time::sleep(TURN).await;
        stop.cancel();
    };
    let readers = join_all((0..READERS).map(|_| measured(calls.address, &calls.read, PAUSE, stop.clone())));
    let logins = measured(calls.address, &calls.login, LOGIN_PAUSE, stop.clone());
    let (reads, logins, ()) = tokio::join!(readers, logins, ending);
    (reads.into_iter().flatten().collect(), logins)
}

/// In milliseconds.
fn p99(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() * 99 / 100].as_secs_f64() * 1000.0
}

/// Calls repeatedly over one connection; each call must succeed.
async fn measured(address: SocketAddr, call: &[u8], pause: Duration, stop: CancellationToken) -> Vec<Duration> {
    let mut stream = connect(OTHERS, address).await.expect("the server listens");
    let mut times = Vec::new();
    while !stop.is_cancelled() {
        let started = Instant::now();
        assert_eq!(support::exchange(&mut stream, call).await, Some(200));
        times.push(started.elapsed());
        tokio::time::sleep(pause).await;
    }
    times
}

/// A flood, in its own thread.
struct Flood {
    stop: CancellationToken,
    answered: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Flood {
    fn begin(address: SocketAddr, side: Side) -> Self {
        let (stop, answered) = (CancellationToken::new(), Arc::<AtomicU64>::default());
        let (stopped, counted) = (stop.clone(), answered.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let flood = async {
                match side {
                    Side::Nobody => {}
                    Side::Http1 => {
                        join_all((0..CONNECTIONS).map(|number| over_http1(address, number, &counted))).await;
                    }
                    Side::Http2 => {
                        join_all((0..H2.0).map(|number| over_http2(address, number, &counted))).await;
                    }
                }
            };
            runtime.block_on(async {
                tokio::select! {
                    () = flood => {}
                    () = stopped.cancelled() => {}
                }
            });
        });
        Self { stop, answered, thread }
    }

    /// How many attempts got a response.
    fn end(self) -> u64 {
        self.stop.cancel();
        self.thread.join().expect("a thread that ends");
        self.answered.load(Ordering::Relaxed)
    }
}

/// Tries one name after the other, so that the delays of an account do not protect the server.
async fn over_http1(address: SocketAddr, number: usize, answered: &AtomicU64) {
    loop {
        let Ok(mut stream) = connect(FLOOD, address).await else { continue };
        for attempt in 0.. {
            let call = login(&format!("user-{number}-{attempt}"), "not the password");
            let Some(status) = support::exchange(&mut stream, &call).await else { break };
            assert!(matches!(status, 401 | 429 | 503), "{status}");
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn over_http2(address: SocketAddr, connection: usize, answered: &AtomicU64) {
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().local_address(IpAddr::from(FLOOD));
    let client = client.build().expect("a client");
    let streams = (0..H2.1).map(|stream| {
        let client = client.clone();
        async move {
            for attempt in 0.. {
                let body =
                    format!(r#"{{"username":"user-{connection}-{stream}-{attempt}","password":"not the password"}}"#);
                let call = client.post(format!("http://{address}/api/auth/login"));
                let call = call.header("content-type", "application/json").body(body);
                if let Ok(answer) = call.send().await {
                    assert!(matches!(answer.status().as_u16(), 401 | 429 | 503), "{}", answer.status());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    join_all(streams).await;
}
