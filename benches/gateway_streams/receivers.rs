//! Clients that hold streams, and note when a message has reached each of them: those of the program in this process, and those of the
//! twin in another one, because files are limited for each process.

use std::{
    collections::HashSet,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::stream;
use tenantry_gateway_sim::{Enrolled, Identity, Percentiles, Route};
use tenantry_proto::edge::v1::{
    Ack, Held, Material, StreamRequest, StreamResponse, Subscribe, Update,
    gateway_stream_service_client::GatewayStreamServiceClient, stream_request, stream_response,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};
use tonic::{Request, Streaming, transport::Channel};

use super::twin;

pub const METHOD: &str = "/tenantry.edge.v1.GatewayStreamService/Stream";
/// How many streams are opened at the same time, unless all are.
pub const FEW: usize = 64;
/// How long everything of a round may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// The delay after a connection that failed.
const RETRY: Duration = Duration::from_millis(100);

/// The credentials of streams.
#[derive(Clone)]
pub enum Who {
    /// None, for the twin.
    Anyone,
    /// A certificate that all share, for the twin.
    One(Identity),
    /// The device tokens of gateways.
    Tokens(Arc<Vec<Enrolled>>),
    /// The certificates of gateways.
    Certificates(Arc<Vec<Enrolled>>),
}

/// What streams want, and when they have it.
#[derive(Clone)]
pub enum Wanted {
    /// The policies alone: with each of them.
    Policies,
    /// All materials but those that the streams before had: with the message that says that there is nothing newer. By stream.
    Everything(Arc<Vec<Mutex<Vec<Held>>>>),
}

impl Wanted {
    /// All materials, for this number of streams, which have none.
    pub fn everything(streams: usize) -> Self {
        Self::Everything(Arc::new((0..streams).map(|_| Mutex::default()).collect()))
    }

    /// The first message of a stream.
    fn subscribe(&self, number: usize) -> StreamRequest {
        match self {
            Self::Policies => subscribe(vec![Material::GatewayPolicy.into()], Vec::new()),
            Self::Everything(held) => subscribe(Vec::new(), lock(&held[number]).clone()),
        }
    }
}

/// Which streams to open.
#[derive(Clone)]
pub struct Plan {
    pub route: Route,
    pub connections: usize,
    /// The number of streams on each connection.
    pub each: usize,
    pub who: Who,
    pub wanted: Wanted,
    /// The number of streams that are opened at the same time.
    pub at_once: usize,
}

/// Open streams. They end when it is dropped.
pub struct Receivers {
    streams: usize,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// What the streams have received.
struct Shared {
    plan: Plan,
    channels: Vec<Channel>,
    opening: Semaphore,
    started: Instant,
    received: AtomicUsize,
    bytes: AtomicUsize,
    failures: AtomicUsize,
    /// When the last message came, in nanoseconds since the start, for each stream.
    times: Vec<AtomicU64>,
    /// The digests that came.
    digests: Mutex<HashSet<String>>,
    /// Sends requests on the first stream.
    first: Mutex<Option<mpsc::Sender<StreamRequest>>>,
}

impl Receivers {
    /// Begins to open streams.
    pub fn start(plan: Plan) -> Self {
        let streams = plan.connections * plan.each;
        let channel = |number: usize| {
            let identity = match &plan.who {
                Who::Anyone | Who::Tokens(_) => None,
                Who::One(identity) => Some(identity),
                Who::Certificates(enrolled) => Some(&enrolled[number % enrolled.len()].identity),
            };
            plan.route.channel(identity).expect("a channel")
        };
        let shared = Arc::new(Shared {
            channels: (0..plan.connections).map(channel).collect(),
            opening: Semaphore::new(plan.at_once),
            started: Instant::now(),
            received: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
            times: (0..streams).map(|_| AtomicU64::new(0)).collect(),
            digests: Mutex::default(),
            first: Mutex::default(),
            plan,
        });
        let mut tasks = JoinSet::new();
        for number in 0..streams {
            tasks.spawn(hold(shared.clone(), number));
        }
        Self { streams, shared, _tasks: tasks }
    }

    /// Opens streams, and waits until each has what it wants. Returns how long that took.
    pub async fn open(plan: Plan) -> (Self, Duration) {
        let receivers = Self::start(plan);
        receivers.until_all().await;
        let took = receivers.times(receivers.shared.started).1;
        receivers.forget();
        (receivers, took)
    }

    /// Has the twin send a message.
    async fn send(&self) -> Instant {
        let began = Instant::now();
        let message = Some(stream_request::Message::Ack(Ack { material: Material::Unspecified.into(), number: 0 }));
        let first = lock(&self.shared.first).clone().expect("a stream");
        first.send(StreamRequest { message }).await.expect("a stream");
        began
    }

    /// The times from the begin of an action until 99 % and all of the streams have a message of it.
    pub async fn all_have(&self, action: impl Future<Output = Instant>) -> (Duration, Duration) {
        self.forget();
        let began = action.await;
        self.until_all().await;
        self.times(began)
    }

    /// The number of messages since [`forget`](Self::forget), their bytes, and their different contents.
    pub fn received(&self) -> (usize, usize, usize) {
        let shared = &self.shared;
        let (received, bytes) = (shared.received.load(Ordering::Relaxed), shared.bytes.load(Ordering::Relaxed));
        (received, bytes, lock(&shared.digests).len())
    }

    /// How many attempts to open a stream failed.
    pub fn failures(&self) -> usize {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// Counts messages from now on.
    pub fn forget(&self) {
        self.shared.received.store(0, Ordering::Relaxed);
        self.shared.bytes.store(0, Ordering::Relaxed);
        lock(&self.shared.digests).clear();
    }

    /// Waits until each stream has what it wants, if none has it twice.
    pub async fn until_all(&self) {
        let wait = async {
            while self.received().0 < self.streams {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let (received, failures) = (|| self.received().0, || self.failures());
        timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("{} of {} messages came, {} failures", received(), self.streams, failures()));
    }

    /// The times from an instant until 99 % and all of the streams had their last messages.
    fn times(&self, since: Instant) -> (Duration, Duration) {
        let since = since.duration_since(self.shared.started);
        let times = self.shared.times.iter().map(|time| Duration::from_nanos(time.load(Ordering::Relaxed)));
        let times = Percentiles::of(times.map(|time| time.saturating_sub(since)));
        (times.at(99), times.at(100))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a stream, again after each failure, and receives its messages.
async fn hold(shared: Arc<Shared>, number: usize) {
    let (reports, incoming) = loop {
        let turn = shared.opening.acquire().await.expect("it is not closed");
        match open(&shared, number).await {
            Ok(opened) => break opened,
            Err(status) => {
                if shared.failures.fetch_add(1, Ordering::Relaxed) == 0 {
                    eprintln!("a stream could not be opened: {status}");
                }
            }
        }
        drop(turn);
        tokio::time::sleep(RETRY).await;
    };
    if number == 0 {
        *lock(&shared.first) = Some(reports.clone());
    }
    receive(&shared, number, reports, incoming).await;
}

async fn open(
    shared: &Shared,
    number: usize,
) -> Result<(mpsc::Sender<StreamRequest>, Streaming<StreamResponse>), tonic::Status> {
    let (reports, outgoing) = mpsc::channel(2);
    reports.send(shared.plan.wanted.subscribe(number)).await.expect("a stream");
    let outgoing =
        stream::unfold(
            outgoing,
            |mut outgoing| async move { outgoing.recv().await.map(|message| (message, outgoing)) },
        );
    let mut call = Request::new(outgoing);
    if let Who::Tokens(enrolled) = &shared.plan.who {
        let enrolled = &enrolled[number % enrolled.len()];
        let (authorization, proof) = credentials(enrolled, shared.plan.route.url());
        call.metadata_mut().insert("authorization", authorization.parse().expect("a value"));
        call.metadata_mut().insert("dpop", proof.parse().expect("a value"));
    }
    let channel = shared.channels[number / shared.plan.each].clone();
    let incoming = GatewayStreamServiceClient::new(channel).stream(call).await?.into_inner();
    Ok((reports, incoming))
}

/// The first message of a stream that wants these materials, or all, and has some.
pub fn subscribe(materials: Vec<i32>, have: Vec<Held>) -> StreamRequest {
    StreamRequest { message: Some(stream_request::Message::Subscribe(Subscribe { materials, have })) }
}

/// The credentials of a call without TLS: the values of `authorization` and `dpop`.
pub fn credentials(enrolled: &Enrolled, url: &str) -> (String, String) {
    let proof = enrolled.key.dpop("POST", &format!("{url}{METHOD}"), &enrolled.device_token);
    (format!("DPoP {}", enrolled.device_token), proof)
}

/// Counts what a stream waits for, and acknowledges all updates.
async fn receive(
    shared: &Shared,
    number: usize,
    reports: mpsc::Sender<StreamRequest>,
    mut incoming: Streaming<StreamResponse>,
) {
    while let Ok(Some(response)) = incoming.message().await {
        match (response.message, &shared.plan.wanted) {
            (Some(stream_response::Message::Update(update)), wanted) => {
                let ack = Ack { material: update.material, number: update.number };
                shared.updated(number, update, wanted);
                let _ = reports.send(StreamRequest { message: Some(stream_request::Message::Ack(ack)) }).await;
            }
            // The first one: later ones say that it is still so.
            (Some(stream_response::Message::Bookmark(_)), Wanted::Everything(_))
                if shared.times[number].load(Ordering::Relaxed) == 0 =>
            {
                shared.count(number);
            }
            _ => {}
        }
    }
}

impl Shared {
    /// A stream has what it waits for.
    fn count(&self, number: usize) {
        self.times[number].store(self.started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.received.fetch_add(1, Ordering::Release);
    }

    fn updated(&self, number: usize, update: Update, wanted: &Wanted) {
        self.bytes.fetch_add(update.envelope.len(), Ordering::Relaxed);
        match wanted {
            Wanted::Policies => {
                {
                    let mut digests = lock(&self.digests);
                    if !digests.contains(&update.digest) {
                        digests.insert(update.digest);
                    }
                }
                self.count(number);
            }
            Wanted::Everything(held) => {
                let mut held = lock(&held[number]);
                held.retain(|held| held.material != update.material);
                held.push(Held { material: update.material, number: update.number, digest: update.digest });
            }
        }
    }
}

/// The streams of the twin, in a process of their own; stopped on drop.
pub struct Remote {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Remote {
    /// Starts this program again, as [`serve`], and waits until the streams are open. Returns how long that took. `home` has the
    /// certificates, for TLS.
    pub fn open(url: &str, connections: usize, each: usize, at_once: usize, home: Option<&Path>) -> (Self, Duration) {
        let program = std::env::current_exe().expect("a program");
        let mut command = Command::new(program);
        command.arg("receive").arg(url).args([connections, each, at_once].map(|number| number.to_string()));
        let mut child =
            command.args(home).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the clients start");
        let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let mut remote = Self { child, input, output: BufReader::new(output) };
        let (_, took) = remote.times();
        (remote, took)
    }

    /// Has the twin send a message, and returns the times until 99 % and all of the streams have it.
    pub fn all_have(&mut self) -> (Duration, Duration) {
        tokio::task::block_in_place(|| {
            self.input.write_all(b"\n").and_then(|()| self.input.flush()).expect("a pipe");
            self.times()
        })
    }

    fn times(&mut self) -> (Duration, Duration) {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the clients run");
        let mut times = line.split_whitespace().map(|time| Duration::from_nanos(time.parse().expect("a time")));
        (times.next().expect("a time"), times.next().expect("a time"))
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Holds streams of the twin: its URL, the number of connections and of streams on each, and how many are opened at once; then the
/// directory with the certificates, for TLS. Prints how long each line of its input takes to reach 99 % and all streams.
pub fn serve(arguments: &[String]) {
    let numbers: Vec<usize> = arguments[1..4].iter().map(|number| number.parse().expect("a number")).collect();
    let (authorities, who) = match arguments.get(4) {
        None => (Vec::new(), Who::Anyone),
        Some(home) => {
            let (authority, identity) = twin::client(Path::new(home));
            (vec![authority], Who::One(identity))
        }
    };
    let route = Route::new(&arguments[0], authorities).expect("a route");
    let plan =
        Plan { route, connections: numbers[0], each: numbers[1], who, wanted: Wanted::Policies, at_once: numbers[2] };
    super::runtime().block_on(async {
        let (receivers, took) = Receivers::open(plan).await;
        println!("{} {}", took.as_nanos(), took.as_nanos());
        let mut lines = std::io::stdin().lines();
        while tokio::task::block_in_place(|| lines.next()).is_some() {
            let (p99, last) = receivers.all_have(receivers.send()).await;
            println!("{} {}", p99.as_nanos(), last.as_nanos());
        }
    });
}
