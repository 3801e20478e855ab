//! The cost of a list of a million tenants: the memory of the program while each surface's list is read, and ten
//! seconds later; and the time, in comparison with reading the same rows directly from the database, one by one.
//!
//! `cargo bench --bench long_lists`, on Linux, which reports the peak memory of a process. Another number of tenants
//! can be given: `-- 50000`. Memory excludes the mapped file of the program, which is large in a development build.

mod support;

use std::{
    io::Read as _,
    path::Path,
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use sea_orm::sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};
use support::{list_client::ListClient, program::Program};

/// Maximum memory above that of the idle program during a list, and ten seconds later, in MiB.
const GOALS: (f64, f64) = (64.0, 40.0);
/// How long the memory may take to be released.
const AFTER: Duration = Duration::from_secs(10);
/// How much a slow client reads, in which steps, and its pause in between.
const SLOW: (usize, usize, Duration) = (8 << 20, 64 << 10, Duration::from_millis(40));

/// A list, and the query for its rows.
struct List {
    name: &'static str,
    path: &'static str,
    /// The text in each item, and how often it occurs.
    item: (&'static [u8], u64),
    rows: &'static str,
}

const LISTS: [List; 4] = [
    List {
        name: "messaging",
        path: "/admin/v2/tenants",
        item: (b"\"", 2),
        rows: "SELECT name FROM tenants WHERE status IN ('provisioning', 'active', 'suspended') ORDER BY name",
    },
    List {
        name: "manager",
        path: "/v1/tenants",
        item: (b"\"created_at\"", 1),
        rows: "SELECT * FROM tenants WHERE status IN ('provisioning', 'active', 'suspended') ORDER BY id DESC",
    },
    List {
        name: "warehouse",
        path: "/api/tenant/list",
        item: (b"\"displayName\"", 1),
        rows: "SELECT * FROM tenants LEFT JOIN warehouse_tenants ON tenant_id = id
               WHERE status IN ('provisioning', 'active', 'suspended') ORDER BY list_key, id",
    },
    List {
        name: "control plane",
        path: "/api/control-plane/tenants",
        item: (b"\"slug\"", 1),
        rows: "SELECT * FROM tenants ORDER BY id",
    },
];

fn main() {
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let home = tempfile::tempdir().expect("a directory");
    // Creates the schema.
    drop(Program::start(home.path()));
    let database = home.path().join(".tenantry/tenantry.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let filled = Instant::now();
    runtime.block_on(fill(&database, count));
    println!("{count} tenants, SQLite, filled in {:.1} s", filled.elapsed().as_secs_f64());

    let program = Program::start(home.path());
    let token = std::fs::read_to_string(home.path().join(".tenantry/admin.jwt")).expect("a token");
    std::thread::sleep(AFTER);
    let idle = program.memory();
    println!("idle {idle:.1} MiB, {:.1} of it the program's own pages\n", program.own_memory());
    let client = ListClient { address: program.address, token: token.trim().to_owned() };
    for list in &LISTS {
        let twin = runtime.block_on(rows(&database, list.rows));
        let ours = measured(&program, idle, list.name, || read(&client, list));
        assert_eq!(twin.0, ours.0, "{}", list.name);
        let (twin, ours) = (twin.1.as_secs_f64(), ours.1.as_secs_f64());
        println!("  time {ours:.2} s, {:.2} times that of the rows alone ({twin:.2} s)", ours / twin);
    }
    measured(&program, idle, "warehouse, to a slow peer that leaves", || read_slowly(&client, &LISTS[2]));
    measured(&program, idle, "warehouse, in gzip", || drain(&client, &LISTS[2], "accept-encoding: gzip\r\n"));
    measured(&program, idle, "all four at once", || {
        std::thread::scope(|scope| {
            for list in &LISTS {
                scope.spawn(|| read(&client, list));
            }
        });
    });
}

/// Runs `work`, and prints the peak memory of the program meanwhile and the memory after it.
fn measured<T>(program: &Program, idle: f64, what: &str, work: impl FnOnce() -> T) -> T {
    program.forget_peak();
    let done = work();
    let peak = program.peak();
    std::thread::sleep(AFTER);
    let after = program.memory();
    let missed = |missed: bool| if missed { ", missed" } else { "" };
    let above = peak - idle;
    println!("{what}");
    println!("  {above:.1} MiB above idle while it was read (goal {}{})", GOALS.0, missed(above > GOALS.0));
    let own = program.own_memory();
    println!(
        "  {after:.1} MiB ten seconds after (goal {}{}), {own:.1} of it its own",
        GOALS.1,
        missed(after > GOALS.1)
    );
    done
}

async fn connect(database: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(database).connect().await.expect("the database opens")
}

/// Adds tenants, each third with a facet of the warehouse, and each fourth with a display name.
async fn fill(database: &Path, count: u64) {
    let mut db = connect(database).await;
    let tenants = format!(
        "INSERT INTO tenants
           (id, name, name_key, display_name, status, version, labels, created_at, updated_at, list_key)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}),
           named AS (SELECT i, 'tenant-' || (i * 7919 % 1000003) AS name FROM n)
         SELECT unhex(printf('%012x', 1700000000000 + i) || '70008000' || printf('%012x', i)), name, name,
                iif(i % 4 = 0, 'Company ' || i, name), iif(i % 100 = 0, 'suspended', 'active'), 1, '{{}}',
                1700000000000000 + i * 1000, 1700000000000000 + i * 1000,
                iif(i % 4 = 0, 'company ' || i, name) || char(10) || name
         FROM named"
    );
    let facets = "INSERT INTO warehouse_tenants (tenant_id, auth_provider, auth_config)
                  SELECT id, 'keycloak', '{\"issuer\":\"https://id.example.com/realms/r\",\"realm\":\"r\"}'
                  FROM tenants WHERE rowid % 3 = 0";
    let mut tx = db.begin().await.expect("a transaction");
    for statement in [tenants.as_str(), facets] {
        tx.execute(AssertSqlSafe(statement)).await.expect("rows");
    }
    tx.commit().await.expect("a commit");
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.expect("a checkpoint");
    db.close().await.expect("it closes");
}

