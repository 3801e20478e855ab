//! The client of OpenBAO, with the real server, and with a fake for faults that the real one does not have on request.

mod bootstrap;
mod conformance;
mod database;
pub mod fake;
mod faults;
mod identity;
mod keeper;
mod server;
mod tenant_role;
mod transit;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tenantry::{
    base::Secret,
    openbao::{
        Credential, Name, OpenBao, OpenBaoError, SslMode,
        tenant_role::{Provisioner, SqlName, TenantDatabase},
    },
};
use tokio_postgres::NoTls;
use url::{Host, Url};

use crate::harness::openbao::{OpenBaoServer, settings};

/// A password whose characters have a meaning in URLs, statements and JSON.
const AWKWARD: &str = "p@ss:w/r?d%&'\"$1";

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A client of the server at an address with a token.
fn client(address: &str, token: &str) -> OpenBao {
    OpenBao::new(settings(address, Credential::Token(secret(token)))).unwrap()
}

/// As [`client`], with a time limit.
fn hurried(address: &str, token: &str, timeout: Duration) -> OpenBao {
    let settings = settings(address, Credential::Token(secret(token)));
    OpenBao::new(tenantry::openbao::OpenBaoSettings { timeout, ..settings }).unwrap()
}

/// A client with the rights of the server.
async fn server_client(bao: &OpenBaoServer) -> OpenBao {
    client(bao.address(), &bao.server_token().await)
}

fn text<T: std::fmt::Debug>(result: Result<T, OpenBaoError>) -> String {
    result.unwrap_err().to_string()
}

/// A PostgreSQL server, as its superuser.
struct Database {
    admin: tokio_postgres::Client,
    port: u16,
    host: String,
}

impl Database {
    /// The server of the tests.
    async fn shared() -> Self {
        let url = std::env::var("TENANTRY_TEST_POSTGRES_URL").expect("scripts/with-postgres sets it");
        Self::at(&url).await
    }

    async fn at(url: &str) -> Self {
        let parsed = Url::parse(url).unwrap();
        let (host, port) = (parsed.host_str().unwrap().to_owned(), parsed.port().unwrap_or(5432));
        let (user, password) = (parsed.username(), parsed.password().unwrap_or_default());
        let admin = connect(&host, port, "postgres", user, password).await.unwrap();
        Self { admin, port, host }
    }

    async fn run(&self, sql: &str) {
        self.admin.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The number of rows of a query.
    async fn count(&self, sql: &str) -> usize {
        self.admin.query(sql, &[]).await.unwrap().len()
    }

    /// Creates a provisioner without other rights, an owner role and its database, with unique names.
    async fn tenant(&self) -> Tenant {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let base = format!("bao{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (provisioner, owner, database) =
            (format!("{base}_prov"), format!("{base}_owner"), format!("tenant_{base}"));
        let password = AWKWARD.replace('\'', "''");
        self.run(&format!("CREATE ROLE {provisioner} LOGIN PASSWORD '{password}' CREATEDB CREATEROLE")).await;
        self.run(&format!("CREATE ROLE {owner} NOLOGIN")).await;
        self.run(&format!("GRANT {owner} TO {provisioner} WITH ADMIN OPTION")).await;
        self.run(&format!("CREATE DATABASE {database} OWNER {owner}")).await;
        self.run(&format!("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")).await;
        let objects = TenantDatabase {
            connection: name(&base),
            role: name(&format!("{base}-role")),
            host: Host::parse(&self.host).unwrap(),
            port: self.port,
            ssl_mode: SslMode::Disable,
            database,
            owner: owner.parse::<SqlName>().unwrap(),
            default_ttl: Duration::from_secs(3600),
            max_ttl: Duration::from_secs(24 * 3600),
        };
        let provisioner = Provisioner { username: provisioner, password: secret(AWKWARD) };
        Tenant { objects, provisioner }
    }

    /// The logins that were leased for a tenant.
    async fn logins(&self, tenant: &Tenant) -> usize {
        let members =
            "SELECT 1 FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member JOIN pg_roles o ON o.oid = m.roleid";
        let owner = &tenant.objects.owner;
        self.count(&format!("{members} WHERE o.rolname = '{owner}' AND r.rolname LIKE 'v-%'")).await
    }

    /// A connection to the database of a tenant.
    async fn log_in(
        &self,
        tenant: &Tenant,
        user: &str,
        password: &str,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        connect(&self.host, self.port, &tenant.objects.database, user, password).await
    }
}

/// The database of a tenant.
struct Tenant {
    objects: TenantDatabase,
    provisioner: Provisioner,
}

async fn connect(
    host: &str,
    port: u16,
    database: &str,
    user: &str,
    password: &str,
) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config.host(host).port(port).dbname(database).user(user).password(password);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
