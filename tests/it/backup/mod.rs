//! Backups of the registry and their restoration, on both databases: consistent while calls write, proven by digests, and refused before
//! anything changes.

mod refusals;
mod versions;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use futures::future::join_all;
use reqwest::Method;
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};

use crate::{
    commands::output_text,
    db::postgres_unmigrated,
    harness::{
        eventually,
        server::{Server, Setup},
    },
    older_schema,
};

/// A kind of database, and how to configure a fresh one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

const KINDS: [Kind; 2] = [Kind::Sqlite, Kind::Postgres];

impl Kind {
    /// A setup with a fresh database.
    async fn setup(self) -> Setup {
        match self {
            Self::Sqlite => Setup::dev(),
            Self::Postgres => Setup::dev().database(postgres_unmigrated().await),
        }
    }

    /// A setup with another, fresh database and the keys of a server.
    async fn other(self, server: &Setup) -> Setup {
        let key = |name: &str| server.data_dir().join(name).to_str().unwrap().to_owned();
        self.setup().await.env("TENANTRY_KEK", key("kek")).env("TENANTRY_JWT_KEY", key("jwt.pem"))
    }
}

fn url(setup: &Setup) -> String {
    setup.database_url().unwrap_or_else(|| format!("sqlite:{}", setup.data_dir().join("tenantry.db").display()))
}

/// Creates a tenant. Returns whether the server said so.
async fn create(server: &Server, name: &str) -> bool {
    let body = json!({"name": name, "slug": name}).to_string();
    let made = server.admin().call(Method::POST, "/api/control-plane/tenants", Some(&body)).await;
    made.status == 201
}

/// Makes keys that seal secrets.
async fn seal(server: &Server) {
    assert!(create(server, "sealed").await);
    let anchors = server.admin().get("/v1/trust/anchors?tenant_id=sealed").await;
    assert_eq!(anchors.status, 200, "{anchors:?}");
}

