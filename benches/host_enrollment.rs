//! Registers hosts with an enrollment token on SQLite, durably, with 64 clients: the operation through the store's write pipeline,
//! which also numbers and seals, against a loop by hand that groups its commits in the same way, on its own thread, and makes the
//! program's statements and nothing else.

mod support;

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use futures::future::join_all;
use rusqlite::{Connection, OptionalExtension as _, params};
use tenantry::{
    base::{Access, Clock, Cx, Secret, TenantRef, cx::CxFacts, opaque},
    enrollment::{
        hosts::{self, Description, Registration},
        throttle::Throttle,
        tokens::{self, NewHostToken},
    },
    store::{Store, StoreConfig, Tx},
    tenants::{self, NewTenant},
};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

const CLIENTS: usize = 64;
const TURN: Duration = Duration::from_millis(800);
/// The required rate, and that of the loop by hand to which it is compared.
const GOAL: f64 = 2000.0;
const SHARE: f64 = 0.6;

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let by_hand = runtime.block_on(Loop::start(dirs[0].path()));
    let (store, token) = runtime.block_on(prepared(dirs[1].path()));
    let throttle = Throttle::default();
    let [raw, ours] = support::alternate(|side| {
        runtime.block_on(async {
            match side {
                0 => turn(|name| by_hand.register(name)).await,
                _ => turn(|name| register(&store, &throttle, &token, name)).await,
            }
        })
    });
    runtime.block_on(store.close());
    let what = "register a host with an enrollment token, SQLite, 64 clients";
    support::report(what, ["loop by hand, SQLite on its thread", "the store"], [raw, ours.clone()], SHARE);
    let rate = support::median(ours);
    println!("  {rate:.0} a second (goal at least {GOAL:.0}{})", if rate < GOAL { ", missed" } else { "" });
}

/// A store with a tenant, and a token for any number of hosts.
async fn prepared(dir: &Path) -> (Store, String) {
    let url = format!("sqlite:{}", dir.join("tenantry.db").display());
    let store = Store::open(StoreConfig::new(url)).await.expect("the store opens");
    store.migrate(|_| ()).await.expect("it migrates");
    let cx = Cx::system("tenant.create", Clock::system());
    store.write(&cx, NewTenant::named("acme".parse().expect("a name")), insert).await.expect("a tenant");
    let tenant = TenantRef::parse("acme");
    let made = tokens::generate_for_hosts(&cx, &store, &tenant, NewHostToken::default()).await.expect("a token");
    (store, made.text.expose().clone())
}

async fn insert(tx: &Tx, new: &NewTenant) -> tenantry::base::Result<()> {
    tenants::insert(tx, new, None).await.map(drop)
}

/// Registers hosts with all clients for one turn; returns the rate.
async fn turn<F: Future<Output = ()>>(register: impl Fn(String) -> F) -> f64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (started, done) = (Instant::now(), AtomicU64::new(0));
    join_all((0..CLIENTS).map(|_| async {
        while started.elapsed() < TURN {
            register(format!("host-{}.example.com", COUNT.fetch_add(1, Ordering::Relaxed))).await;
            done.fetch_add(1, Ordering::Relaxed);
        }
    }))
    .await;
    done.into_inner() as f64 / started.elapsed().as_secs_f64()
}

async fn register(store: &Store, throttle: &Throttle, token: &str, name: String) {
    let system = Cx::system("host.register", Clock::system());
    let cx = Cx::new(CxFacts { access: Access::None, ..CxFacts::clone(&system) });
    let host = Description { active: true, hostname: name.clone(), fqdn: name, ..Description::default() };
    let registration = Registration { host, enrollment_token: Some(Secret::new(token.to_owned())), host_token: None };
    hosts::register(&cx, store, throttle, registration).await.expect("a host");
}

/// A loop that takes all waiting requests and makes one commit.
struct Loop {
    requests: mpsc::Sender<(String, oneshot::Sender<()>)>,
}

impl Loop {
    async fn start(dir: &Path) -> Self {
        let (store, token) = prepared(dir).await;
        store.close().await;
        let db = Connection::open(dir.join("tenantry.db")).expect("it opens");
        db.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON").expect("settings");
        let (requests, mut waiting) = mpsc::channel::<(String, oneshot::Sender<()>)>(1024);
        std::thread::spawn(move || {
            let mut group = Vec::new();
            while waiting.blocking_recv_many(&mut group, 256) > 0 {
                commit(&db, &token, group.iter().map(|(name, _)| name.as_str()));
                for (_, reply) in group.drain(..) {
                    let _ = reply.send(());
                }
            }
        });
        Self { requests }
    }

