//! Ten thousand leases that are held and renewed: the leases that a server holds for its own work, in memory, and those that programs
//! hold, in the database; beside a twin by hand, which has a heap of times and ids, and sends bare requests.
//!
//! A lease of an hour is renewed after two thirds of it, so ten thousand need four renewals per second. OpenBAO is replaced by a
//! process that grants everything. Each side is a process of its own, whose processor time and memory are measured: the memory is
//! what the leases add.
//!
//! `cargo bench --bench lease_keeper`, on Linux. With fewer leases, or for another time: `BENCH_LEASES=200 BENCH_TURN=5`, in seconds.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::Uri};
use serde_json::json;
use tenantry::{
    base::{Access, Clock, Cx, Secret, TenantId, TenantScope},
    jobs::{Jobs, StatusBoard},
    openbao::{Credential, LeaseKeeper, OpenBao, OpenBaoSettings, keeper},
    store::{Kek, Keyring, Sealer, Stamp, Store, StoreConfig, Tx, tables::DatabaseLeaseRow},
    tenants::{
        self, NewTenant,
        database::{Databases, leases::KeepDatabaseLeases},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// The tenants that the leases belong to.
const TENANTS: u64 = 100;
/// How long a lease is granted, in seconds.
const HOUR: u64 = 3600;
/// The shortest first time of a lease, in seconds: longer than the second between two steps of the keeper.
const SHORTEST: u64 = 5;
/// The allowed part of a core, in percent, and the allowed memory, in MiB.
const GOAL: (f64, f64) = (2.0, 20.0);

/// The sides, with their names as arguments of the process.
const SIDES: [(&str, &str); 3] = [
    ("twin", "a heap and bare requests, by hand"),
    ("own", "leases of the server, in memory"),
    ("programs", "leases of programs, on SQLite"),
];

/// How many leases are held: ten for each tenant at least.
fn leases() -> u64 {
    number("BENCH_LEASES", 10_000).max(10 * TENANTS).next_multiple_of(TENANTS)
}

/// How long each side is measured.
fn turn_length() -> Duration {
    Duration::from_secs(number("BENCH_TURN", 60))
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |number| number.parse().expect("a number"))
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["lessor"] => runtime.block_on(lessor()),
        [side, address] if SIDES.iter().any(|(name, _)| *name == side) => {
            runtime.block_on(measure(side, address.parse().expect("an address")));
        }
        _ => compare(),
    }
}

/// Measures each side in a process of its own.
fn compare() {
    let mut lessor = child(&["lessor"]);
    let address = line(&mut lessor);
    println!("{} leases of an hour, held and renewed for {} s", leases(), turn_length().as_secs());
    for (side, name) in SIDES {
        let mut measured = child(&[side, &address]);
        let result = line(&mut measured);
        measured.wait().expect("a side ends");
        let mut numbers = result.split(' ').map(|number| number.parse::<f64>().expect("a number"));
        let mut next = || numbers.next().expect("three numbers");
        let (percent, mib, renewals) = (next(), next(), next());
        println!("  {name:<36} {percent:>6.2} % of a core, {mib:>6.1} MiB, {renewals} renewals");
        if side != "twin" {
            let missed = if percent > GOAL.0 || mib > GOAL.1 { ", missed" } else { "" };
            println!("    (goal at most {} % and {} MiB{missed})", GOAL.0, GOAL.1);
        }
    }
    lessor.kill().expect("the lessor ends");
    lessor.wait().expect("the lessor has ended");
}

fn child(arguments: &[&str]) -> Child {
    let program = std::env::current_exe().expect("this program");
    Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().expect("a process")
}

fn line(child: &mut Child) -> String {
    let mut text = String::new();
    let output = child.stdout.as_mut().expect("an output");
    BufReader::new(output).read_line(&mut text).expect("a line");
    text.trim().to_owned()
}

/// Grants everything. The first time of a lease is such that the renewals of all are spread evenly.
async fn lessor() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    std::io::stdout().flush().expect("an output");
    let router = Router::new().fallback(grant).with_state(&*Box::leak(Box::new(AtomicU64::new(0))));
    axum::serve(listener, router).await.expect("it serves");
}

