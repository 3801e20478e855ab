//! pgbouncer in transaction mode between the program and the server.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Child, Stdio},
};

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use super::number;
use crate::{
    db,
    harness::{
        PATIENCE, eventually,
        postgres::{as_server, free_port},
        server::Setup,
    },
};

/// Number of connections to the server, fewer than the program's.
const POOL: u32 = 3;
const CALLERS: usize = 32;
const INFO: &str = r#"{"allowedClusters":["standalone"]}"#;
const PASSWORD: &str = "correct horse battery staple";

/// A running pgbouncer, which is stopped on drop.
struct Pooler {
    child: Child,
    url: String,
    _dir: TempDir,
}

impl Pooler {
    /// Starts one in front of the server of a URL.
    async fn to(database: &str) -> Self {
        let url = url::Url::parse(database).unwrap();
        let dir = tempfile::Builder::new().prefix("tenantry-pb").tempdir_in("/tmp").unwrap();
        let (user, password, port) = (url.username(), url.password().unwrap(), free_port());
        let users = dir.path().join("users.txt");
        std::fs::write(&users, format!("\"{user}\" \"{password}\"\n")).unwrap();
        let config = dir.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = {POOL}\nmax_client_conn = 200\n",
            url.host_str().unwrap(),
            url.port().unwrap(),
            users.display(),
        );
        std::fs::write(&config, text).unwrap();
        // Another user runs it.
        for (path, mode) in [(dir.path(), 0o755), (&*users, 0o644), (&*config, 0o644)] {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        }
        let mut command = as_server(&program());
        let child = command.arg("-q").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let url = format!("postgres://{user}:{password}@127.0.0.1:{port}{}?statement-cache-capacity=0", url.path());
        eventually("pgbouncer to listen", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok())
            .await;
        Self { child, url, _dir: dir }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // `runuser` passes this signal on; it could not pass on a kill.
        let _ = std::process::Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian puts it where not every user's PATH leads.
    let directories = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut programs = directories.map(|directory| directory.join("pgbouncer"));
    programs.find(|program| program.exists()).expect("pgbouncer: run scripts/test, which installs it")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_works_through_pgbouncer_in_transaction_mode() {
    let db = db::postgres().await;
    let pooler = Pooler::to(&db.url).await;
    let setup = Setup::dev().database(&pooler.url);
    let mut server = setup.start().await;
    let admin = server.admin();

    let mut watch = admin.stream("/registry/v1/tenants:watch?revision=0").await;
    assert_eq!(watch.status(), 200);

    let callers = (0..CALLERS).map(|caller| {
        let admin = admin.clone();
        async move {
            let mut made = Vec::new();
            for n in 0..8 {
                let name = format!("t-{caller}-{n}");
                let path = format!("/admin/v2/tenants/{name}");
                let created = admin.put(&path, INFO).await;
                assert_eq!(created.status, 204, "{created:?}");
                let read = admin.get(&path).await;
                assert_eq!((read.status, read.json()["allowedClusters"][0].as_str()), (200, Some("standalone")));
                let again = admin.put(&path, INFO).await;
                assert_ne!(again.status, 204, "created twice: {again:?}");
                let listed = admin.get("/admin/v2/tenants").await.json();
                assert!(listed.as_array().unwrap().iter().any(|listed| *listed == *name), "{name} is not listed");
                made.push(name);
            }
            made
        }
    });
    let made: BTreeSet<String> = join_all(callers).await.into_iter().flatten().collect();
    assert_eq!(made.len(), CALLERS * 8);

    let post =
        async |path: &str, body: serde_json::Value| admin.call(Method::POST, path, Some(&body.to_string())).await;
    let tenant = post("/v1/admin/tenants/lifecycle", json!({"action": "create", "slug": "acme"})).await;
    assert_eq!(tenant.status, 201, "{tenant:?}");
    let user = json!({"action": "create", "tenant_id": "acme", "user_id": "ada", "email": "ada@example.com",
        "role": "admin", "password": PASSWORD});
    assert_eq!(post("/v1/admin/users/lifecycle", user).await.status, 201);
    let login = json!({"tenant": "acme", "user": "ada", "password": PASSWORD});
    let logins = join_all((0..4).map(|_| post("/v1/admin/login", login.clone()))).await;
    for login in &logins {
        assert_eq!(login.status, 200, "{login:?}");
        let session = server.http().token(login.json()["token"].as_str().unwrap());
        assert_eq!(session.get("/v1/admin/session").await.status, 200);
    }

    // The watch has every tenant, once the relay has numbered the events.
    let mut watched = BTreeSet::new();
    let watching = async {
        while !made.is_subset(&watched) {
            let message = watch.json().await.expect("an open stream");
            watched.extend(message["tenant"]["name"].as_str().map(str::to_owned));
        }
    };
    tokio::time::timeout(PATIENCE, watching).await.expect("all tenants are in the watch");
    eventually("the relay to number and seal everything", async || {
        let waiting = "SELECT (SELECT count(*) FROM outbox WHERE revision IS NULL) \
            + (SELECT count(*) FROM audit_events WHERE seq IS NULL)";
        (number(db.read(), waiting).await == 0).then_some(())
    })
    .await;

    // Calls in flight are completed by the drain.
    let last = (0..CALLERS).map(|n| {
        let admin = admin.clone();
        tokio::spawn(async move { admin.try_put(&format!("/admin/v2/tenants/last-{n}"), INFO).await })
    });
    let last: Vec<_> = last.collect();
    server.terminate().await;
    let last = join_all(last).await;
    let kept = last.iter().filter(|put| matches!(put, Ok(Ok(answer)) if answer.status == 204)).count();
    drop(watch);
    assert!(server.ended().await.success(), "{}", server.log());

    let tenants = |like: &str| {
        format!(
            "SELECT count(*) FROM messaging_tenants m JOIN tenants t ON t.id = m.tenant_id WHERE t.name LIKE '{like}'"
        )
    };
    assert_eq!(number(db.read(), &tenants("t-%")).await as usize, made.len());
    let left = number(db.read(), &tenants("last-%")).await as usize;
    assert!(left >= kept, "{kept} were acknowledged, {left} are there");
    let events = "SELECT count(*) FROM outbox o JOIN tenants t ON t.id = o.tenant_id WHERE o.topic = 'tenant' \
        AND t.name LIKE 't-%'";
    assert_eq!(number(db.read(), events).await as usize, made.len(), "an event for each");
    let audited = "SELECT count(*) FROM audit_events WHERE action = 'tenant.create' AND target LIKE 't-%'";
    assert_eq!(number(db.read(), audited).await as usize, made.len(), "an audit event for each");
    let doubled = "SELECT count(*) FROM (SELECT revision FROM outbox WHERE revision IS NOT NULL GROUP BY revision \
        HAVING count(*) > 1) AS twice";
    assert_eq!(number(db.read(), doubled).await, 0);

    // The check for pending migrations, with the configuration of production.
    let output = setup.run(&["migrate", "status"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
