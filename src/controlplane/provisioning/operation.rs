//! The operation that provisions a tenant. Its steps do only what is missing, so each may run again after a crash.

use serde::{Deserialize, Serialize};

use crate::{
    base::{Error, Result, TenantId, TenantRef, error::Reason},
    jobs::Report,
    operations::{OperationKind, StepName, Turn},
    providers::provisioner::{Provisioner, TenantDatabase},
    store::{Store, Tx},
    tenants::{self, Status, Tenant},
};

/// The kind of operation that provisions a tenant.
#[derive(Debug)]
pub struct ProvisionTenant {
    store: Store,
    provisioner: Provisioner,
}

impl ProvisionTenant {
    pub fn new(store: &Store, provisioner: Provisioner) -> Self {
        Self { store: store.clone(), provisioner }
    }
}

/// The recorded names of the tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Input {
    pub database: String,
    pub owner: String,
}

/// A step. Its name is in the errors of calls that wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    CreateOwner,
    CreateDatabase,
    OpenDatabase,
    Record,
}

impl StepName for Step {
    const ALL: &'static [Self] = &[Self::CreateOwner, Self::CreateDatabase, Self::OpenDatabase, Self::Record];

    fn as_str(self) -> &'static str {
        match self {
            Self::CreateOwner => "create owner role",
            Self::CreateDatabase => "create database",
            Self::OpenDatabase => "open database",
            Self::Record => "record database",
        }
    }
}

impl OperationKind for ProvisionTenant {
    const NAME: &'static str = "tenant.provision";
    const STEPS: &'static [Step] = Step::ALL;
    /// The database may have contents when an operation for it runs again, so nothing is dropped.
    const CANCELLABLE: bool = false;

    type Step = Step;
    type Input = Input;

    async fn step(&self, turn: &Turn, step: Step, input: &Input) -> Result<Report> {
        let tenant = turn.operation().tenant.ok_or_else(|| Error::internal("an operation without its tenant"))?;
        self.check_tenant(tenant).await?;
        let database = TenantDatabase { tenant, name: &input.database, owner: &input.owner };
        match step {
            Step::CreateOwner => self.provisioner.create_owner(database).await?,
            Step::CreateDatabase => self.provisioner.create_database(database).await?,
            Step::OpenDatabase => self.provisioner.open_database(database).await?,
            Step::Record => return turn.write(&self.store, tenant, record).await,
        }
        Ok(Report::done(1))
    }
}

impl ProvisionTenant {
    /// Fails if the tenant was deleted or suspended since the call.
    async fn check_tenant(&self, tenant: TenantId) -> Result<()> {
        match tenants::find(&self.store, &TenantRef::Id(tenant)).await? {
            Some(tenant) => check_status(&tenant),
            None => Err(Error::precondition(Reason::TenantNotFound, "the tenant was deleted")),
        }
    }
}

/// Fails unless the tenant is in use.
pub(super) fn check_status(tenant: &Tenant) -> Result<()> {
    match tenant.status {
        Status::Active | Status::Provisioning => Ok(()),
        Status::Suspended => Err(Error::precondition(Reason::TenantSuspended, "the tenant is suspended")),
        Status::Deprovisioning | Status::Deleted => Err(tenants::not_found()),
    }
}

/// Records that the database can be used.
async fn record(tx: &Tx, tenant: &TenantId) -> Result<Report> {
    let (tenant, scope) = tenants::resolve_any_locked(tx, &TenantRef::Id(*tenant)).await?;
    check_status(&tenant)?;
    tx.tenant(scope).database().provisioned(tx.now().into()).await?;
    Ok(Report::done(1))
}