async fn grant(State(count): State<&'static AtomicU64>, uri: Uri) -> String {
    let path = uri.path();
    let response = if path.ends_with("lookup-self") {
        json!({"data": {"ttl": 0, "creation_ttl": 0, "renewable": false, "orphan": true, "policies": ["tenantry"]}})
    } else if path.contains("/creds/") {
        let number = count.fetch_add(1, Ordering::Relaxed) % leases();
        let id = format!("database/creds/role/{number:024}");
        let data = json!({"username": format!("v-token-acme-rol-{number:020}"), "password": "A1a-0123456789abcdefgh"});
        json!({"lease_id": id, "lease_duration": SHORTEST + HOUR * number / leases(), "renewable": true, "data": data})
    } else {
        json!({"lease_id": "", "lease_duration": HOUR, "renewable": true, "data": {}})
    };
    response.to_string()
}

/// Prints the percentage of a core, the memory in MiB, and the number of renewals of a side.
async fn measure(side: &str, lessor: SocketAddr) {
    let (percent, mib, renewals) = match side {
        "own" => own(lessor).await,
        "programs" => programs(lessor).await,
        _ => twin(lessor).await,
    };
    println!("{percent} {mib} {renewals}");
}

/// The processor time of this process.
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("the times of the process");
    let fields: Vec<_> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// The resident memory of this process, in MiB.
fn memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("the status of the process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the memory");
    line.split_whitespace().nth(1).expect("a number").parse::<f64>().expect("a number") / 1024.0
}

/// The percentage of a core that is used during a turn.
async fn turn() -> f64 {
    let (begun, before) = (Instant::now(), processor_time());
    sleep(turn_length()).await;
    (processor_time() - before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0
}

fn client(lessor: SocketAddr) -> OpenBao {
    let settings = OpenBaoSettings {
        address: format!("http://{lessor}").parse().expect("an address"),
        credential: Credential::Token(Secret::new("s.bench".to_owned())),
        namespace: None,
        authorities: None,
        timeout: Duration::from_secs(10),
    };
    OpenBao::new(settings).expect("a client")
}

async fn own(lessor: SocketAddr) -> (f64, f64, u64) {
    let keeper = LeaseKeeper::new(client(lessor), keeper::Bounds::default());
    keeper.credentials(&"first".parse().expect("a name")).await.expect("a lease");
    let before = memory();
    // Also while they are leased: the first ones are due soon.
    let kept = keeper.clone();
    let keeping = tokio::spawn(async move {
        loop {
            sleep(Duration::from_secs(1)).await;
            while kept.is_due() {
                RENEWALS.fetch_add(kept.step().await.items, Ordering::Relaxed);
            }
        }
    });
    for number in 1..leases() {
        let role = format!("tenant-{number}-role").parse().expect("a name");
        keeper.credentials(&role).await.expect("a lease");
    }
    let (held, first) = (memory() - before, RENEWALS.load(Ordering::Relaxed));
    let percent = turn().await;
    keeping.abort();
    assert_eq!(keeper.count() as u64, leases());
    (percent, held.max(memory() - before), RENEWALS.load(Ordering::Relaxed) - first)
}

/// How many leases the server's own keeper, or the twin, has renewed.
static RENEWALS: AtomicU64 = AtomicU64::new(0);

async fn programs(lessor: SocketAddr) -> (f64, f64, u64) {
    let home = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}", home.path().join("bench.db").display());
    let store = Store::open(StoreConfig::new(&url)).await.expect("a database");
    store.migrate(|_| ()).await.expect("a migrated database");
    let ring: Keyring = Kek::from_base64(&Kek::generate()).expect("a key").into();
    let mut databases = Databases::new(&store, Sealer::new(store.clone(), Some(ring)));
    databases.openbao = Some(client(lessor));
    let board = StatusBoard::default();
    let mut jobs = Jobs::new(&store, board.clone());
    jobs.start(KeepDatabaseLeases::new(&databases));
    sleep(Duration::from_secs(3)).await;
    let before = memory();
    for number in 0..TENANTS {
        fill(&databases, number).await;
    }
    sleep(Duration::from_secs(3)).await;
    let kept = || board.of("database-leases").map_or(0, |status| status.items);
    let first = kept();
    let percent = turn().await;
    let renewals = kept() - first;
    let held = memory() - before;
    jobs.end(Duration::from_secs(5)).await;
    (percent, held, renewals)
}

