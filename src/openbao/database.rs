//! The database secrets engine: connections, roles and credentials.

use std::{fmt, fmt::Write as _, time::Duration};

use http::Method;
use serde::Deserialize;
use serde_json::json;
use url::Host;

use super::{
    address::Name,
    call::Call,
    client::OpenBao,
    error::{Cause, Result, unless},
    leases::Lease,
    link::Ask,
};
use crate::base::Secret;

/// At most this many connections to the database server for each connection object. None stays open, because there is an object
/// for each tenant.
const MAX_OPEN: u32 = 2;
const NO_IDLE: i32 = -1;

/// A connection to a database, through which OpenBAO creates logins.
#[derive(Clone, Debug)]
pub struct Connection {
    pub name: Name,
    pub host: Host<String>,
    pub port: u16,
    pub database: String,
    pub ssl_mode: SslMode,
    pub username: String,
    pub password: Secret<String>,
    /// The roles whose credentials may be leased.
    pub allowed_roles: Vec<Name>,
}

/// How OpenBAO secures its connection to PostgreSQL: `sslmode` of libpq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl SslMode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// A connection as OpenBAO has it. The password cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundConnection {
    pub url: String,
    pub username: String,
    pub allowed_roles: Vec<String>,
}

/// A kind of login that can be leased.
#[derive(Clone, Debug)]
pub struct DatabaseRole {
    pub name: Name,
    /// The name of the connection. OpenBAO does not check that it exists.
    pub connection: Name,
    /// SQL statements, each one element. OpenBAO does not check them before the first lease.
    pub creation: Vec<String>,
    pub revocation: Vec<String>,
    /// How long a login is valid, and how long it can be at most after renewals.
    pub default_ttl: Duration,
    pub max_ttl: Duration,
}

/// A role as OpenBAO has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FoundRole {
    #[serde(rename = "db_name")]
    pub connection: String,
    #[serde(rename = "creation_statements")]
    pub creation: Vec<String>,
    #[serde(rename = "revocation_statements")]
    pub revocation: Vec<String>,
    /// In seconds.
    pub default_ttl: u64,
    /// In seconds.
    pub max_ttl: u64,
}

