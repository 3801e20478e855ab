//! The database server of tenants: creates their owner roles and databases.
//!
//! Everything that it creates has a mark, a comment with the id of the tenant. A role or a database of the same name without
//! the mark is another's: it is neither used nor changed. All functions do only what is missing, so they may be interrupted at
//! any point and repeated.
//!
//! There is no fake of the server: tests run against real ones, because the rules of roles differ between its versions.

mod access;
mod database;
mod fault;
mod login;
mod owner;
mod session;
mod tenant_session;

use std::time::Duration;

use self::session::Work;
pub use self::{
    login::LentLogin,
    tenant_session::{Applied, Migration, MigrationLimits, TenantSession, Unopened},
};
use crate::{
    base::{Result, Secret, TenantId},
    store::Remote,
};

/// How long each exchange with the server may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Opening a connection.
    pub connect: Duration,
    /// A statement. The server copies a template for each database.
    pub statement: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), statement: Duration::from_secs(20) }
    }
}

/// A database of a tenant, and its owner role.
#[derive(Clone, Copy, Debug)]
pub struct TenantDatabase<'a> {
    pub tenant: TenantId,
    pub name: &'a str,
    /// The role that owns the database and everything in it. It cannot log in; logins are its members.
    pub owner: &'a str,
}

/// The database server, with the login that creates roles and databases. It needs the attributes CREATEDB and CREATEROLE.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Provisioner {
    remote: Remote,
    limits: Limits,
}

impl Provisioner {
    /// The server of a URL `postgres://USER:PASSWORD@HOST:PORT/DATABASE`; the database is any that the user may connect to.
    pub fn at(url: &Secret<String>) -> Result<Self> {
        Ok(Self { remote: Remote::at(url)?, limits: Limits::default() })
    }

    /// With other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The server, with the login of the provisioner.
    pub fn server(&self) -> &Remote {
        &self.remote
    }

    /// The host, unless it is a directory with a socket, and the port.
    pub fn address(&self) -> (Option<&str>, u16) {
        self.remote.address()
    }

    /// Creates the owner role of a database, and makes the provisioner a member, which creating databases for it requires.
    pub async fn create_owner(&self, database: TenantDatabase<'_>) -> Result<()> {
        owner::create(&mut self.begin().await?, database).await
    }

    /// Creates a database, to which nobody may connect yet. Its owner role must exist.
    pub async fn create_database(&self, database: TenantDatabase<'_>) -> Result<()> {
        database::create(&mut self.begin().await?, database).await
    }

    /// Admits only the members of the owner role, and the provisioner, to a new database.
    pub async fn open_database(&self, database: TenantDatabase<'_>) -> Result<()> {
        database::open(&mut self.begin().await?, database).await
    }

    /// Admits nobody but the provisioner to a database, and terminates the sessions on it. Does nothing if it does not exist.
    pub async fn close_database(&self, database: TenantDatabase<'_>) -> Result<()> {
        access::close(&mut self.begin().await?, database).await
    }

    /// Admits the members of the owner role again.
    pub async fn reopen_database(&self, database: TenantDatabase<'_>) -> Result<()> {
        access::reopen(&mut self.begin().await?, database).await
    }

    /// Drops a database with the sessions on it. Returns whether it existed.
    pub async fn drop_database(&self, database: TenantDatabase<'_>) -> Result<bool> {
        database::remove(&mut self.begin().await?, database).await
    }

    /// Drops the owner role of a database that was dropped. Returns whether it existed.
    pub async fn drop_owner(&self, database: TenantDatabase<'_>) -> Result<bool> {
        owner::remove(&mut self.begin().await?, database).await
    }

    /// Creates a login that acts as the owner of a database, and is valid for this long.
    pub async fn lend_login(&self, database: TenantDatabase<'_>, valid: Duration) -> Result<LentLogin> {
        let mut work = self.begin().await?;
        for user in login::left_behind(&mut work, database.tenant).await? {
            if let Err(error) = self.drop_login(database, &user).await {
                tracing::warn!(%error, cause = error.cause.as_deref(), "cannot drop a login that was left behind");
            }
        }
        login::lend(&mut work, database, valid).await
    }

    /// Drops a login that was lent.
    pub async fn take_back(&self, database: TenantDatabase<'_>, login: &LentLogin) -> Result<()> {
        self.drop_login(database, &login.user).await
    }

    async fn drop_login(&self, database: TenantDatabase<'_>, user: &str) -> Result<()> {
        let mut work = self.begin().await?;
        if login::has_objects(&mut work, user).await? {
            let (own, password) = self.remote.login();
            let inside = self.remote.with_login(own, &password, database.name);
            login::reassign(&mut Work::begin(&inside, self.limits).await?, database, user).await?;
        }
        login::drop_login(&mut work, user).await
    }

    async fn begin(&self) -> Result<Work> {
        Work::begin(&self.remote, self.limits).await
    }
}

/// The comment on everything that was created for a tenant.
fn mark(tenant: TenantId) -> String {
    format!("tenantry: tenant {}", tenant.dashed())
}
