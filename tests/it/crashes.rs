//! Crashes: a server that is killed while it writes, a log with a damaged end, and a file that cannot grow. No
//! acknowledged write is lost, no call takes effect twice, and the journal stays complete and in order.
//!
//! `TENANTRY_TEST_CRASH_ROUNDS` sets how often the server is killed. With `TENANTRY_TEST_PROGRAM`, the path of a release
//! build, a thousand rounds take some ten minutes.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::future::join_all;
use rand::RngExt as _;
use sea_orm::{ConnectionTrait, Statement};
use tenantry::store::{
    Store,
    chain::{self, ChainStatus},
};

use crate::{
    db,
    harness::{
        eventually,
        http::Http,
        server::{Server, Setup},
    },
};

const INFO: &str = r#"{"allowedClusters":["standalone"]}"#;
/// Number of clients that create tenants when the server is killed.
const CLIENTS: usize = 12;

/// How often the server is killed, on each database.
fn rounds() -> u32 {
    std::env::var("TENANTRY_TEST_CRASH_ROUNDS").map_or(8, |rounds| rounds.parse().expect("a number of rounds"))
}

/// The tenants that clients have created.
#[derive(Default)]
struct Created {
    acknowledged: BTreeSet<String>,
    /// Their calls ended without a response.
    unknown: BTreeSet<String>,
}

/// Creates a tenant under an idempotency key, which is its name. `None` if there was no response.
async fn create(admin: &Http, name: &str) -> Option<u16> {
    let keyed = admin.clone().header("idempotency-key", name);
    Some(keyed.try_put(&format!("/admin/v2/tenants/{name}"), INFO).await.ok()?.status)
}

/// Creates tenants with several clients until the server is killed after a random time.
async fn create_until_killed(server: &mut Server, round: u32) -> Created {
    let admin = server.admin();
    let clients = join_all((0..CLIENTS).map(|client| {
        let admin = admin.clone();
        async move {
            let mut acknowledged = Vec::new();
            loop {
                let name = format!("t-{round}-{client}-{}", acknowledged.len());
                match create(&admin, &name).await {
                    Some(status) => assert_eq!(status, 204, "{name}"),
                    None => return (acknowledged, name),
                }
                acknowledged.push(name);
            }
        }
    }));
    let kill = async {
        // The input of the test: a server is killed at a random moment.
        tokio::time::sleep(Duration::from_micros(rand::random_range(0..80_000))).await;
        server.kill().await;
    };
    let mut created = Created::default();
    for (acknowledged, unknown) in tokio::join!(clients, kill).0 {
        created.acknowledged.extend(acknowledged);
        created.unknown.insert(unknown);
    }
    created
}

/// Completes the calls without a response: each had its effect, or has it now.
async fn complete(admin: &Http, created: Created) -> BTreeSet<String> {
    let Created { mut acknowledged, unknown } = created;
    for name in unknown {
        let status = eventually(&format!("a response to {name}"), async || {
            // The claim of a call whose response was lost with the server is reported until it is known to be free.
            create(admin, &name).await.filter(|status| *status != 503)
        })
        .await;
        assert!(status == 204 || status == 409, "{name}: {status}");
        acknowledged.insert(name);
    }
    acknowledged
}

/// What a crash of the machine may leave after the last synced frame of SQLite's log.
fn damage_log(database: &Path) {
    let companion = |ending: &str| PathBuf::from(format!("{}{ending}", database.display()));
    let mut random = rand::rng();
    let log = fs::read(companion("-wal")).unwrap_or_default();
    let torn = match random.random_range(0..4) {
        0 => Vec::new(),
        // Frames of an earlier use of the file, the last of them incomplete.
        1 => log.get(32..random.random_range(32..=log.len().max(32)).min(log.len())).unwrap_or_default().to_vec(),
        2 => vec![0; random.random_range(0..20_000)],
        _ => (0..random.random_range(0..20_000)).map(|_| random.random()).collect(),
    };
    if !log.is_empty() {
        OpenOptions::new().append(true).open(companion("-wal")).unwrap().write_all(&torn).unwrap();
    }
    if random.random() {
        // The index of the log is in memory; a new machine has none.
        let _ = fs::remove_file(companion("-shm"));
    }
}