/// Adds a tenant with its part of the leases.
async fn fill(databases: &Databases, number: u64) {
    let (store, clock) = (&databases.store, Clock::system());
    let cx = Cx::system("bench.fill", clock.clone());
    let name = format!("tenant-{number}");
    let tenant = store.write(&cx, (name.clone(),), create).await.expect("a tenant");
    let scope = TenantScope::grant(&Access::Platform, tenant, &name).expect("a scope");
    let now = clock.now();
    let mut rows = Vec::new();
    for lease in 0..leases() / TENANTS {
        let place = lease * TENANTS + number;
        let due = time::Duration::milliseconds((HOUR * 1000 * 2 / 3 * place / leases()) as i64);
        let (id, ends_at) = (clock.new_id(), now + time::Duration::DAY);
        let bao = format!("database/creds/{name}-role/{place:024}");
        let purpose = format!("database_leases.sealed {}", id.as_hyphenated());
        rows.push(DatabaseLeaseRow {
            tenant_id: scope.into(),
            id,
            sealed: databases.sealer.seal(Some(tenant), &purpose, bao.as_bytes()).await.expect("a sealed id"),
            duration: HOUR as i64,
            ended: false,
            failures: 0,
            created_at: now.into(),
            ends_at: ends_at.into(),
            lapses_at: Stamp::from(now + due + time::Duration::seconds(HOUR as i64 / 3)),
            due_at: Stamp::from(now + due),
        });
    }
    store.write(&cx, (scope, rows), insert).await.expect("leases");
}

async fn create(tx: &Tx, (name,): &(String,)) -> tenantry::base::Result<TenantId> {
    let new = NewTenant::named(name.parse().map_err(tenantry::base::Error::internal)?);
    Ok(tenants::insert(tx, &new, None).await?.1.tenant())
}

async fn insert(tx: &Tx, (scope, rows): &(TenantScope, Vec<DatabaseLeaseRow>)) -> tenantry::base::Result<()> {
    for row in rows {
        tx.tenant(*scope).database_leases().insert(row.clone()).await?;
    }
    Ok(())
}

async fn twin(lessor: SocketAddr) -> (f64, f64, u64) {
    let before = memory();
    let begun = Instant::now();
    let mut heap = BinaryHeap::new();
    for number in 0..leases() {
        let due = begun + Duration::from_secs(HOUR * 2 / 3) * number as u32 / leases() as u32;
        heap.push(Reverse((due, format!("database/creds/tenant-{number}-role/{number:024}"))));
    }
    let held = memory() - before;
    let keeping = tokio::spawn(async move {
        loop {
            sleep(Duration::from_secs(1)).await;
            while heap.peek().is_some_and(|Reverse((due, _))| *due <= Instant::now()) {
                let Some(Reverse((_, lease))) = heap.pop() else { break };
                renew(lessor, &lease).await;
                RENEWALS.fetch_add(1, Ordering::Relaxed);
                heap.push(Reverse((Instant::now() + Duration::from_secs(HOUR * 2 / 3), lease)));
            }
        }
    });
    let percent = turn().await;
    keeping.abort();
    (percent, held.max(memory() - before), RENEWALS.load(Ordering::Relaxed))
}

async fn renew(lessor: SocketAddr, lease: &str) {
    let body = format!(r#"{{"lease_id":"{lease}","increment":{HOUR}}}"#);
    let request = format!(
        "PUT /v1/sys/leases/renew HTTP/1.1\r\nhost: {lessor}\r\nx-vault-token: s.bench\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(lessor).await.expect("the lessor listens");
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.expect("a response");
    assert!(response.starts_with(b"HTTP/1.1 200"));
}
