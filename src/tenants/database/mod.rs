//! The databases of tenants after they were provisioned: who gets a login, what a suspension closes, and what a deletion removes.
//!
//! [`leases`] hands out logins to programs. [`FollowTenantStatus`] closes a database to the programs of a tenant that is suspended
//! or deleted with a grace period, and opens it again. [`TearDownTenant`] removes what was created outside of the registry. Both are
//! operations that changes of the tenant start in their own write, so that they converge if a server is down at that moment.

pub mod leases;
mod names;
mod status;
mod teardown;

use std::time::Duration;

pub use self::{
    names::{DatabaseNames, Identity, read as read_names},
    status::FollowTenantStatus,
    teardown::{Progress as TeardownProgress, TearDownTenant},
};
pub(super) use self::{status::follow, teardown::start as start_teardown};
use crate::{
    base::{Error, Kind, Result, TenantId, error::Reason},
    openbao::{LeaseKeeper, OpenBao},
    operations,
    providers::provisioner::Provisioner,
    store::{Sealer, Store, Tx},
};

/// The kind of operation that provisions a tenant, in an area that uses this one.
pub const PROVISIONING: &str = "tenant.provision";
/// How often is looked whether such an operation has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the databases of tenants need on this server. Cheap to clone.
#[derive(Clone)]
pub struct Databases {
    pub store: Store,
    pub sealer: Sealer,
    pub openbao: Option<OpenBao>,
    /// The leases that this server holds for its own work.
    pub keeper: Option<LeaseKeeper>,
    pub provisioner: Option<Provisioner>,
    pub settings: DatabaseSettings,
}

/// The settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseSettings {
    /// How many leases the programs of one tenant may hold.
    pub most_leases: u64,
    /// Whether a suspension ends all sessions on the database of the tenant.
    pub suspend_disconnects: bool,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self { most_leases: 100, suspend_disconnects: false }
    }
}

impl Databases {
    /// Those of a server without OpenBAO and without a provisioner.
    pub fn new(store: &Store, sealer: Sealer) -> Self {
        let settings = DatabaseSettings::default();
        Self { store: store.clone(), sealer, openbao: None, keeper: None, provisioner: None, settings }
    }

    /// Fails on a server without OpenBAO.
    pub(super) fn openbao(&self) -> Result<&OpenBao> {
        let message = "OpenBAO is not configured on this server; set TENANTRY_OPENBAO_ADDR";
        self.openbao.as_ref().ok_or_else(|| Error::precondition(Reason::OpenbaoNotConfigured, message))
    }

    /// Fails on a server without a provisioner.
    fn provisioner(&self) -> Result<&Provisioner> {
        let message = "no provisioner is configured on this server; set TENANTRY_PROVISIONER_URL";
        self.provisioner.as_ref().ok_or_else(|| Error::precondition(Reason::ProvisionerRefused, message))
    }
}

impl std::fmt::Debug for Databases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Databases").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Makes the next attempt to provision a tenant due now, in a write that suspends or deletes it: the operation ends then.
async fn hasten_provisioning(tx: &Tx, tenant: TenantId) -> Result<()> {
    match operations::live_named(tx.conn(), PROVISIONING, tenant).await? {
        Some(live) => operations::hasten(tx, live).await,
        None => Ok(()),
    }
}

/// The error of a step that is tried again whatever its cause is: nobody repeats a suspension or a deletion whose cause, such as a
/// missing right, was removed later.
fn repeated(error: impl Into<Error>) -> Error {
    let error = error.into();
    match error.kind {
        Kind::FailedPrecondition => Error { kind: Kind::Unavailable, ..error },
        _ => error,
    }
}