/// A backup in the home of a setup.
async fn backup(setup: &Setup, name: &str) -> PathBuf {
    let directory = setup.home().join(name);
    let output = setup.run(&["backup", directory.to_str().unwrap()]).await;
    assert!(output.status.success(), "{}", output_text(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains(" rows of "), "{output:?}");
    directory
}

async fn try_restore(setup: &Setup, directory: &Path, more: &[&str]) -> Output {
    setup.run(&[&["restore", directory.to_str().unwrap()], more].concat()).await
}

async fn restore(setup: &Setup, directory: &Path, more: &[&str]) {
    let output = try_restore(setup, directory, more).await;
    assert!(output.status.success(), "{}", output_text(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("every row is as it was") && !said.contains("behind"), "{said}");
}

fn manifest(directory: &Path) -> Value {
    let whole: Value = serde_json::from_slice(&fs::read(directory.join("manifest.json")).unwrap()).unwrap();
    whole["manifest"].clone()
}

/// The digests of the tables of a database.
async fn digests(setup: &Setup) -> Value {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("check-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    manifest(&backup(setup, &name).await)["tables"].clone()
}

/// The tables, indexes, constraints and sequences of a database.
async fn shape(setup: &Setup) -> Vec<String> {
    let db = Database::connect(url(setup)).await.unwrap();
    let query = if setup.database_url().is_some() { older_schema::POSTGRES_SHAPE } else { older_schema::SQLITE_SHAPE };
    let lines = older_schema::lines(&db, query).await;
    assert!(lines.len() > 100, "{lines:?}");
    db.close().await.unwrap();
    lines
}

async fn number(url: &str, sql: &str) -> i64 {
    let db = Database::connect(url).await.unwrap();
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap().unwrap();
    let number = row.try_get_by_index(0).unwrap();
    db.close().await.unwrap();
    number
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_of_one_moment_and_a_server_starts_on_it() {
    for kind in KINDS {
        let server = kind.setup().await.start().await;
        seal(&server).await;
        let (made, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let writing = join_all((0..4).map(|writer| {
            let (server, made, stop) = (&server, &made, &stop);
            async move {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    assert!(create(server, &format!("tenant-{writer}-{number}")).await);
                    made.fetch_add(1, Ordering::Relaxed);
                }
            }
        }));
        let copying = async {
            eventually("some tenants", async || (made.load(Ordering::Relaxed) >= 20).then_some(())).await;
            let before = made.load(Ordering::Relaxed);
            let directory = backup(server.setup(), "backup").await;
            let after = made.load(Ordering::Relaxed);
            eventually("writes during the backup and after it", async || {
                (made.load(Ordering::Relaxed) > after).then_some(())
            })
            .await;
            stop.store(true, Ordering::Relaxed);
            (directory, before, after)
        };
        let ((directory, before, after), _) = tokio::join!(copying, writing);

        let restored = kind.other(server.setup()).await;
        restore(&restored, &directory, &[]).await;
        let copied = digests(&restored).await;
        assert_eq!(copied, manifest(&directory)["tables"], "{kind:?}");
        assert_eq!(shape(&restored).await, shape(server.setup()).await, "{kind:?}");
        // Each tenant is in the copy with its audit event and its outbox event, and each call that had returned before.
        let count = async |sql: &str| number(&url(&restored), sql).await;
        let tenants = count("SELECT count(*) FROM tenants WHERE name LIKE 'tenant-%'").await;
        let audited =
            count("SELECT count(*) FROM audit_events WHERE action = 'tenant.create' AND target LIKE 'tenant-%'").await;
        let events = count(
            "SELECT count(DISTINCT o.tenant_id) FROM outbox o JOIN tenants t ON t.id = o.tenant_id \
             WHERE o.topic = 'tenant' AND t.name LIKE 'tenant-%'",
        )
        .await;
        assert_eq!((audited, events), (tenants, tenants), "{kind:?}");
        // Each of the four writers had at most one call in progress.
        let bounds = before as i64..=after as i64 + 4;
        assert!(bounds.contains(&tenants), "{kind:?}: {tenants} of {bounds:?}");

        let started = restored.start().await;
        assert_eq!(started.http().get("/readyz").await.json(), json!({"status": "ready"}));
        // What the backup has sealed is opened, and earlier tokens are accepted.
        let token = server.admin_token();
        let anchors = started.http().token(&token).get("/v1/trust/anchors?tenant_id=sealed").await;
        assert_eq!(anchors.status, 200, "{anchors:?}");
        assert!(create(&started, "next").await);
    }
}

#[tokio::test]
async fn a_database_is_replaced_only_on_request_and_without_servers() {
    for kind in KINDS {
        let mut server = kind.setup().await.start().await;
        seal(&server).await;
        let directory = backup(server.setup(), "backup").await;
        assert!(create(&server, "later").await);
        let refused = try_restore(server.setup(), &directory, &["--replace"]).await;
        let expected = if kind == Kind::Sqlite { "is in use: stop the servers first" } else { "servers are connected" };
        assert_eq!(refused.status.code(), Some(1));
        assert!(output_text(&refused).contains(expected), "{}", output_text(&refused));
        assert!(create(&server, "much-later").await, "the server must not notice");
        server.terminate().await;
        assert!(server.ended().await.success());

        let setup = server.setup().clone();
        let before = digests(&setup).await;
        let refused = try_restore(&setup, &directory, &[]).await;
        assert!(output_text(&refused).contains("is not empty"), "{}", output_text(&refused));
        assert_eq!(digests(&setup).await, before);
        restore(&setup, &directory, &["--replace"]).await;
        assert_eq!(digests(&setup).await, manifest(&directory)["tables"]);
        let server = setup.start().await;
        let tenants = server.admin().get("/api/control-plane/tenants").await.json();
        assert_eq!(tenants["total"], 1, "{tenants}");
    }
}

#[tokio::test]
async fn a_backup_is_only_for_its_owner_and_names_what_it_needs() {
    use std::os::unix::fs::PermissionsExt;
    for kind in KINDS {
        let server = kind.setup().await.start().await;
        let directory = backup(server.setup(), "without-secrets").await;
        assert_eq!(manifest(&directory)["keys"], json!([]));
        seal(&server).await;
        let directory = backup(server.setup(), "backup").await;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let file = if kind == Kind::Sqlite { "registry.db" } else { "registry.dump" };
        let files = [directory.join("manifest.json"), directory.join(file)];
        assert_eq!((mode(&directory), mode(&files[0]), mode(&files[1])), (0o700, 0o600, 0o600));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
        let manifest = manifest(&directory);
        assert_eq!((&manifest["format"], &manifest["program"]), (&json!(1), &json!(env!("CARGO_PKG_VERSION"))));
        assert_eq!(manifest["data"]["file"], file);
        assert_eq!(manifest["data"]["bytes"], fs::metadata(&files[1]).unwrap().len());
        let status = server.setup().run(&["keys", "status"]).await;
        let key = manifest["keys"][0].as_str().unwrap();
        assert!(String::from_utf8_lossy(&status.stdout).contains(key), "{status:?}");
        assert_eq!(manifest["tables"]["tenants"]["rows"], 1);
        assert!(manifest["schema"].as_array().unwrap().len() > 30);
        let left: Vec<_> =
            fs::read_dir(server.setup().home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{left:?}");
    }
}