/// A login to a database, valid as long as its lease.
#[derive(Clone)]
pub struct Credentials {
    pub lease: Lease,
    pub username: String,
    pub password: Secret<String>,
    /// The token that made the lease: [`Identity::generation`](super::identity::Identity::generation).
    pub generation: u64,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("lease", &self.lease).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct ConnectionData {
    #[serde(default)]
    allowed_roles: Vec<String>,
    connection_details: Details,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    connection_url: String,
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
struct Leased {
    #[serde(flatten)]
    lease: Lease,
    data: Login,
}

#[derive(Deserialize)]
struct Login {
    username: String,
    password: Secret<String>,
}

impl OpenBao {
    /// Creates or replaces a connection. OpenBAO connects to check it.
    pub async fn write_connection(&self, connection: &Connection) -> Result<()> {
        let path = format!("database/config/{}", connection.name);
        let body = json!({
            "plugin_name": "postgresql-database-plugin",
            "connection_url": connection_url(connection),
            "username": connection.username,
            "password": connection.password.expose(),
            // OpenBAO sends a hash, so that the passwords of logins are not in the statements.
            "password_authentication": "scram-sha-256",
            "allowed_roles": names(&connection.allowed_roles),
            "max_open_connections": MAX_OPEN,
            "max_idle_connections": NO_IDLE,
        });
        let secrets = [&connection.password];
        let ask = Ask::new(Call::WriteConnection, Method::POST, &path).body(body).secrets(&secrets);
        self.call(ask).await.map(drop)
    }

    pub async fn find_connection(&self, name: &Name) -> Result<Option<FoundConnection>> {
        let path = format!("database/config/{name}");
        let found = self.call(Ask::new(Call::FindConnection, Method::GET, &path)).await;
        let Some(reply) = unless(found, Cause::NoConnection)? else { return Ok(None) };
        let Data { data: ConnectionData { allowed_roles, connection_details: details } } = reply.parse()?;
        Ok(Some(FoundConnection { url: details.connection_url, username: details.username, allowed_roles }))
    }

    /// Replaces the list of roles that a connection allows, and nothing else. With an empty list nothing new can be leased;
    /// existing leases stay. The database server does not need to be reachable.
    pub async fn allow_roles(&self, connection: &Name, roles: &[Name]) -> Result<()> {
        let path = format!("database/config/{connection}");
        let body = json!({"allowed_roles": names(roles), "verify_connection": false});
        self.call(Ask::new(Call::AllowRoles, Method::POST, &path).body(body)).await.map(drop)
    }

    /// Deletes a connection, if it exists. Leases of its roles cannot be revoked after that.
    pub async fn delete_connection(&self, name: &Name) -> Result<()> {
        let path = format!("database/config/{name}");
        self.call(Ask::new(Call::DeleteConnection, Method::DELETE, &path)).await.map(drop)
    }

    /// Creates or replaces a role.
    pub async fn write_role(&self, role: &DatabaseRole) -> Result<()> {
        let path = format!("database/roles/{}", role.name);
        let body = json!({
            "db_name": role.connection.as_str(),
            "creation_statements": role.creation,
            "revocation_statements": role.revocation,
            "default_ttl": role.default_ttl.as_secs(),
            "max_ttl": role.max_ttl.as_secs(),
        });
        self.call(Ask::new(Call::WriteRole, Method::POST, &path).body(body)).await.map(drop)
    }

    pub async fn find_role(&self, name: &Name) -> Result<Option<FoundRole>> {
        let path = format!("database/roles/{name}");
        let found = self.call(Ask::new(Call::FindRole, Method::GET, &path)).await;
        let Some(reply) = unless(found, Cause::NoRole)? else { return Ok(None) };
        let Data { data } = reply.parse()?;
        Ok(Some(data))
    }

    /// Deletes a role, if it exists.
    pub async fn delete_role(&self, name: &Name) -> Result<()> {
        let path = format!("database/roles/{name}");
        self.call(Ask::new(Call::DeleteRole, Method::DELETE, &path)).await.map(drop)
    }

    /// Leases a new login of a role. If the outcome of an attempt is not known, a login that nobody received stays until its lease
    /// ends.
    pub async fn lease_credentials(&self, role: &Name) -> Result<Credentials> {
        let path = format!("database/creds/{role}");
        let generation = self.identity().generation();
        let reply = self.call(Ask::new(Call::LeaseCredentials, Method::GET, &path)).await?;
        let Leased { lease, data: Login { username, password } } = reply.parse()?;
        // If the token was replaced in between, the older number only means that a new login is leased earlier.
        let generation = if generation == 0 { self.identity().generation() } else { generation };
        Ok(Credentials { lease, username, password, generation })
    }
}

fn names(names: &[Name]) -> Vec<&str> {
    names.iter().map(Name::as_str).collect()
}

fn connection_url(connection: &Connection) -> String {
    let Connection { host, port, database, ssl_mode, .. } = connection;
    database_url(host, *port, database, *ssl_mode)
}

/// The URL of a database, in which OpenBAO replaces user and password, and encodes them.
pub(super) fn database_url(host: &Host<String>, port: u16, database: &str, ssl_mode: SslMode) -> String {
    let database = encoded(database);
    format!("postgresql://{{{{username}}}}:{{{{password}}}}@{host}:{port}/{database}?sslmode={}", ssl_mode.as_str())
}

/// Percent-encodes everything but letters, digits, `_` and `-`, so that no name changes another part of the URL or contains a
/// placeholder.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"_-".contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(host: &str, database: &str) -> Connection {
        Connection {
            name: "acme".parse().unwrap(),
            host: Host::parse(host).unwrap(),
            port: 5432,
            database: database.to_owned(),
            ssl_mode: SslMode::VerifyFull,
            username: "provisioner".to_owned(),
            password: Secret::new("hunter2".to_owned()),
            allowed_roles: Vec::new(),
        }
    }

    #[test]
    fn a_database_name_changes_no_other_part_of_the_url() {
        let url = |host, database| connection_url(&connection(host, database));
        let head = "postgresql://{{username}}:{{password}}@";
        assert_eq!(
            url("db.example.com", "tenant_a-1"),
            format!("{head}db.example.com:5432/tenant_a-1?sslmode=verify-full")
        );
        assert_eq!(
            url("[::1]", "x?sslmode=disable&{{password}}/@"),
            format!("{head}[::1]:5432/x%3Fsslmode%3Ddisable%26%7B%7Bpassword%7D%7D%2F%40?sslmode=verify-full")
        );
    }

    #[test]
    fn passwords_are_not_printed() {
        let credentials = Credentials {
            lease: Lease { id: "database/creds/r/1".to_owned(), duration: Duration::from_secs(1), renewable: true },
            username: "v-1".to_owned(),
            password: Secret::new("hunter2".to_owned()),
            generation: 1,
        };
        let printed = format!("{credentials:?} {:?}", connection("localhost", "x"));
        assert!(!printed.contains("hunter2") && printed.contains("database/creds/r/1"), "{printed}");
    }
}
