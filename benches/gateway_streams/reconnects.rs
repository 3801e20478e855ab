//! All gateways connect again at once, with their certificates and what they have: the time until each has everything that is newer, and
//! the p99 of reads meanwhile.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures::future::join_all;
use tenantry_gateway_sim::{Percentiles, Route};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{
    World, gateways, median, milliseconds, missed_if,
    receivers::{Plan, Receivers, Remote, Wanted, Who},
    support, twin,
};

const ROUNDS: usize = 3;
/// The allowed time until all gateways are current, and the p99 of reads.
const CURRENT: Duration = Duration::from_secs(10);
const P99: Duration = Duration::from_millis(50);
/// Clients that read, each after a pause.
const READERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(4);
/// Until the connections of a round are closed on both sides.
const SETTLED: Duration = Duration::from_secs(3);

/// Reads in a thread of their own, until they are asked for their times.
struct Reads {
    stop: CancellationToken,
    thread: std::thread::JoinHandle<Vec<Duration>>,
}

impl Reads {
    fn begin(address: SocketAddr, request: Vec<u8>) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let readers = join_all((0..READERS).map(|_| read(address, &request, stopped.clone())));
            runtime.block_on(readers).into_iter().flatten().collect()
        });
        Self { stop, thread }
    }

    fn end(self) -> Vec<Duration> {
        self.stop.cancel();
        self.thread.join().expect("a thread that ends")
    }
}

async fn read(address: SocketAddr, request: &[u8], stop: CancellationToken) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let mut times = Vec::new();
    while !stop.is_cancelled() {
        let started = Instant::now();
        assert_eq!(support::exchange(&mut stream, request).await, Some(200));
        times.push(started.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    times
}

/// What one side has done in all rounds.
#[derive(Default)]
struct Measured {
    current: Vec<Duration>,
    reads: Vec<Duration>,
    failures: usize,
}

pub async fn run(world: &World) {
    let number = world.enrolled.len();
    let headers = format!("authorization: Bearer {}\r\n", world.administrator);
    let path = format!("/admin/v2/tenants/{}", gateways::TENANT);
    let our_read = support::request("GET", &path, &headers, "");
    let their_read = support::request("GET", twin::READ, "", "");
    let quiet = Reads::begin(world.program.address, our_read.clone());
    tokio::time::sleep(SETTLED).await;
    let quiet = quiet.end();
    let route =
        Route::new(&format!("https://{}", world.mutual), world.enrolled[0].server_authorities()).expect("a route");
    let who = Who::Certificates(world.enrolled.clone());
    let wanted = Wanted::everything(number);
    let plan = Plan { route, connections: number, each: 1, who, wanted, at_once: number };
    // The first time each gets a configuration of its own, which is signed then.
    let (first, took) = Receivers::open(plan.clone()).await;
    println!("{number} gateways connect for the first time: {:.1} s", took.as_secs_f64());
    drop(first);
    world.publish().await;
    tokio::time::sleep(SETTLED).await;
    let (mut ours, mut theirs) = (Measured::default(), Measured::default());
    for round in 0..ROUNDS {
        for side in [round % 2, (round + 1) % 2] {
            if side == 0 {
                let reads = Reads::begin(world.program.address, our_read.clone());
                let (receivers, took) = Receivers::open(plan.clone()).await;
                ours.reads.extend(reads.end());
                ours.current.push(took);
                ours.failures += receivers.failures();
                drop(receivers);
                // What they have missed when they connect again.
                world.publish().await;
            } else {
                let reads = Reads::begin(world.twin.address, their_read.clone());
                let url = format!("https://{}", world.twin.mutual);
                let open = || Remote::open(&url, number, 1, number, Some(&world.home));
                let (remote, took) = tokio::task::block_in_place(open);
                theirs.reads.extend(reads.end());
                theirs.current.push(took);
                drop(remote);
            }
            tokio::time::sleep(SETTLED).await;
        }
    }
    print(number, &quiet, ours, theirs);
}

fn print(number: usize, quiet: &[Duration], ours: Measured, theirs: Measured) {
    println!("{number} gateways connect again at once over mutual TLS, and get the newest policy");
    let p99 = |times: &[Duration]| Percentiles::of(times.iter().copied()).at(99);
    let theirs_p99 = milliseconds(p99(&theirs.reads));
    let twin = median(theirs.current);
    println!("  tonic and rustls by hand: {:.1} s, p99 of reads {theirs_p99:.1} ms", twin.as_secs_f64());
    let current = median(ours.current);
    println!("  {} connections failed and were repeated", ours.failures);
    println!("  {:.2} times the twin", current.as_secs_f64() / twin.as_secs_f64());
    let seconds = current.as_secs_f64();
    println!("  {seconds:.1} s (goal at most {} s{})", CURRENT.as_secs(), missed_if(current > CURRENT));
    println!("p99 of {} reads meanwhile; without them it is {:.1} ms", ours.reads.len(), milliseconds(p99(quiet)));
    let p99 = p99(&ours.reads);
    println!("  {:.1} ms (goal at most {} ms{})", milliseconds(p99), P99.as_millis(), missed_if(p99 > P99));
}
