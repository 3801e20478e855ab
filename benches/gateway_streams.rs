//! A publication to many gateways, beside a tonic service by hand that sends the same message to the same number of streams: the time
//! from the call until the last stream has it. On the way: the CPU time of an enrollment, the memory of an idle stream, and what a canary
//! of 10 % costs.
//!
//! `cargo bench --bench gateway_streams`, on Linux.

mod support;

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use support::{fan_out, program::Program};
use tenantry_gateway_sim::{Enrolled, Percentiles, Plan, Publisher, Route, Selected};
use tenantry_proto::edge::v1::{
    Ack, Material, StreamRequest, StreamResponse, Subscribe, gateway_stream_service_client::GatewayStreamServiceClient,
    stream_request, stream_response,
};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tonic::{Request, Streaming, transport::Channel};

const METHOD: &str = "/tenantry.edge.v1.GatewayStreamService/Stream";
/// Gateways that enroll.
const GATEWAYS: usize = 10_000;
/// Rounds of each side.
const ROUNDS: usize = 7;
/// Routes of a policy whose view has about a kibibyte.
const ROUTES: usize = 8;
/// How long everything of a round may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections, streams on each, and the goal for the last receiver.
const SHAPES: [(usize, usize, Duration); 2] =
    [(10_000, 1, Duration::from_millis(200)), (500, 100, Duration::from_millis(700))];
/// The allowed factor to the twin.
const GOAL: f64 = 1.6;
/// The allowed memory of an idle stream on a connection of its own, in KiB.
const MEMORY: f64 = 42.0;
/// The required enrollments a second of CPU time.
const ENROLLMENTS: f64 = 1500.0;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("twin") {
        return fan_out::serve();
    }
    if std::env::var_os("FILES_RAISED").is_none() {
        // Each stream has a connection, and the default is 1,024 files.
        let script = "ulimit -n $(ulimit -H -n); exec \"$0\" \"$@\"";
        let program = std::env::current_exe().expect("a program");
        let failed = Command::new("sh").args(["-c", script]).arg(program).env("FILES_RAISED", "1").exec();
        panic!("cannot start again: {failed}");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let home = tempfile::tempdir().expect("a directory");
    let program = Program::start(home.path());
    let twin = fan_out::Twin::start();
    runtime.block_on(measure(&program, &twin, home.path()));
}

/// Everything that the benchmark measures.
async fn measure(program: &Program, twin: &fan_out::Twin, home: &Path) {
    let token = std::fs::read_to_string(home.join(".tenantry/admin.jwt")).expect("a token").trim().to_owned();
    let ours = Route::new(&format!("http://{}", program.address), Vec::new()).expect("a route");
    let theirs = Route::new(&format!("http://{}", twin.address), Vec::new()).expect("a route");
    let channel = ours.channel(None).expect("a channel");
    let enrollment = support::gateways::token(channel.clone(), &token, GATEWAYS).await;
    let plan = Plan { streams_per_connection: 1, ..Plan::of(ours.clone()) };

    let (before, began) = (program.cpu(), Instant::now());
    let enrolled = Arc::new(plan.enroll(&enrollment, GATEWAYS).await.expect("enrollments"));
    let cpu = (program.cpu() - before).as_secs_f64();
    println!("enrollment of {GATEWAYS} gateways with a certificate, over gRPC");
    let each_second = GATEWAYS as f64 / cpu;
    let missed = if each_second < ENROLLMENTS { ", missed" } else { "" };
    println!("  {:.0}/s beside the client", GATEWAYS as f64 / began.elapsed().as_secs_f64());
    println!("  {each_second:.0} a second of CPU time (goal at least {ENROLLMENTS:.0}{missed})");

    let publisher = Publisher { channel, token, tenant: Some("bench".to_owned()) };
    publisher.publish(Selected::Stable, ROUTES).await.expect("a publication");
    for (connections, streams, goal) in SHAPES {
        let number = connections * streams;
        println!("publish to {number} gateways on {connections} connections, until the last one has it");
        let memory = program.own_memory();
        let receivers = Receivers::open(&ours, connections, streams, Some(&enrolled)).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let each = (program.own_memory() - memory) * 1024.0 / number as f64;
        let twins = Receivers::open(&theirs, connections, streams, None).await;
        let (mut our_times, mut our_p99s, mut their_times) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (p99, last) =
                receivers.all_have(async { publisher.publish(Selected::Stable, ROUTES).await.expect("it").1 }).await;
            our_times.push(last);
            our_p99s.push(p99);
            their_times.push(twins.all_have(twins.send()).await.1);
        }
        let (last, twin) = (median(our_times), median(their_times));
        println!("  tonic by hand, without validation, signature and commit: {:.1} ms", milliseconds(twin));
        println!("  Tenantry: {:.1} ms, p99 {:.1} ms", milliseconds(last), milliseconds(median(our_p99s)));
        let ratio = last.as_secs_f64() / twin.as_secs_f64();
        println!("  {ratio:.2} times (goal at most {GOAL}{})", missed_if(ratio > GOAL));
        println!("  {:.0} ms (goal at most {} ms{})", milliseconds(last), goal.as_millis(), missed_if(last > goal));
        if streams == 1 {
            println!("  {each:.1} KiB for an idle stream (goal at most {MEMORY}{})", missed_if(each > MEMORY));
            canary(program, &publisher, &receivers).await;
        }
    }
}

