//! Gateways and what they ask for, beside services by hand that do the least of the same: enrollments, publications to many streams, a
//! stalled reader among them, canaries, admissions of devices, and ten thousand gateways that connect again.
//!
//! `cargo bench --bench gateway_streams [-- PART...]`, on Linux. With fewer gateways: `BENCH_GATEWAYS=1000`.

#[path = "../support/mod.rs"]
mod support;

mod admissions;
mod bare_admission;
mod canary;
mod enrollments;
mod gateways;
mod publications;
mod receivers;
mod reconnects;
mod stalled;
mod twin;

use std::{
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use support::program::{Program, free_address};
use tenantry_gateway_sim::{Enrolled, Publisher, Route, Selected};

/// The parts, in their order.
const PARTS: [&str; 6] = ["enrollments", "publications", "canary", "stalled", "admissions", "reconnects"];
/// Routes of a policy whose view has about a kibibyte.
const ROUTES: usize = 8;

/// What the parts have in common.
struct World {
    program: Program,
    /// The address of the listener for certificates.
    mutual: SocketAddr,
    twin: twin::Twin,
    /// What the twin and its clients have for TLS, and the database of the program.
    home: PathBuf,
    administrator: String,
    publisher: Publisher,
    /// Gateways, one for each stream of its own connection.
    enrolled: Arc<Vec<Enrolled>>,
}

impl World {
    /// The listener of the program without TLS.
    fn ours(&self) -> Route {
        Route::new(&format!("http://{}", self.program.address), Vec::new()).expect("a route")
    }

    async fn publish(&self) -> std::time::Instant {
        self.publisher.publish(Selected::Stable, ROUTES).await.expect("a publication").1
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("twin") => return twin::serve(Path::new(&arguments[1])),
        Some("receive") => return receivers::serve(&arguments[1..]),
        _ => {}
    }
    if std::env::var_os("FILES_RAISED").is_none() {
        // Each stream has a connection, and the default is 1,024 files.
        let script = "ulimit -n $(ulimit -H -n); exec \"$0\" \"$@\"";
        let program = std::env::current_exe().expect("a program");
        let again =
            Command::new("sh").args(["-c", script]).arg(program).args(&arguments).env("FILES_RAISED", "1").exec();
        panic!("cannot start again: {again}");
    }
    let wanted: Vec<_> = arguments.iter().filter(|argument| PARTS.contains(&argument.as_str())).collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|wanted| *wanted == part);
    runtime().block_on(measure(is_wanted));
}

/// A runtime as that of the program.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

async fn measure(is_wanted: impl Fn(&str) -> bool) {
    let home = tempfile::tempdir().expect("a directory");
    let mutual = free_address();
    let listen = mutual.to_string();
    let start = || Program::start_with(home.path(), &[("TENANTRY_MTLS_LISTEN", listen.as_str())]);
    // It waits for its readiness with a runtime of its own.
    let program = std::thread::scope(|scope| scope.spawn(start).join().expect("a program"));
    let administrator = std::fs::read_to_string(home.path().join(".tenantry/admin.jwt")).expect("a token");
    let administrator = administrator.trim().to_owned();
    let ours = Route::new(&format!("http://{}", program.address), Vec::new()).expect("a route");
    let channel = ours.channel(None).expect("a channel");
    let publisher =
        Publisher { channel: channel.clone(), token: administrator.clone(), tenant: Some(gateways::TENANT.to_owned()) };
    let number = std::env::var("BENCH_GATEWAYS").map_or(10_000, |number| number.parse().expect("a number"));
    let token = gateways::token(channel, &administrator, number).await;
    let enrolled = Arc::new(enrollments::run(&program, &ours, &token, number, is_wanted("enrollments")).await);
    let twin = twin::Twin::start(home.path(), &enrolled[0]);
    let world = World { program, mutual, twin, home: home.path().to_owned(), administrator, publisher, enrolled };
    world.publish().await;
    if is_wanted("publications") {
        publications::run(&world).await;
    }
    if is_wanted("canary") {
        canary::run(&world).await;
    }
    if is_wanted("stalled") {
        stalled::run(&world).await;
    }
    if is_wanted("admissions") {
        admissions::run(&world).await;
    }
    if is_wanted("reconnects") {
        reconnects::run(&world).await;
    }
}

/// What follows a goal that was missed.
fn missed_if(missed: bool) -> &'static str {
    if missed { ", missed" } else { "" }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
