//! PostgreSQL, on a server of its own with durable commits.
//!
//! Point reads of the running program, authenticated and guarded, over REST, against hand-written handlers that only do the same
//! read: once with SeaORM over sqlx, and once with tokio-postgres, which sends reads of several calls together. Then creates of
//! tenants over REST with 64 clients, against pgbench with the same four inserts in one transaction, with as many connections
//! as the program has, and with 64.

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Path as Segment, State},
    http::StatusCode,
    routing::get,
};
use futures::future::join_all;
use sea_orm::{
    DatabaseConnection,
    sqlx::postgres::{PgConnectOptions, PgPoolOptions},
};
use support::{
    by_hand::{TenantInfo, info, read_orm},
    postgres::Postgres,
    program::Program,
};
use tenantry::store::{Store, StoreConfig};
use tokio::net::TcpStream;

/// Connections of the program's pool, and of those of the hand-written handlers. A write keeps its connection until its commit is on
/// the disk, so a small pool limits the rate of creates.
const CONNECTIONS: usize = 32;
/// Clients that create tenants.
const CLIENTS: usize = 64;
/// Length of one turn of creates.
const TURN: Duration = Duration::from_secs(3);
/// Turns of each side.
const TURNS: usize = 5;

/// As the program selects them.
const TENANT: &str = "SELECT t.id, t.name, t.name_key, t.display_name, t.status, t.suspended_by, t.version, t.labels, \
    t.created_at, t.updated_at, t.purge_at, t.list_key, m.tenant_id, m.admin_roles, m.allowed_clusters \
    FROM tenants t LEFT JOIN messaging_tenants m ON m.tenant_id = t.id WHERE t.name_key = $1 AND t.status <> 'deleted'";

/// The inserts of a create. The ids increase, as those of the program do.
const CREATE: &str = r#"\set n :n + 1
BEGIN;
INSERT INTO tenants (id, name, name_key, display_name, status, suspended_by, version, labels, created_at, updated_at, purge_at, list_key) VALUES ((lpad(to_hex(:n::bigint), 16, '0') || lpad(to_hex(:client_id::bigint), 16, '0'))::uuid, 't' || :n::text || '-' || :client_id::text, 't' || :n::text || '-' || :client_id::text, 'tenant', 'active', NULL, 1, '{}', 1, 1, NULL, 'tenant');
INSERT INTO messaging_tenants (tenant_id, admin_roles, allowed_clusters) VALUES ((lpad(to_hex(:n::bigint), 16, '0') || lpad(to_hex(:client_id::bigint), 16, '0'))::uuid, '["ops"]', '["standalone"]');
INSERT INTO audit_events (id, at, caller_subject, caller_role, caller_kind, tenant_id, action, target, outcome, request_id, rpc, details) VALUES ((lpad(to_hex(:n::bigint), 16, '0') || lpad(to_hex(:client_id::bigint), 16, '0'))::uuid, 1, 'admin', 'platform_admin', 'USER', (lpad(to_hex(:n::bigint), 16, '0') || lpad(to_hex(:client_id::bigint), 16, '0'))::uuid, 'tenant.create', 't' || :n::text, 'success', '0190c0de0190c0de0190c0de', '/tenantry.messaging.v2.TenantService/CreateTenant', '{"admin_roles":["ops"],"allowed_clusters":["standalone"],"client":"127.0.0.1"}');
INSERT INTO outbox (id, topic, tenant_id, key, payload, created_at) VALUES ((lpad(to_hex(:n::bigint), 16, '0') || lpad(to_hex(:client_id::bigint), 16, '0'))::uuid, 'tenant', (lpad(to_hex(:n::bigint), 16, '0') || lpad(to_hex(:client_id::bigint), 16, '0'))::uuid, 't' || :n::text, '{"change":"created","version":1}', 1);
COMMIT;
"#;

/// How a hand-written handler reads.
#[derive(Clone)]
enum Source {
    Orm(DatabaseConnection),
    Bare(Arc<Bare>),
}

/// Connections that are used in turn, each with the prepared statement.
struct Bare {
    connections: Vec<(tokio_postgres::Client, tokio_postgres::Statement)>,
    next: AtomicUsize,
}

impl Bare {
    async fn open(url: &str) -> Self {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a connection");
            tokio::spawn(connection);
            let statement = client.prepare(TENANT).await.expect("a statement");
            connections.push((client, statement));
        }
        Self { connections, next: AtomicUsize::new(0) }
    }
}

impl Source {
    async fn read(&self, name: &str) -> Option<TenantInfo> {
        match self {
            Self::Orm(db) => read_orm(db, name).await.map(|(info, _)| info),
            Self::Bare(bare) => {
                let next = bare.next.fetch_add(1, Ordering::Relaxed) % bare.connections.len();
                let (client, statement) = &bare.connections[next];
                let row = client.query_opt(statement, &[&name.to_ascii_lowercase()]).await.ok()??;
                info(row.get(13), row.get(14))
            }
        }
    }
}

async fn twin_get(
    Segment(name): Segment<String>,
    State(source): State<Source>,
) -> Result<Json<TenantInfo>, StatusCode> {
    source.read(&name).await.map(Json).ok_or(StatusCode::NOT_FOUND)
}

fn serve(url: &str, bare: bool) -> SocketAddr {
    let url = url.to_owned();
    support::serve(2, move |listener| async move {
        let source = if bare {
            Source::Bare(Arc::new(Bare::open(&url).await))
        } else {
            let options: PgConnectOptions = url.parse().expect("a url");
            let pool = PgPoolOptions::new().max_connections(CONNECTIONS as u32).test_before_acquire(false);
            Source::Orm(DatabaseConnection::from(pool.connect_lazy_with(options)))
        };
        let app = Router::new().route("/admin/v2/tenants/{tenant}", get(twin_get)).with_state(source);
        axum::serve(listener, app).await.expect("the twin serves");
    })
}