/// Reads rows one by one: the number and the duration.
async fn rows(database: &Path, statement: &'static str) -> (u64, Duration) {
    let mut db = connect(database).await;
    let (started, mut count) = (Instant::now(), 0);
    let mut rows = db.fetch(statement);
    while let Some(row) = rows.try_next().await.expect("a row") {
        std::hint::black_box(row);
        count += 1;
    }
    (count, started.elapsed())
}

/// The number of items of a list, and the duration.
fn read(client: &ListClient, list: &List) -> (u64, Duration) {
    let (started, (item, often), mut count) = (Instant::now(), list.item, 0);
    // The received data, and the end of the previous chunk, in which an item may start.
    let mut received = Vec::new();
    client.chunks(list.path, |chunk| {
        received.extend_from_slice(chunk);
        count += received.windows(item.len()).filter(|window| *window == item).count() as u64;
        let end = received.len().saturating_sub(item.len() - 1);
        received.drain(..end);
    });
    (count / often, started.elapsed())
}

/// Reads the start of a list slowly.
fn read_slowly(client: &ListClient, list: &List) {
    let (most, part, pause) = SLOW;
    let mut stream = client.ask(list.path, "");
    let mut buffer = vec![0; part];
    for _ in 0..most / part {
        stream.read_exact(&mut buffer).expect("a part");
        std::thread::sleep(pause);
    }
}

/// Reads a response to its end.
fn drain(client: &ListClient, list: &List, headers: &str) {
    let mut stream = client.ask(list.path, headers);
    let (mut buffer, mut end) = (vec![0; 64 << 10], Vec::new());
    loop {
        let length = stream.read(&mut buffer).expect("a part");
        if length == 0 {
            break;
        }
        end.extend_from_slice(&buffer[..length]);
        end.drain(..end.len().saturating_sub(5));
    }
    assert_eq!(end, b"0\r\n\r\n", "the list is not whole");
}