/// What a canary of 10 % costs, beside a publication for all.
async fn canary(program: &Program, publisher: &Publisher, receivers: &Receivers) {
    let (mut of_all, mut of_canary, mut sent) = (Vec::new(), Vec::new(), 0);
    for _ in 0..3 {
        let before = program.cpu();
        receivers.all_have(async { publisher.publish(Selected::Stable, ROUTES).await.expect("it").1 }).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        of_all.push(program.cpu() - before);
        let (before, received) = (program.cpu(), receivers.received());
        publisher.publish(Selected::Canary(10), ROUTES).await.expect("a canary");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        of_canary.push(program.cpu() - before);
        sent = receivers.received() - received;
    }
    let share = median(of_canary).as_secs_f64() / median(of_all).as_secs_f64();
    println!("a canary of 10 % of {GATEWAYS} gateways");
    println!("  {sent} messages; CPU time {share:.2} of that of a publication for all");
}

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

/// Open streams, whose messages are counted.
struct Receivers {
    streams: usize,
    received: Arc<AtomicUsize>,
    /// When the last message came, in nanoseconds since the start, for each stream.
    times: Arc<Vec<AtomicU64>>,
    started: Instant,
    /// Sends a request on the first stream.
    first: mpsc::Sender<StreamRequest>,
    _tasks: JoinSet<()>,
}

impl Receivers {
    /// Opens streams, and waits for the first policy of each. Only ours need the identities of gateways.
    async fn open(route: &Route, connections: usize, each: usize, identities: Option<&Arc<Vec<Enrolled>>>) -> Self {
        let (received, started) = (Arc::new(AtomicUsize::new(0)), Instant::now());
        let streams = connections * each;
        let times: Arc<Vec<AtomicU64>> = Arc::new((0..streams).map(|_| AtomicU64::new(0)).collect());
        let (mut tasks, mut first) = (JoinSet::new(), None);
        let channels: Vec<Channel> = (0..connections).map(|_| route.channel(None).expect("a channel")).collect();
        let opened = stream::iter(0..streams).map(|number| {
            let identity = identities.map(|identities| identities[number % identities.len()].clone());
            open(channels[number / each].clone(), route.url().to_owned(), identity)
        });
        let mut opened = opened.buffered(64);
        let mut number = 0;
        while let Some((reports, incoming)) = opened.try_next().await.expect("a stream") {
            first.get_or_insert_with(|| reports.clone());
            let (received, times) = (received.clone(), times.clone());
            tasks.spawn(receive(reports, incoming, received, times, number, started));
            number += 1;
        }
        let first = first.expect("a stream");
        let receivers = Self { streams, received, times, started, first, _tasks: tasks };
        if identities.is_some() {
            receivers.until(streams).await;
        }
        receivers.received.store(0, Ordering::Relaxed);
        receivers
    }

    /// Has the twin send a message.
    async fn send(&self) -> Instant {
        let began = Instant::now();
        let message = Some(stream_request::Message::Ack(Ack { material: Material::Unspecified.into(), number: 0 }));
        self.first.send(StreamRequest { message }).await.expect("a stream");
        began
    }

    /// The times from the begin of an action until 99 % and all of the streams have a message of it.
    async fn all_have(&self, action: impl Future<Output = Instant>) -> (Duration, Duration) {
        self.received.store(0, Ordering::Relaxed);
        let began = action.await;
        self.until(self.streams).await;
        let since = began.duration_since(self.started);
        let times =
            self.times.iter().map(|time| Duration::from_nanos(time.load(Ordering::Relaxed)).saturating_sub(since));
        let times = Percentiles::of(times);
        (times.at(99), times.at(100))
    }

    fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }

    async fn until(&self, number: usize) {
        let wait = async {
            while self.received() < number {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{} of {number} messages came", self.received()));
    }
}

async fn open(
    channel: Channel,
    url: String,
    identity: Option<Enrolled>,
) -> Result<(mpsc::Sender<StreamRequest>, Streaming<StreamResponse>), tonic::Status> {
    let (reports, outgoing) = mpsc::channel(2);
    let subscribe = Subscribe { materials: vec![Material::GatewayPolicy.into()], have: Vec::new() };
    let message = Some(stream_request::Message::Subscribe(subscribe));
    reports.send(StreamRequest { message }).await.expect("a stream");
    let outgoing =
        stream::unfold(
            outgoing,
            |mut outgoing| async move { outgoing.recv().await.map(|message| (message, outgoing)) },
        );
    let mut call = Request::new(outgoing);
    if let Some(identity) = identity {
        let proof = identity.key.dpop("POST", &format!("{url}{METHOD}"), &identity.device_token);
        let authorization = format!("DPoP {}", identity.device_token);
        call.metadata_mut().insert("authorization", authorization.parse().expect("a value"));
        call.metadata_mut().insert("dpop", proof.parse().expect("a value"));
    }
    let incoming = GatewayStreamServiceClient::new(channel).stream(call).await?.into_inner();
    Ok((reports, incoming))
}

/// Counts the policies of a stream, and acknowledges them.
async fn receive(
    reports: mpsc::Sender<StreamRequest>,
    mut incoming: Streaming<StreamResponse>,
    received: Arc<AtomicUsize>,
    times: Arc<Vec<AtomicU64>>,
    number: usize,
    started: Instant,
) {
    while let Ok(Some(response)) = incoming.message().await {
        let Some(stream_response::Message::Update(update)) = response.message else { continue };
        times[number].store(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        received.fetch_add(1, Ordering::Relaxed);
        let ack = Ack { material: update.material, number: update.number };
        let _ = reports.send(StreamRequest { message: Some(stream_request::Message::Ack(ack)) }).await;
    }
}