fn main() {
    let settings = "fsync = on\nsynchronous_commit = on\nshared_buffers = 256MB\nmax_wal_size = 4GB";
    let server = Postgres::start(settings, |_| ());
    for database in ["ours", "twin"] {
        server.client("psql", &["-q", "-c", &format!("CREATE DATABASE {database}"), "postgres"]);
    }
    let url = server.url();
    let base = url.strip_suffix("postgres").expect("the name of the database");
    let (ours, twin) = (format!("{base}ours"), format!("{base}twin"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(StoreConfig::new(&twin)).await.expect("it opens");
        store.migrate(|_| ()).await.expect("it migrates");
        store.close().await;
    });
    let home = tempfile::tempdir().expect("a directory");
    let connections = CONNECTIONS.to_string();
    let variables = [("TENANTRY_DATABASE_URL", &*ours), ("TENANTRY_DATABASE_CONNECTIONS", &*connections)];
    let program = Program::start_with(home.path(), &variables);
    let token = std::fs::read_to_string(home.path().join(".tenantry/admin.jwt")).expect("a token");
    let authorization = format!("authorization: Bearer {}\r\n", token.trim());

    println!("PostgreSQL with fsync, {CONNECTIONS} connections, two server threads each, one client thread\n");
    let creator = Creator { address: program.address, authorization: authorization.clone(), number: AtomicU64::new(0) };
    runtime.block_on(creator.some("tenant", 1000));
    reads(&program, &ours, &authorization);
    creates(&server, &creator, &runtime);
}

/// Compares point reads.
fn reads(program: &Program, url: &str, authorization: &str) {
    let request = support::request("GET", "/admin/v2/tenants/tenant-500", authorization, "");
    let side = |name, address| support::Side { name, address, request: request.clone() };
    let ours = side("tenantry, authenticated and guarded", program.address);
    let orm = side("hand-written axum handler, SeaORM over sqlx", serve(url, false));
    support::compare_http("REST point read, PostgreSQL", &orm, &ours, 0.9);
    // Without a goal: it does not know transactions, deadlines or dropped calls.
    let bare = side("hand-written axum handler, tokio-postgres", serve(url, true));
    support::compare_http("REST point read, PostgreSQL, for comparison", &bare, &ours, 0.0);
}

/// Creates tenants over REST.
struct Creator {
    address: SocketAddr,
    authorization: String,
    number: AtomicU64,
}

impl Creator {
    fn request(&self, name: &str) -> Vec<u8> {
        let headers = format!("{}content-type: application/json\r\n", self.authorization);
        let body = r#"{"adminRoles":["ops"],"allowedClusters":["standalone"]}"#;
        support::request("PUT", &format!("/admin/v2/tenants/{name}"), &headers, body)
    }

    /// Creates this number of tenants.
    async fn some(&self, prefix: &str, count: usize) {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        for n in 0..count {
            let request = self.request(&format!("{prefix}-{n}"));
            assert_eq!(support::exchange(&mut stream, &request).await, Some(204));
        }
    }

    /// Creates tenants with all clients for one turn; returns the rate.
    async fn turn(&self) -> f64 {
        let started = Instant::now();
        let clients = (0..CLIENTS).map(|_| async {
            let mut stream = TcpStream::connect(self.address).await.expect("it listens");
            stream.set_nodelay(true).expect("a socket");
            let mut done = 0;
            while started.elapsed() < TURN {
                let request = self.request(&format!("new-{}", self.number.fetch_add(1, Ordering::Relaxed)));
                assert_eq!(support::exchange(&mut stream, &request).await, Some(204));
                done += 1;
            }
            done
        });
        let done: u64 = join_all(clients).await.into_iter().sum();
        done as f64 / started.elapsed().as_secs_f64()
    }
}

/// Compares creates.
fn creates(server: &Postgres, creator: &Creator, runtime: &tokio::runtime::Runtime) {
    let script = server.file("create.sql", CREATE).display().to_string();
    // Each turn continues with the numbers after those of the one before.
    let mut first = 0_u64;
    let mut pgbench = |clients: usize| {
        first += 10_000_000;
        let (clients, seconds, n) = (clients.to_string(), TURN.as_secs().to_string(), format!("n={first}"));
        let output = server.client(
            "pgbench",
            &["-n", "-M", "prepared", "-f", &script, "-c", &clients, "-j", "2", "-T", &seconds, "-D", &n, "twin"],
        );
        let rate = output.lines().find_map(|line| line.strip_prefix("tps = ")).expect("a rate");
        rate.split(' ').next().and_then(|rate| rate.parse::<f64>().ok()).expect("a number")
    };
    let mut rates = [const { Vec::new() }; 3];
    for round in 0..=TURNS {
        for place in 0..3 {
            let side = (place + round) % 3;
            let rate = match side {
                0 => pgbench(CONNECTIONS),
                1 => pgbench(CLIENTS),
                _ => runtime.block_on(creator.turn()),
            };
            // The first round only warms up.
            if round > 0 {
                rates[side].push(rate);
            }
        }
    }
    let [few, many, ours] = rates.map(support::median);
    println!("create a tenant over REST, PostgreSQL, {CLIENTS} clients");
    support::rate(&format!("pgbench, same inserts, {CONNECTIONS} connections"), few);
    support::rate(&format!("pgbench, same inserts, {CLIENTS} connections"), many);
    support::rate("tenantry, authenticated and guarded", ours);
    support::ratio("ratio to the better one", ours / few.max(many), 0.8);
}
