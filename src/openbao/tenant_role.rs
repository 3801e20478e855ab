//! The database role of a tenant: logins that act as the owner of its database.
//!
//! A login is a member of the owner role, which cannot log in, and becomes it at each connection. So what one login creates
//! belongs to the owner, and the next login can use it.

use std::{fmt, str::FromStr, time::Duration};

use url::Host;

use super::{
    address::Name,
    client::OpenBao,
    database::{Connection, DatabaseRole, SslMode, database_url},
    error::{Cause, Result, unless},
};
use crate::base::Secret;

/// Maximum length of a name in PostgreSQL, in bytes.
const LONGEST: usize = 63;

/// The database of a tenant, and its objects in OpenBAO.
#[derive(Clone, Debug)]
pub struct TenantDatabase {
    pub connection: Name,
    pub role: Name,
    pub host: Host<String>,
    pub port: u16,
    pub ssl_mode: SslMode,
    pub database: String,
    /// The role that owns the database.
    pub owner: SqlName,
    /// How long a login is valid, and how long it can be at most after renewals.
    pub default_ttl: Duration,
    pub max_ttl: Duration,
}

/// The login with which OpenBAO creates and drops logins. It needs CREATEROLE, and the owner role WITH ADMIN OPTION.
#[derive(Clone, Debug)]
pub struct Provisioner {
    pub username: String,
    pub password: Secret<String>,
}

/// A name that can be in the statements of OpenBAO: quotes and placeholders are not possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlName(String);

/// The text is not such a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {LONGEST} letters, digits, dashes or underscores")]
pub struct InvalidSqlName;

impl FromStr for SqlName {
    type Err = InvalidSqlName;

    fn from_str(text: &str) -> Result<Self, InvalidSqlName> {
        let allowed = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        match allowed && (1..=LONGEST).contains(&text.len()) {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidSqlName),
        }
    }
}

impl fmt::Display for SqlName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The statements that create a login.
fn creation(owner: &SqlName) -> Vec<String> {
    [
        format!(
            "CREATE ROLE \"{{{{name}}}}\" LOGIN PASSWORD '{{{{password}}}}' VALID UNTIL '{{{{expiration}}}}' IN ROLE \"{owner}\""
        ),
        format!("ALTER ROLE \"{{{{name}}}}\" SET role = '{owner}'"),
    ]
    .into()
}

/// The statements that drop a login, which run one by one on PostgreSQL 15 and 18. A login that created objects of its own, after
/// `SET ROLE NONE`, could not be dropped otherwise: the owner takes them over. The grant lets the provisioner end the login's
/// sessions and reassign its objects. They succeed if the login is gone: an attempt that was interrupted after its last statement leaves
/// the lease, and each further one would fail.
fn revocation(owner: &SqlName) -> Vec<String> {
    let if_exists = |statements: &str| {
        format!(
            "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{{{{name}}}}') THEN {statements} END IF; END $$"
        )
    };
    [
        if_exists("ALTER ROLE \"{{name}}\" NOLOGIN; GRANT \"{{name}}\" TO CURRENT_USER;"),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'".to_owned(),
        if_exists(&format!("REASSIGN OWNED BY \"{{{{name}}}}\" TO \"{owner}\"; DROP OWNED BY \"{{{{name}}}}\";")),
        "DROP ROLE IF EXISTS \"{{name}}\"".to_owned(),
    ]
    .into()
}

/// An object in OpenBAO that has the name of one of a tenant's and belongs to another database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Connection,
    Role,
}

/// Looks for an object that [`set_up`] must not replace: a connection to another database, or a role of another connection.
pub async fn find_taken(bao: &OpenBao, tenant: &TenantDatabase) -> Result<Option<Taken>> {
    let connection = bao.find_connection(&tenant.connection).await?;
    if connection.is_some_and(|found| !leads_to(&found.url, tenant)) {
        return Ok(Some(Taken::Connection));
    }
    let role = bao.find_role(&tenant.role).await?;
    Ok(role.filter(|found| found.connection != tenant.connection.as_str()).map(|_| Taken::Role))
}

