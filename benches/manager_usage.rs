//! Ingests usage on SQLite, durably, in batches of 1,000 lines: through the store's write pipeline, which also checks the lines, resolves
//! their tenants, numbers and seals, against a hand-written loop that adds the same lines up and writes the same rows with the same
//! statement, one commit for each batch. Then reads the invoice of a month with all of them.

mod support;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use rusqlite::{Connection, params_from_iter, types::Value};
use tenantry::{
    base::{Clock, Cx, TenantRef},
    manager::{
        billing::BillingSettings,
        invoices, tenants,
        usage::{self, UsageLine},
    },
    store::{Store, StoreConfig},
};
use time::{Duration as Span, OffsetDateTime};

const TENANTS: i64 = 20;
const LINES: i64 = 1000;
const TURN: Duration = Duration::from_millis(800);
/// The lines of the month whose invoice is read.
const MONTH: i64 = 1_000_000;

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let store = runtime.block_on(open(&url(&dirs[0])));
    runtime.block_on(async { open(&url(&dirs[1])).await.close().await });
    let raw = Connection::open(dirs[1].path().join("tenantry.db")).expect("it opens");
    raw.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").expect("it is durable");
    let [by_hand, ours] = support::alternate(|side| match side {
        0 => turn(|lines| add_raw(&raw, &lines)),
        _ => turn(|lines| runtime.block_on(ingest(&store, &lines))),
    });
    support::report(
        "lines of usage, SQLite, batches of 1,000",
        ["hand-written loop", "the store"],
        [by_hand, ours],
        0.5,
    );
    runtime.block_on(invoice(&store));
    runtime.block_on(store.close());
}

fn url(dir: &tempfile::TempDir) -> String {
    format!("sqlite:{}", dir.path().join("tenantry.db").display())
}

async fn open(url: &str) -> Store {
    let store = Store::open(StoreConfig::new(url)).await.expect("the store opens");
    store.migrate(|_| ()).await.expect("it migrates");
    for n in 0..TENANTS {
        let cx = Cx::system("tenant.create", Clock::system());
        tenants::create(&cx, &store, None, &name(n)).await.expect("a tenant");
    }
    store
}

fn name(n: i64) -> String {
    format!("tenant-{n}")
}

fn settings() -> BillingSettings {
    let rate = |text: &str| text.parse().expect("a rate");
    BillingSettings { cpu_milli: rate("0.000001"), mem_mib: rate("0.0000002"), close_after: Span::hours(72) }
}

/// Ingests batches for one turn; returns the rate of lines.
fn turn(mut add: impl FnMut(Vec<UsageLine>)) -> f64 {
    static COUNT: AtomicI64 = AtomicI64::new(0);
    let (started, mut done) = (Instant::now(), 0);
    while started.elapsed() < TURN {
        let first = COUNT.fetch_add(LINES, Ordering::Relaxed);
        add((first..first + LINES).map(|n| line(n, n % TENANTS)).collect());
        done += LINES;
    }
    done as f64 / started.elapsed().as_secs_f64()
}

/// A line of the last 24 hours.
fn line(n: i64, tenant: i64) -> UsageLine {
    let at = OffsetDateTime::now_utc() - Span::minutes(n % 1440);
    UsageLine { tenant: name(tenant), at: Some(at), cpu_milli: n % 4000, mem_mib: n % 8192 }
}

async fn ingest(store: &Store, lines: &[UsageLine]) {
    let cx = Cx::system("usage.ingest", Clock::system());
    usage::ingest(&cx, store, &settings(), lines).await.expect("it is counted");
}

/// Adds the lines up, and writes the sums with one statement.
fn add_raw(raw: &Connection, lines: &[UsageLine]) {
    let mut sums: BTreeMap<(&str, i64), (i64, i64)> = BTreeMap::new();
    for line in lines {
        let hour = line.at.map_or(0, |at| at.unix_timestamp() / 3600 * 3_600_000_000);
        let sum = sums.entry((&line.tenant, hour)).or_default();
        *sum = (sum.0 + line.cpu_milli, sum.1 + line.mem_mib);
    }
    let rows = vec!["((SELECT id FROM tenants WHERE name_key = ?), ?, ?, ?, ?)"; sums.len()].join(", ");
    let sql = format!(
        "INSERT INTO usage_hours (tenant_id, hour, month, cpu_milli, mem_mib) VALUES {rows} \
         ON CONFLICT (tenant_id, hour) DO UPDATE SET cpu_milli = usage_hours.cpu_milli + excluded.cpu_milli, \
         mem_mib = usage_hours.mem_mib + excluded.mem_mib"
    );
    let values = sums.into_iter().flat_map(|((tenant, hour), (cpu, mem))| {
        let number = Value::Integer;
        [Value::Text(tenant.to_owned()), number(hour), number(0), number(cpu), number(mem)]
    });
    raw.prepare_cached(&sql).and_then(|mut insert| insert.execute(params_from_iter(values))).expect("rows");
}

/// Ingests a month of lines of one tenant, and reads its invoice.
async fn invoice(store: &Store) {
    for batch in 0..MONTH / LINES {
        let lines: Vec<_> = (batch * LINES..(batch + 1) * LINES).map(|n| line(n, 0)).collect();
        ingest(store, &lines).await;
    }
    let cx = Cx::system("invoice", Clock::system());
    let mut times: Vec<_> = Vec::new();
    for _ in 0..10 {
        let started = Instant::now();
        let read = invoices::get(&cx, store, &settings(), &TenantRef::parse(&name(0)), "").await.expect("an invoice");
        assert!(!read.hours.is_empty(), "the invoice has lines");
        times.push(started.elapsed());
    }
    times.sort();
    println!("invoice over {MONTH} lines: median {:?}, slowest {:?} (goal: 300 ms)", times[5], times[9]);
}