    async fn register(&self, name: String) {
        let (reply, answer) = oneshot::channel();
        self.requests.send((name, reply)).await.expect("the loop runs");
        answer.await.expect("a commit");
    }
}

const TOKEN: &str = "SELECT id, tenant_id FROM enrollment_tokens WHERE secret_hash = ? AND kind = 'host' AND revoked_at IS NULL \
    AND NOT (max_uses IS NOT NULL AND use_count >= max_uses) AND NOT (expires_at IS NOT NULL AND expires_at <= ?) \
    AND EXISTS (SELECT id FROM tenants WHERE id = enrollment_tokens.tenant_id AND status IN ('provisioning', 'active'))";
const USE: &str = "UPDATE enrollment_tokens SET use_count = use_count + 1, last_used_at = ? WHERE tenant_id = ? AND id = ? \
    AND revoked_at IS NULL AND NOT (max_uses IS NOT NULL AND use_count >= max_uses) \
    AND NOT (expires_at IS NOT NULL AND expires_at <= ?) RETURNING id";
const HOST: &str = "INSERT INTO hosts (tenant_id, id, fqdn, hostname, ipv4, ipv6, active, script_execution_enabled, is_privileged, \
    enabled_shells, agent_version, agent_capabilities, secret_hash, token_id, last_ip, last_registered_at, version, created_at, \
    updated_at) VALUES (?, ?, ?, ?, NULL, NULL, 1, 0, 0, '[]', '', 'null', ?, ?, NULL, ?, 1, ?, ?)";
const AUDIT: &str = "INSERT INTO audit_events (id, seq, prev_hash, hash, at, caller_subject, caller_role, caller_kind, tenant_id, \
    action, target, outcome, request_id, rpc, details) VALUES (?, ?, ?, ?, ?, 'tok_1', 'user', 'SERVICE', ?, 'host.register', ?, \
    'success', '', 'host.register', ?)";
const EVENT: &str = "INSERT INTO outbox (id, revision, topic, tenant_id, key, payload, created_at) \
    VALUES (?, ?, 'host', ?, ?, '{\"change\":\"created\",\"version\":1}', ?)";

/// Registers hosts in one commit.
fn commit<'n>(db: &Connection, token: &str, names: impl Iterator<Item = &'n str>) {
    run(db, "BEGIN IMMEDIATE", []);
    let now = 1_700_000_000_000_000_i64;
    let (mut revision, mut seq) = (newest(db, "revision", "outbox"), newest(db, "seq", "audit_events"));
    for name in names {
        let digest = opaque::digest(token);
        let mut query = db.prepare_cached(TOKEN).expect("a statement");
        let found: (Vec<u8>, Vec<u8>) =
            query.query_row(params![digest, now], |row| Ok((row.get(0)?, row.get(1)?))).expect("a token");
        let (token, tenant) = found;
        exists(db, "SELECT id FROM tenants WHERE id = ? AND status <> 'deleted'", params![tenant]);
        exists(db, "SELECT id FROM hosts WHERE tenant_id = ? AND fqdn = ?", params![tenant, name]);
        assert!(exists(db, USE, params![now, tenant, token, now]));
        exists(db, "SELECT tenant_id FROM zerotrust_tenants WHERE tenant_id = ?", params![tenant]);
        let (id, own) = (Uuid::now_v7().into_bytes(), opaque::secret("smh_"));
        let own = opaque::digest(own.expose());
        run(db, HOST, params![tenant, id, name, name, own, token, now, now, now]);
        let (details, hash) = (format!("{{\"said\":{{\"fqdn\":\"{name}\",\"hostname\":\"{name}\"}}}}"), [7_u8; 32]);
        (revision, seq) = (revision + 1, seq + 1);
        run(db, AUDIT, params![Uuid::now_v7().into_bytes(), seq, hash, hash, now, tenant, name, details]);
        run(db, EVENT, params![Uuid::now_v7().into_bytes(), revision, tenant, name, now]);
    }
    run(db, "COMMIT", []);
}

fn newest(db: &Connection, column: &str, table: &str) -> i64 {
    let sql = format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY {column} DESC LIMIT 1");
    let mut query = db.prepare_cached(&sql).expect("a statement");
    query.query_row([], |row| row.get(0)).optional().expect("a read").unwrap_or(0)
}

fn exists(db: &Connection, sql: &str, values: impl rusqlite::Params) -> bool {
    let mut query = db.prepare_cached(sql).expect("a statement");
    query.query_row(values, |row| row.get::<_, Vec<u8>>(0)).optional().expect("a statement").is_some()
}

fn run(db: &Connection, sql: &str, values: impl rusqlite::Params) {
    db.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).expect("a statement");
}
