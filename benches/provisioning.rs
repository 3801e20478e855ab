//! Provisions tenants, one after the other, over REST: against the SQL statements and the HTTP calls that create the same role, database
//! and objects in OpenBAO, and apply the same first migration, made by hand and one after the other, without a registry, an operation,
//! checks of what exists, and quoting. Both use one PostgreSQL, which commits durably, and one OpenBAO.
//!
//! `scripts/peers openbao` installs OpenBAO. `BENCH_PROVISIONS` is the number of tenants of each side.

mod support;

use std::{
    fs,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use support::{openbao::OpenBaoServer, postgres::Postgres, program::Program};
use tokio_postgres::{Client, NoTls};

const LOGIN: &str = "provisioner";
const PASSWORD: &str = "p";
/// How many tenants each side provisions, unless the environment has another number.
const TENANTS: usize = 15;
/// How much longer than the bare calls it may take.
const GOAL: f64 = 2.0;
/// The first migration.
const BASELINE: &str = include_str!("../tenant-migrations/0001_baseline.sql");
/// The first version in which members have options.
const OPTIONS: u32 = 16;

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let postgres = Postgres::start("", |_| ());
    let (twin, bao, token) = runtime.block_on(async {
        let bao = OpenBaoServer::start().await;
        let token = bao.server_token().await;
        (Twin::start(&postgres, &bao, &token).await, bao, token)
    });
    let home = tempfile::tempdir().expect("a directory");
    let url = postgres.url_of(LOGIN, PASSWORD, "postgres");
    let variables = [
        ("TENANTRY_PROVISIONER_URL", url.as_str()),
        ("TENANTRY_OPENBAO_ADDR", bao.address()),
        ("TENANTRY_OPENBAO_TOKEN", &token),
        ("TENANTRY_SELF_SERVICE_PROVISIONING", "true"),
    ];
    let program = Program::start_with(home.path(), &variables);
    let admin = fs::read_to_string(home.path().join(".tenantry/admin.jwt")).expect("a token");
    let ours = Ours { http: reqwest::Client::new(), base: format!("http://{}", program.address), token: admin };
    let tenants = std::env::var("BENCH_PROVISIONS").map_or(TENANTS, |number| number.parse().expect("a number"));
    let mut times = [Vec::new(), Vec::new()];
    runtime.block_on(async {
        // The first ones fill caches.
        twin.provision("first").await;
        ours.provision("ours-first").await;
        for number in 0..tenants {
            // Every side is equally often the first one of a round.
            for place in 0..2 {
                let side = (place + number) % 2;
                times[side].push(match side {
                    0 => twin.provision(&format!("twin{number}")).await,
                    _ => ours.provision(&format!("ours-{number}")).await,
                });
            }
        }
    });
    let [twin, ours] = times.map(|times| support::median(times.iter().map(Duration::as_secs_f64).collect()));
    println!("provision a tenant over REST, with PostgreSQL and OpenBAO, one after the other");
    println!("  {:<44} {:>8.1} ms", "the bare SQL statements and HTTP calls", twin * 1000.0);
    println!("  {:<44} {:>8.1} ms", "auto-provision", ours * 1000.0);
    let missed = if ours / twin > GOAL { ", missed" } else { "" };
    println!("  {:.2} times the bare calls (goal at most {GOAL}{missed})", ours / twin);
}

/// The running program.
struct Ours {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Ours {
    /// Creates a tenant, and measures its provisioning.
    async fn provision(&self, slug: &str) -> Duration {
        self.post("/api/control-plane/tenants", json!({"name": slug, "slug": slug})).await;
        let begun = Instant::now();
        self.post(&format!("/api/control-plane/tenants/{slug}/auto-provision"), json!({})).await;
        begun.elapsed()
    }

    async fn post(&self, path: &str, body: Value) {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(self.token.trim()).json(&body);
        let response = request.send().await.expect("a response");
        let (status, text) = (response.status(), response.text().await.expect("a body"));
        assert!(status.is_success(), "{path}: {status} {text}");
    }
}

/// The calls by hand.
struct Twin {
    /// The provisioner.
    admin: Client,
    http: reqwest::Client,
    /// The address of OpenBAO's API.
    api: String,
    token: String,
    port: u16,
    has_options: bool,
}

impl Twin {
    /// Creates the login of the provisioner, and connects with it.
    async fn start(postgres: &Postgres, bao: &OpenBaoServer, token: &str) -> Self {
        let superuser = connect(&postgres.url()).await;
        let create = format!("CREATE ROLE {LOGIN} LOGIN PASSWORD '{PASSWORD}' CREATEDB CREATEROLE");
        run(&superuser, &create).await;
        let version = superuser.query_one("SELECT current_setting('server_version_num')::int / 10000", &[]).await;
        let version: i32 = version.expect("a version").get(0);
        Self {
            admin: connect(&postgres.url_of(LOGIN, PASSWORD, "postgres")).await,
            http: reqwest::Client::new(),
            api: format!("{}/v1", bao.address()),
            token: token.to_owned(),
            port: postgres.port(),
            has_options: version >= OPTIONS as i32,
        }
    }