/// The tenants of a server.
async fn listed(admin: &Http) -> BTreeSet<String> {
    serde_json::from_value(admin.get("/admin/v2/tenants").await.json()).unwrap()
}

/// The tenants of a round. The whole list grows with each round, so it is searched as text.
async fn listed_of(admin: &Http, round: u32) -> BTreeSet<String> {
    let (list, prefix) = (admin.get("/admin/v2/tenants").await.body, format!("t-{round}-"));
    list.split('"').filter(|name| name.starts_with(&prefix)).map(str::to_owned).collect()
}

/// Every created tenant has one event in each journal; the audit log is an unbroken chain, and revisions have no gap.
async fn journals_hold(store: &Store, created: &BTreeSet<String>) {
    let number = async |sql: &str| {
        let statement = Statement::from_string(store.backend(), sql);
        let row = store.orm().query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index::<i64>(0).unwrap()
    };
    eventually("all events to have a number", async || {
        let waiting = number("SELECT count(*) FROM outbox WHERE revision IS NULL").await
            + number("SELECT count(*) FROM audit_events WHERE seq IS NULL").await;
        (waiting == 0).then_some(())
    })
    .await;
    let expected = created.len() as i64;
    assert_eq!(number("SELECT count(*) FROM audit_events WHERE action = 'tenant.create'").await, expected);
    assert_eq!(number("SELECT count(DISTINCT key) FROM outbox WHERE topic = 'tenant'").await, expected);
    assert_eq!(number("SELECT count(*) FROM outbox WHERE topic = 'tenant'").await, expected);
    assert_eq!(number("SELECT max(revision) - min(revision) + 1 - count(*) FROM outbox").await, 0);
    assert!(matches!(chain::verify(store).await.unwrap(), ChainStatus::Sound { .. }));
}

both_databases! {
    async fn acknowledged_writes_survive_kills_and_take_effect_once(db: TestDb) {
        let setup = Setup::dev().database(&db.url);
        let sqlite = db.url.strip_prefix("sqlite:").map(PathBuf::from);
        db.store.close().await;
        let mut created = BTreeSet::new();
        let mut server = setup.start().await;
        for round in 0..rounds() {
            let ended = create_until_killed(&mut server, round).await;
            if let Some(file) = &sqlite {
                damage_log(file);
            }
            server = setup.start().await;
            let (admin, present) = (server.admin(), listed_of(&server.admin(), round).await);
            let lost: Vec<_> = ended.acknowledged.difference(&present).collect();
            assert!(lost.is_empty(), "round {round}: acknowledged and lost: {lost:?}");
            created.append(&mut complete(&admin, ended).await);
        }
        assert_eq!(listed(&server.admin()).await, created);
        let store = db.replica().await;
        journals_hold(&store, &created).await;
        if sqlite.is_some() {
            let check = Statement::from_string(store.backend(), "PRAGMA integrity_check");
            let row = store.orm().query_one_raw(check).await.unwrap().unwrap();
            assert_eq!(row.try_get_by_index::<String>(0).unwrap(), "ok");
        }
    }
}

/// SQLite's file and log may grow to this size.
const MOST: u64 = 3 << 20;

#[tokio::test]
async fn a_file_that_cannot_grow_fails_writes_until_it_can() {
    let db = db::sqlite().await;
    db.store.close().await;
    let setup = Setup::dev().database(&db.url);
    let server = setup.clone().largest_file(MOST).start().await;
    let admin = server.admin();
    let mut created = BTreeSet::new();
    let refused = eventually("a refused write", async || {
        let name = format!("t-{}", created.len());
        let answer = admin.put(&format!("/admin/v2/tenants/{name}"), INFO).await;
        if answer.status != 204 {
            return Some(answer);
        }
        created.insert(name);
        None
    })
    .await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.json()["reason"].is_string() && !refused.body.contains("disk I/O"), "{refused:?}");
    assert_eq!(listed(&admin).await, created, "reads continue, and show no part of the refused write");

    server.allow_large_files().await;
    eventually("writes to succeed again", async || {
        let answer = admin.put("/admin/v2/tenants/later", INFO).await;
        (answer.status == 204).then_some(())
    })
    .await;
    created.insert("later".to_owned());
    drop(server);
    let server = setup.start().await;
    assert_eq!(listed(&server.admin()).await, created);
    journals_hold(&db.replica().await, &created).await;
}
