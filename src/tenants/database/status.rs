//! The database of a tenant follows its status: that of a suspended tenant is closed to its programs.
//!
//! Each change of the status starts an operation, which applies the status that the tenant has when it runs, and looks again
//! afterwards. So operations of several changes may run in any order, at once or late: the last one to apply something applied the
//! current status.

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{
    Databases, LOOK_EVERY, PROVISIONING, hasten_provisioning, leases,
    names::{self, DatabaseNames},
    repeated,
};
use crate::{
    base::{Access, Error, Result, TenantId, TenantRef, TenantScope},
    jobs::Report,
    openbao::{Cause, OpenBaoError, tenant_role},
    operations::{self, OperationKind, StepName, Turn},
    providers::provisioner::TenantDatabase,
    store::{Stamp, Tx},
    tenants::{
        Status,
        tenant::{self, Tenant},
    },
};

/// How many times a step looks whether provisioning has ended.
const LOOKS: u32 = 10;

/// The kind of operation that makes the database of a tenant follow its status.
#[derive(Debug)]
pub struct FollowTenantStatus(Databases);

impl FollowTenantStatus {
    pub fn new(databases: &Databases) -> Self {
        Self(databases.clone())
    }
}

/// The operation has no parameters; it names the tenant.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Input {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Apply,
}

impl StepName for Step {
    const ALL: &'static [Self] = &[Self::Apply];

    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply the status of the tenant",
        }
    }
}

impl OperationKind for FollowTenantStatus {
    const NAME: &'static str = "tenant.database_access";
    const STEPS: &'static [Step] = Step::ALL;
    /// The status decides.
    const CANCELLABLE: bool = false;

    type Step = Step;
    type Input = Input;

    async fn step(&self, turn: &Turn, _: Step, _: &Input) -> Result<Report> {
        let tenant = turn.operation().tenant.ok_or_else(|| Error::internal("an operation without its tenant"))?;
        let Some(before) = self.find(tenant).await? else { return Ok(Report::done(0)) };
        let names = names::read(self.0.store.read(), tenant).await?;
        let admits = before.status.admits();
        match admits {
            true => self.open(tenant, &names).await?,
            false => self.close(scope(&before)?, &names).await?,
        }
        let more = match self.find(tenant).await? {
            // Changed meanwhile, it is applied again: the operation of that change may have been faster.
            Some(after) if after.status.admits() != admits => true,
            Some(_) if !admits => self.was_provisioning(tenant).await?,
            _ => false,
        };
        Ok(Report { items: 1, more })
    }
}

/// Ends the leases of programs of a tenant that does not admit them, and starts the operation if the tenant has a database. In the
/// write that changes the status.
pub(in crate::tenants) async fn follow(tx: &Tx, tenant: &Tenant, scope: TenantScope) -> Result<()> {
    if !tenant.status.admits() {
        let now = Stamp::from(tx.time().await?);
        tx.tenant(scope).database_leases().end_all(now).await?;
    }
    if names::read(tx.conn(), tenant.id).await?.is_empty() {
        return Ok(());
    }
    hasten_provisioning(tx, tenant.id).await?;
    operations::start::<FollowTenantStatus>(tx, Some(tenant.id), tenant.name.as_str(), &Input {}).await.map(drop)
}

impl FollowTenantStatus {
    /// Whether an operation was creating what has just been closed: its step may have opened it again. It ends at its next step, because
    /// the tenant is suspended; this waits for it for a while.
    async fn was_provisioning(&self, tenant: TenantId) -> Result<bool> {
        for look in 0..LOOKS {
            if operations::live_named(self.0.store.read(), PROVISIONING, tenant).await?.is_none() {
                return Ok(look > 0);
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(true)
    }

    /// The tenant, unless it was deleted: its database is torn down.
    async fn find(&self, tenant: TenantId) -> Result<Option<Tenant>> {
        let found = tenant::find(&self.0.store, &TenantRef::Id(tenant)).await?;
        Ok(found.filter(|tenant| tenant.status != Status::Deleted))
    }

    /// Both sides at once: one that is down must not delay the other.
    async fn close(&self, scope: TenantScope, names: &DatabaseNames) -> Result<()> {
        let (openbao, database) = tokio::join!(self.stop_leasing(scope, names), self.disconnect(scope, names));
        database.and(openbao)
    }

    async fn open(&self, tenant: TenantId, names: &DatabaseNames) -> Result<()> {
        let (openbao, database) = tokio::join!(self.resume_leasing(names), self.admit(tenant, names));
        database.and(openbao)
    }

    /// Nothing new is leased, by any holder of a token, and the leases of programs are revoked.
    async fn stop_leasing(&self, scope: TenantScope, names: &DatabaseNames) -> Result<()> {
        let Some(identity) = &names.identity else { return Ok(()) };
        let bao = self.0.openbao().map_err(repeated)?;
        unless_absent(tenant_role::stop_leasing(bao, &identity.connection).await)?;
        leases::revoke_ended(&self.0, scope).await.map_err(repeated)?;
        if let Some(keeper) = &self.0.keeper {
            keeper.evict(&identity.role).await.map_err(repeated)?;
        }
        if self.0.settings.suspend_disconnects {
            // Also those that programs leased themselves.
            bao.revoke_leases(&identity.role).await.map_err(repeated)?;
        }
        Ok(())
    }

    async fn resume_leasing(&self, names: &DatabaseNames) -> Result<()> {
        let Some(identity) = &names.identity else { return Ok(()) };
        let bao = self.0.openbao().map_err(repeated)?;
        unless_absent(tenant_role::resume_leasing(bao, &identity.connection, &identity.role).await)
    }

    async fn disconnect(&self, scope: TenantScope, names: &DatabaseNames) -> Result<()> {
        if !self.0.settings.suspend_disconnects {
            return Ok(());
        }
        let Some(database) = database(scope.tenant(), names) else { return Ok(()) };
        self.0.provisioner().map_err(repeated)?.close_database(database).await.map_err(repeated)
    }

    /// Whether or not the setting is still the same as at the suspension.
    async fn admit(&self, tenant: TenantId, names: &DatabaseNames) -> Result<()> {
        match (&self.0.provisioner, database(tenant, names)) {
            (Some(provisioner), Some(database)) => provisioner.reopen_database(database).await.map_err(repeated),
            (None, Some(_)) if self.0.settings.suspend_disconnects => self.0.provisioner().map(drop).map_err(repeated),
            _ => Ok(()),
        }
    }
}

/// The database of a tenant on the database server.
fn database(tenant: TenantId, names: &DatabaseNames) -> Option<TenantDatabase<'_>> {
    Some(TenantDatabase { tenant, name: names.database.as_deref()?, owner: names.owner.as_deref()? })
}

/// A tenant whose provisioning was interrupted may have no connection.
fn unless_absent(done: Result<(), OpenBaoError>) -> Result<()> {
    match done {
        Err(OpenBaoError { cause: Cause::NoConnection, .. }) => Ok(()),
        done => done.map_err(repeated),
    }
}

/// The proof that the program itself may access the rows of a tenant.
fn scope(tenant: &Tenant) -> Result<TenantScope> {
    TenantScope::grant(&Access::Platform, tenant.id, &tenant.name.key())
}