    /// Measures what provisioning does for a tenant. The name contains only letters and digits.
    async fn provision(&self, name: &str) -> Duration {
        let begun = Instant::now();
        self.create_database(name).await;
        self.set_up_openbao(name).await;
        self.migrate(name).await;
        begun.elapsed()
    }

    async fn create_database(&self, name: &str) {
        let (owner, database) = (format!("{name}_owner"), format!("tenant_{name}"));
        let mark = format!("COMMENT ON ROLE {owner} IS 'a tenant'");
        run(&self.admin, &format!("BEGIN; CREATE ROLE {owner} NOLOGIN; {mark}; COMMIT")).await;
        let options = if self.has_options { " WITH INHERIT TRUE, SET TRUE" } else { "" };
        run(&self.admin, &format!("GRANT {owner} TO CURRENT_USER{options}")).await;
        let create = format!(
            "CREATE DATABASE {database} OWNER {owner} TEMPLATE template0 ENCODING 'UTF8' ALLOW_CONNECTIONS false"
        );
        run(&self.admin, &create).await;
        run(&self.admin, &format!("SET ROLE {owner}")).await;
        let rights = format!(
            "BEGIN; REVOKE ALL ON DATABASE {database} FROM PUBLIC; GRANT CONNECT ON DATABASE {database} TO SESSION_USER; \
             ALTER DATABASE {database} WITH ALLOW_CONNECTIONS true; COMMENT ON DATABASE {database} IS 'a tenant'; COMMIT"
        );
        run(&self.admin, &rights).await;
        run(&self.admin, "RESET ROLE").await;
    }

    async fn set_up_openbao(&self, name: &str) {
        let (owner, role, port) = (format!("{name}_owner"), format!("{name}-role"), self.port);
        for path in [format!("database/config/{name}"), format!("database/roles/{role}")] {
            assert_eq!(self.call(Method::GET, &path, Value::Null).await.0, 404);
        }
        let url =
            format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/tenant_{name}?sslmode=disable");
        let connection = json!({
            "plugin_name": "postgresql-database-plugin", "connection_url": url, "username": LOGIN, "password": PASSWORD,
            "password_authentication": "scram-sha-256", "allowed_roles": [role], "max_open_connections": 2,
            "max_idle_connections": -1,
        });
        self.write(&format!("database/config/{name}"), connection).await;
        let creation = [
            format!(
                "CREATE ROLE \"{{{{name}}}}\" LOGIN PASSWORD '{{{{password}}}}' VALID UNTIL '{{{{expiration}}}}' IN ROLE \"{owner}\""
            ),
            format!("ALTER ROLE \"{{{{name}}}}\" SET role = '{owner}'"),
        ];
        let if_exists = |statements: &str| {
            format!(
                "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{{{{name}}}}') THEN {statements} END IF; END $$"
            )
        };
        let revocation = [
            if_exists("ALTER ROLE \"{{name}}\" NOLOGIN; GRANT \"{{name}}\" TO CURRENT_USER;"),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'".to_owned(),
            if_exists(&format!("REASSIGN OWNED BY \"{{{{name}}}}\" TO \"{owner}\"; DROP OWNED BY \"{{{{name}}}}\";")),
            "DROP ROLE IF EXISTS \"{{name}}\"".to_owned(),
        ];
        let role_body = json!({
            "db_name": name, "creation_statements": creation, "revocation_statements": revocation, "default_ttl": 3600,
            "max_ttl": 86400,
        });
        self.write(&format!("database/roles/{role}"), role_body).await;
    }

    /// Applies the first migration with a leased login.
    async fn migrate(&self, name: &str) {
        let (status, leased) = self.call(Method::GET, &format!("database/creds/{name}-role"), Value::Null).await;
        assert_eq!(status, 200, "{leased}");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let (user, password) = (text(&leased["data"]["username"]), text(&leased["data"]["password"]));
        let session = connect(&format!("postgres://{user}:{password}@127.0.0.1:{}/tenant_{name}", self.port)).await;
        run(
            &session,
            "CREATE SCHEMA tenantry; CREATE TABLE tenantry.migrations (revision text PRIMARY KEY, digest text NOT NULL, \
             applied_at timestamptz NOT NULL DEFAULT now(), applied_by text NOT NULL DEFAULT session_user)",
        )
        .await;
        let record = "INSERT INTO tenantry.migrations (revision, digest) VALUES ('0001_baseline', 'digest')";
        run(&session, &format!("BEGIN; {BASELINE}; {record}; COMMIT")).await;
        drop(session);
        let (status, body) =
            self.call(Method::PUT, "sys/leases/revoke", json!({"lease_id": leased["lease_id"], "sync": true})).await;
        assert_eq!(status, 204, "{body}");
    }

    async fn write(&self, path: &str, body: Value) {
        let (status, body) = self.call(Method::POST, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {body}");
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let mut request =
            self.http.request(method, format!("{}/{path}", self.api)).header("x-vault-token", &self.token);
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.expect("a response");
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or_default())
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}
