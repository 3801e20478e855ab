//! A thousand databases of tenants get a migration: `tenantry tenants migrate --all --parallel 8`, which makes a login for each, applies the
//! migration in a transaction, and records it in the database and in the registry; against eight workers that run psql as the superuser
//! for one database after the other, and record nothing. The time of the program includes its start.
//!
//! The databases are on a PostgreSQL of their own, without OpenBAO, and take 8 MB each. `BENCH_TENANTS` is their number.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use futures::{StreamExt, stream};
use serde_json::json;
use support::{
    postgres::{Postgres, find_programs},
    program::Program,
};
use tokio_postgres::NoTls;

const LOGIN: &str = "provisioner";
const PASSWORD: &str = "p";
/// The number of databases, unless the environment has another one.
const TENANTS: usize = 1000;
/// Databases that are migrated at the same time.
const PARALLEL: usize = 8;
/// Migrations of each side, after one that is not counted.
const ROUNDS: usize = 3;
/// The least part of the rate of psql.
const GOAL: f64 = 0.7;

fn main() {
    let tenants = std::env::var("BENCH_TENANTS").map_or(TENANTS, |number| number.parse().expect("a number"));
    let postgres = Postgres::start("", |_| ());
    let (home, files) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let first = support::root().join("tenant-migrations/0001_baseline.sql");
    fs::copy(first, files.path().join("0001_baseline.sql")).expect("a file");
    let ours = Ours {
        home: home.path().to_owned(),
        files: files.path().to_owned(),
        url: postgres.url_of(LOGIN, PASSWORD, "postgres"),
    };
    prepare(&ours, &postgres, tenants);
    let psql = Psql { program: find_programs().join("psql"), url: postgres.url(), tenants };
    let mut rates = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for place in 0..2 {
            let side = (place + round) % 2;
            let begun = Instant::now();
            match side {
                0 => psql.migrate(&format!("CREATE TABLE by_psql_{round} (id bigint PRIMARY KEY, text text NOT NULL)")),
                _ => ours.migrate(round, tenants),
            }
            let rate = tenants as f64 / begun.elapsed().as_secs_f64();
            if round > 0 {
                rates[side].push(rate);
            }
        }
    }
    let what = format!("a migration of {tenants} databases of tenants, {PARALLEL} at a time");
    support::report(&what, ["psql, 8 workers", "tenants migrate --parallel 8"], rates, GOAL);
}

/// The program, its data, and the directory with the migrations.
struct Ours {
    home: PathBuf,
    files: PathBuf,
    url: String,
}

impl Ours {
    fn variables(&self) -> [(&'static str, &str); 3] {
        let files = self.files.to_str().expect("a path");
        [
            ("TENANTRY_PROVISIONER_URL", &self.url),
            ("TENANTRY_TENANT_MIGRATIONS", files),
            ("TENANTRY_SELF_SERVICE_PROVISIONING", "true"),
        ]
    }

    /// Adds a migration, and applies it everywhere.
    fn migrate(&self, round: usize, tenants: usize) {
        let number = round + 2;
        let sql = format!("CREATE TABLE by_program_{round} (id bigint PRIMARY KEY, text text NOT NULL)");
        fs::write(self.files.join(format!("{number:04}_round.sql")), sql).expect("a file");
        let output = Command::new(env!("CARGO_BIN_EXE_tenantry"))
            .args(["tenants", "migrate", "--all", "--parallel", &PARALLEL.to_string()])
            .current_dir(&self.home)
            .env("TENANTRY_DATA_DIR", self.home.join(".tenantry"))
            .envs(self.variables())
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        let printed = String::from_utf8_lossy(&output.stdout);
        let wanted = format!("{tenants} migrated, 0 skipped, 0 failed, 0 not begun");
        assert!(printed.contains(&wanted), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Creates the tenants and their databases.
fn prepare(ours: &Ours, postgres: &Postgres, tenants: usize) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (superuser, connection) = tokio_postgres::connect(&postgres.url(), NoTls).await.expect("a connection");
        tokio::spawn(connection);
        let create = format!("CREATE ROLE {LOGIN} LOGIN PASSWORD '{PASSWORD}' CREATEDB CREATEROLE");
        superuser.batch_execute(&create).await.expect("a role");
    });
    let program = Program::start_with(&ours.home, &ours.variables());
    let token = fs::read_to_string(ours.home.join(".tenantry/admin.jwt")).expect("a token");
    let (http, base) = (reqwest::Client::new(), format!("http://{}/api/control-plane/tenants", program.address));
    let post = async |path: String, body: serde_json::Value| {
        let request = http.post(format!("{base}{path}")).bearer_auth(token.trim()).json(&body);
        let response = request.send().await.expect("a response");
        let (status, text) = (response.status(), response.text().await.expect("a body"));
        assert!(status.is_success(), "{path}: {status} {text}");
    };
    runtime.block_on(stream::iter(0..tenants).for_each_concurrent(PARALLEL, async |number| {
        let slug = format!("t{number}");
        post(String::new(), json!({"name": slug, "slug": slug})).await;
        post(format!("/{slug}/auto-provision"), json!({})).await;
    }));
}

/// Workers that start psql.
struct Psql {
    program: PathBuf,
    /// Of the superuser, at the maintenance database.
    url: String,
    tenants: usize,
}

impl Psql {
    fn migrate(&self, sql: &str) {
        let (server, _) = self.url.rsplit_once('/').expect("a database");
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..PARALLEL {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= self.tenants {
                            break;
                        }
                        run(&self.program, &format!("{server}/tenant_t{number}"), sql);
                    }
                });
            }
        });
    }
}

fn run(psql: &Path, url: &str, sql: &str) {
    let status = Command::new(psql)
        .args(["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql])
        .current_dir("/")
        .stdin(Stdio::null())
        .status()
        .expect("psql starts");
    assert!(status.success(), "{url}");
}
