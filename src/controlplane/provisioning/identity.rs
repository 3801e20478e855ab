//! The identity of a tenant in OpenBAO: a connection to its database, and a role, which leases logins that act as the owner.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};
use url::Host;

use crate::{
    base::{Error, Result, error::Reason},
    openbao::{
        Cause, OpenBao, OpenBaoError, SslMode,
        tenant_role::{self, Taken},
    },
    providers::provisioner::{Provisioner, TenantDatabase},
    store::TlsMode,
};

/// How long a login is valid, and how long it can be at most after renewals.
const DEFAULT_TTL: Duration = Duration::from_secs(3600);
const MAX_TTL: Duration = Duration::from_secs(24 * 3600);

/// The recorded names of the objects in OpenBAO.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenBaoNames {
    pub connection: String,
    pub role: String,
}

/// Writes the connection and the role, unless objects of these names belong to another database. Can be repeated.
pub(super) async fn set_up(
    bao: &OpenBao,
    provisioner: &Provisioner,
    database: TenantDatabase<'_>,
    names: &OpenBaoNames,
) -> Result<()> {
    let tenant = objects(provisioner, database, names)?;
    match tenant_role::find_taken(bao, &tenant).await? {
        None => {}
        Some(Taken::Connection) => return Err(taken("connection", &names.connection)),
        Some(Taken::Role) => return Err(taken("role", &names.role)),
    }
    let (username, password) = provisioner.server().login();
    let login = tenant_role::Provisioner { username: username.to_owned(), password };
    Ok(tenant_role::set_up(bao, &tenant, &login).await?)
}

/// Stops new leases for a tenant that is no longer in use, and removes everything of one that was deleted. What suspends or deletes a tenant
/// does so, too; this is for objects that were written at the same moment. Can be repeated.
pub(super) async fn withdraw(
    bao: &OpenBao,
    provisioner: &Provisioner,
    database: TenantDatabase<'_>,
    names: &OpenBaoNames,
    is_deleted: bool,
) -> Result<()> {
    let tenant = objects(provisioner, database, names)?;
    if tenant_role::find_taken(bao, &tenant).await?.is_some() {
        return Ok(());
    }
    if is_deleted {
        return Ok(tenant_role::tear_down(bao, &tenant.connection, &tenant.role).await?);
    }
    match tenant_role::stop_leasing(bao, &tenant.connection).await {
        Err(OpenBaoError { cause: Cause::NoConnection, .. }) => Ok(()),
        stopped => Ok(stopped?),
    }
}

/// The objects of a tenant. OpenBAO reaches the database at the address of the provisioner.
fn objects(
    provisioner: &Provisioner,
    database: TenantDatabase<'_>,
    names: &OpenBaoNames,
) -> Result<tenant_role::TenantDatabase> {
    let (host, port) = provisioner.address();
    Ok(tenant_role::TenantDatabase {
        connection: names.connection.parse().map_err(Error::internal)?,
        role: names.role.parse().map_err(Error::internal)?,
        host: host.and_then(read_host).ok_or_else(without_host)?,
        port,
        ssl_mode: ssl_mode(provisioner.server().tls_mode()),
        database: database.name.to_owned(),
        owner: database.owner.parse().map_err(Error::internal)?,
        default_ttl: DEFAULT_TTL,
        max_ttl: MAX_TTL,
    })
}

/// Fails unless OpenBAO can be given the address of the database server.
pub fn check_address(provisioner: &Provisioner) -> Result<()> {
    provisioner.address().0.and_then(read_host).map(drop).ok_or_else(without_host)
}

fn read_host(host: &str) -> Option<Host<String>> {
    match host.parse() {
        Ok(IpAddr::V4(address)) => Some(Host::Ipv4(address)),
        Ok(IpAddr::V6(address)) => Some(Host::Ipv6(address)),
        Err(_) => Host::parse(host).ok(),
    }
}

fn without_host() -> Error {
    let message = "OpenBAO needs a host name or an address in provisioner_url (TENANTRY_PROVISIONER_URL), not a socket";
    Error::precondition(Reason::ProvisionerRefused, message)
}

fn taken(what: &str, name: &str) -> Error {
    let message = format!("the name is taken: the {what} {name} of OpenBAO belongs to another database");
    Error::precondition(Reason::DatabaseNameTaken, message)
}

fn ssl_mode(mode: TlsMode) -> SslMode {
    match mode {
        TlsMode::Disable => SslMode::Disable,
        TlsMode::Prefer => SslMode::Prefer,
        TlsMode::Require => SslMode::Require,
        TlsMode::VerifyCa => SslMode::VerifyCa,
        TlsMode::VerifyFull => SslMode::VerifyFull,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Secret;

    fn host(url: &str) -> Option<String> {
        let provisioner = Provisioner::at(&Secret::new(url.to_owned())).unwrap();
        check_address(&provisioner).ok()?;
        provisioner.address().0.and_then(read_host).map(|host| host.to_string())
    }

    #[test]
    fn openbao_gets_a_name_or_an_address() {
        for (url, wanted) in [
            ("postgres://p:p@db.example/postgres", Some("db.example")),
            ("postgres://p:p@10.0.0.7:5433/postgres", Some("10.0.0.7")),
            ("postgres://p:p@[::1]/postgres", Some("[::1]")),
            ("postgres://p@h/postgres?hostaddr=::1", Some("[::1]")),
            ("postgres://p:p@%2Frun%2Fpostgresql/postgres", None),
        ] {
            assert_eq!(host(url).as_deref(), wanted, "{url}");
        }
    }
}