/// Whether the URL of a connection is that of the tenant's database, whatever its parameters.
fn leads_to(url: &str, tenant: &TenantDatabase) -> bool {
    let place = |url: &str| {
        let rest = url.split_once('@').map_or(url, |(_, rest)| rest);
        rest.split('?').next().unwrap_or_default().to_owned()
    };
    place(url) == place(&database_url(&tenant.host, tenant.port, &tenant.database, tenant.ssl_mode))
}

/// Writes the connection and the role of a tenant. Can be repeated.
pub async fn set_up(bao: &OpenBao, tenant: &TenantDatabase, provisioner: &Provisioner) -> Result<()> {
    bao.write_connection(&Connection {
        name: tenant.connection.clone(),
        host: tenant.host.clone(),
        port: tenant.port,
        database: tenant.database.clone(),
        ssl_mode: tenant.ssl_mode,
        username: provisioner.username.clone(),
        password: provisioner.password.clone(),
        allowed_roles: vec![tenant.role.clone()],
    })
    .await?;
    bao.write_role(&DatabaseRole {
        name: tenant.role.clone(),
        connection: tenant.connection.clone(),
        creation: creation(&tenant.owner),
        revocation: revocation(&tenant.owner),
        default_ttl: tenant.default_ttl,
        max_ttl: tenant.max_ttl,
    })
    .await
}

/// Stops new leases, for every holder of a token. Existing logins stay valid.
pub async fn stop_leasing(bao: &OpenBao, connection: &Name) -> Result<()> {
    bao.allow_roles(connection, &[]).await
}

/// Allows leases again.
pub async fn resume_leasing(bao: &OpenBao, connection: &Name, role: &Name) -> Result<()> {
    bao.allow_roles(connection, std::slice::from_ref(role)).await
}

/// Revokes all logins, and removes the role and the connection, in the only order that leaves no login behind: revoking needs both.
/// Fails at the first step that fails. Can be repeated, also if nothing exists.
pub async fn tear_down(bao: &OpenBao, connection: &Name, role: &Name) -> Result<()> {
    // No login is created after the leases were revoked.
    unless(stop_leasing(bao, connection).await, Cause::NoConnection)?;
    bao.revoke_leases(role).await?;
    bao.delete_role(role).await?;
    bao.delete_connection(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_statement_contains_no_quote_and_no_placeholder() {
        for good in ["acme_owner", "9lives-owner", "A"] {
            assert_eq!(good.parse::<SqlName>().unwrap().to_string(), good);
        }
        let long = "a".repeat(64);
        for bad in ["", "a\"b", "a'b", "{{name}}", "a b", "a;b", "ä", "a\0", long.as_str()] {
            assert_eq!(bad.parse::<SqlName>(), Err(InvalidSqlName), "{bad:?}");
        }
    }

    #[test]
    fn a_connection_to_another_server_or_database_is_not_the_tenants() {
        let tenant = TenantDatabase {
            connection: "acme".parse().unwrap(),
            role: "acme-role".parse().unwrap(),
            host: Host::parse("PG.example.com").unwrap(),
            port: 5432,
            ssl_mode: SslMode::Require,
            database: "tenant_acme".to_owned(),
            owner: "acme_owner".parse().unwrap(),
            default_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(1),
        };
        let url = |place: &str| format!("postgresql://{{{{username}}}}:{{{{password}}}}@{place}");
        for own in ["pg.example.com:5432/tenant_acme?sslmode=disable", "pg.example.com:5432/tenant_acme"] {
            assert!(leads_to(&url(own), &tenant), "{own}");
        }
        for other in
            ["pg.example.com:5433/tenant_acme", "pg2.example.com:5432/tenant_acme", "pg.example.com:5432/acme", ""]
        {
            assert!(!leads_to(&url(other), &tenant), "{other}");
        }
    }

    #[test]
    fn the_statements_have_the_placeholders_of_the_server() {
        let owner: SqlName = "acme_owner".parse().unwrap();
        assert_eq!(
            creation(&owner),
            [
                "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE \"acme_owner\"",
                "ALTER ROLE \"{{name}}\" SET role = 'acme_owner'",
            ]
        );
        let reassign = "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{{name}}') THEN \
                        REASSIGN OWNED BY \"{{name}}\" TO \"acme_owner\"; DROP OWNED BY \"{{name}}\"; END IF; END $$";
        assert_eq!(revocation(&owner)[2], reassign);
    }
}
