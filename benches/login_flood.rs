//! What a flood of logins costs everybody else: the time that 99 of 100 reads of a tenant stay within, while nobody logs
//! in and while hundreds of clients try wrong passwords, in turns of one run.

mod support;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures::future::join_all;
use support::program::Program;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Clients that read, each after a pause, as people do.
const READERS: usize = 8;
/// The pause between two reads of a client.
const PAUSE: Duration = Duration::from_millis(4);
/// Clients that try passwords, each as fast as it is answered.
const ATTACKERS: usize = 256;
/// Length of a turn, and turns of each side.
const TURN: Duration = Duration::from_secs(3);
const TURNS: usize = 7;
/// How many times as long a read may take during a flood.
const GOAL: f64 = 2.0;

fn main() {
    let home = tempfile::tempdir().expect("a directory");
    let program = Program::start(home.path());
    let token = std::fs::read_to_string(home.path().join(".tenantry/admin.jwt")).expect("a token");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let headers = format!("authorization: Bearer {}\r\ncontent-type: application/json\r\n", token.trim());
    let create = support::request("PUT", "/admin/v2/tenants/acme", &headers, r#"{"allowedClusters":["standalone"]}"#);
    let read = support::request("GET", "/admin/v2/tenants/acme", &headers, "");
    runtime.block_on(async {
        let mut stream = TcpStream::connect(program.address).await.expect("it listens");
        assert_eq!(support::exchange(&mut stream, &create).await, Some(204));
    });

    let mut p99s = [Vec::new(), Vec::new()];
    let mut tries = 0;
    for turn in 0..TURNS * 2 {
        let flooded = turn % 2;
        let attackers = if flooded == 1 { ATTACKERS } else { 0 };
        let (p99, tried) = runtime.block_on(turn_of(program.address, &read, attackers));
        p99s[flooded].push(p99);
        tries += tried;
    }
    let [quiet, flood] = p99s.map(|mut p99s| {
        p99s.sort();
        p99s[TURNS / 2].as_secs_f64() * 1000.0
    });
    println!("p99 of point reads, {READERS} readers, median of {TURNS} turns each");
    println!("  nobody logs in                   {quiet:>8.2} ms");
    println!("  {ATTACKERS} clients try passwords        {flood:>8.2} ms ({tries} tries answered)");
    println!("  ratio {:.2} (goal at most {GOAL})", flood / quiet);
}

/// One turn: the p99 of the reads, and how many logins were answered.
async fn turn_of(address: SocketAddr, read: &[u8], attackers: usize) -> (Duration, u64) {
    let stop = CancellationToken::new();
    let ending = async {
        tokio::time::sleep(TURN).await;
        stop.cancel();
    };
    let readers = join_all((0..READERS).map(|_| reader(address, read, stop.clone())));
    let attacks = join_all((0..attackers).map(|number| attacker(address, number, stop.clone())));
    let (times, tried, ()) = tokio::join!(readers, attacks, ending);
    let mut times: Vec<_> = times.into_iter().flatten().collect();
    times.sort();
    (times[times.len() * 99 / 100], tried.iter().sum())
}

async fn reader(address: SocketAddr, read: &[u8], stop: CancellationToken) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("a socket");
    let mut times = Vec::new();
    while !stop.is_cancelled() {
        let started = Instant::now();
        assert_eq!(support::exchange(&mut stream, read).await, Some(200));
        times.push(started.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    times
}

/// Tries one password after the other on an account of its own, so that the delays of others do not protect the server.
async fn attacker(address: SocketAddr, number: usize, stop: CancellationToken) -> u64 {
    let body = format!(r#"{{"username":"user-{number}","password":"not the password"}}"#);
    let login = support::request("POST", "/api/auth/login", "content-type: application/json\r\n", &body);
    let mut answered = 0;
    while !stop.is_cancelled() {
        let Ok(mut stream) = TcpStream::connect(address).await else { continue };
        tokio::select! {
            status = support::exchange(&mut stream, &login) => {
                assert!(status.is_none_or(|status| matches!(status, 401 | 429 | 503)), "{status:?}");
                answered += 1;
            }
            () = stop.cancelled() => {}
        }
    }
    answered
}
