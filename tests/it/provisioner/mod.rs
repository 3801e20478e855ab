//! The databases of tenants on real servers, of PostgreSQL 18 and of the installed version: the rules of roles differ.

mod crashes;
mod databases;
mod faults;
mod migrating;
mod openbao;
mod operations;
mod rights;
mod routes;
pub mod stage;
pub mod starting;

use std::collections::BTreeSet;

use tenantry::{
    base::{Secret, TenantId},
    providers::provisioner::{Provisioner, TenantDatabase},
};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use uuid::Uuid;

use crate::harness::postgres::{Postgres, find_programs, programs_of_18};

/// The login that creates roles and databases.
pub const LOGIN: &str = "provisioner";
pub const PASSWORD: &str = "p";
/// The machine does not crash.
const SETTINGS: &str = "fsync = off";

/// A database server of tenants.
pub struct Place {
    pub postgres: Postgres,
    admin: Client,
}

impl Place {
    /// A server of each version.
    pub async fn all() -> [Self; 2] {
        [Self::installed().await, Self::of_18().await]
    }

    pub async fn installed() -> Self {
        Self::start(Postgres::start_of(find_programs(), SETTINGS, |_| ())).await
    }

    pub async fn of_18() -> Self {
        Self::start(Postgres::start_of(programs_of_18(), SETTINGS, |_| ())).await
    }

    async fn start(postgres: Postgres) -> Self {
        let admin = connect(&postgres.url()).await.unwrap();
        let place = Self { postgres, admin };
        place.sql(&format!("CREATE ROLE {LOGIN} LOGIN PASSWORD '{PASSWORD}' CREATEDB CREATEROLE")).await;
        place
    }

    /// The provisioner of this server.
    pub fn provisioner(&self) -> Provisioner {
        provisioner(&self.url())
    }

    /// The URL of the provisioner.
    pub fn url(&self) -> String {
        self.postgres.url_of(LOGIN, PASSWORD, "postgres")
    }

    /// Runs statements as the superuser. Returns the first columns of the rows.
    pub async fn sql(&self, text: &str) -> Vec<String> {
        rows(&self.admin, text).await.unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    /// Connects the superuser again, after the server was stopped.
    pub async fn reconnect(&mut self) {
        self.admin = connect(&self.postgres.url()).await.unwrap();
    }

    /// Every role and database, with its owner, its rights, its comment, and the members of the roles.
    pub async fn catalog(&self) -> BTreeSet<String> {
        let query = "SELECT 'database ' || datname || ' of ' || r.rolname || ' ' || coalesce(datacl::text, '') || ' ' || datallowconn \
                       || ' ' || pg_encoding_to_char(encoding) || ' ' || coalesce(shobj_description(d.oid, 'pg_database'), '') \
                     FROM pg_database d JOIN pg_roles r ON r.oid = datdba \
                     UNION ALL SELECT 'role ' || rolname || ' ' || rolcanlogin || rolsuper || rolcreatedb || rolcreaterole \
                       || ' ' || coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname !~ '^pg_' \
                     UNION ALL SELECT 'member ' || m.rolname || ' of ' || r.rolname FROM pg_auth_members a \
                       JOIN pg_roles m ON m.oid = a.member JOIN pg_roles r ON r.oid = a.roleid WHERE r.rolname !~ '^pg_'";
        self.sql(query).await.into_iter().collect()
    }
}

pub fn provisioner(url: &str) -> Provisioner {
    Provisioner::at(&Secret::new(url.to_owned())).unwrap()
}

/// A connection without TLS.
pub async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The first columns of the rows of statements.
pub async fn rows(client: &Client, text: &str) -> Result<Vec<String>, tokio_postgres::Error> {
    let messages = client.simple_query(text).await?;
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
        _ => None,
    };
    Ok(messages.into_iter().filter_map(row).collect())
}

/// A tenant with this number.
pub fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(number))
}

/// The database of the tenant `acme`.
pub fn acme() -> TenantDatabase<'static> {
    TenantDatabase { tenant: tenant(7), name: "tenant_acme", owner: "acme_owner" }
}

/// Everything that provisioning does on the server.
pub async fn provision(provisioner: &Provisioner, database: TenantDatabase<'_>) -> tenantry::base::Result<()> {
    provisioner.create_owner(database).await?;
    provisioner.create_database(database).await?;
    provisioner.open_database(database).await
}
