//! The operation that provisions a tenant. Its steps do only what is missing, so each may run again after a crash.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::identity::{self, OpenBaoNames};
use crate::{
    base::{Cx, Error, Kind, Result, TenantId, TenantRef, error::Reason},
    controlplane::migrations::{self, Migrated, Migrator, Target, TenantMigrations},
    jobs::Report,
    openbao::{LeaseKeeper, OpenBao},
    operations::{OperationKind, StepName, Turn},
    providers::provisioner::{MigrationLimits, Provisioner, TenantDatabase},
    store::{
        Store, Tx,
        audit::{AuditRecord, Outcome},
    },
    tenants::{self, Status, Tenant},
};

/// After this time, what was applied is recorded, and the next migrations are begun after that.
const BATCH: Duration = Duration::from_secs(5);

/// The kind of operation that provisions a tenant.
#[derive(Debug)]
pub struct ProvisionTenant {
    store: Store,
    provisioner: Provisioner,
    openbao: Option<OpenBao>,
    migrator: Migrator,
}

impl ProvisionTenant {
    /// With the client of OpenBAO and the keeper of leases, if it is configured.
    pub fn new(
        store: &Store,
        provisioner: Provisioner,
        openbao: Option<(OpenBao, LeaseKeeper)>,
        migrations: Arc<TenantMigrations>,
    ) -> Self {
        let (openbao, leases) = openbao.unzip();
        let migrator = Migrator::new(provisioner.clone(), leases, migrations);
        Self { store: store.clone(), provisioner, openbao, migrator }
    }

    /// With other limits of migrations.
    #[must_use]
    pub fn with_limits(self, limits: MigrationLimits) -> Self {
        Self { migrator: self.migrator.with_limits(limits), ..self }
    }
}

/// The recorded names of the tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Input {
    pub database: String,
    pub owner: String,
    /// Unset if the server that started the operation has no OpenBAO.
    #[serde(default)]
    pub openbao: Option<OpenBaoNames>,
}

/// A step. Its name is in the errors of calls that wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    CreateOwner,
    CreateDatabase,
    OpenDatabase,
    SetUpOpenBao,
    Record,
    Migrate,
}

impl StepName for Step {
    const ALL: &'static [Self] =
        &[Self::CreateOwner, Self::CreateDatabase, Self::OpenDatabase, Self::SetUpOpenBao, Self::Record, Self::Migrate];

    fn as_str(self) -> &'static str {
        match self {
            Self::CreateOwner => "create owner role",
            Self::CreateDatabase => "create database",
            Self::OpenDatabase => "open database",
            Self::SetUpOpenBao => "set up OpenBAO",
            Self::Record => "record database",
            Self::Migrate => "migrate database",
        }
    }
}

impl Step {
    /// Whether objects in OpenBAO may have been written by an earlier attempt.
    fn is_after_openbao(self) -> bool {
        matches!(self, Self::SetUpOpenBao | Self::Record | Self::Migrate)
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
        let done = self.work(turn, tenant, step, input).await;
        if let Err(error) = &done
            && is_final(error)
        {
            // The operation ends with this error.
            let details = json!({"step": step.as_str(), "reason": error.reason_name(), "cause": error.message});
            self.store.append_audit(vec![self.event(turn, tenant, Outcome::Failed, details)]).await?;
        }
        done
    }
}

impl ProvisionTenant {
    async fn work(&self, turn: &Turn, tenant: TenantId, step: Step, input: &Input) -> Result<Report> {
        let database = TenantDatabase { tenant, name: &input.database, owner: &input.owner };
        if let Err(ended) = self.check_tenant(tenant).await {
            return Err(if step.is_after_openbao() { self.withdrawn(database, input, ended).await } else { ended });
        }
        match step {
            Step::CreateOwner => self.provisioner.create_owner(database).await?,
            Step::CreateDatabase => self.provisioner.create_database(database).await?,
            Step::OpenDatabase => self.provisioner.open_database(database).await?,
            Step::SetUpOpenBao => {
                let Some(names) = &input.openbao else { return Ok(Report::done(0)) };
                identity::set_up(self.openbao()?, &self.provisioner, database, names).await?;
                // A suspension or a deletion meanwhile may have come before what was written.
                if let Err(ended) = self.check_tenant(tenant).await {
                    return Err(self.withdrawn(database, input, ended).await);
                }
            }
            Step::Record => return turn.write(&self.store, (tenant, input.openbao.clone()), record).await,
            Step::Migrate => {
                let openbao_role = input.openbao.as_ref().map(|names| names.role.as_str());
                let migrated = self.migrator.migrate(Target { database, openbao_role }, BATCH).await?;
                let details = json!({"database": input.database, "revision": migrated.revision});
                let event = self.event(turn, tenant, Outcome::Success, details);
                return turn.write(&self.store, (tenant, migrated, event), record_migrated).await;
            }
        }
        Ok(Report::done(1))
    }

    /// The client of OpenBAO. A server without one leaves the step to the others.
    fn openbao(&self) -> Result<&OpenBao> {
        self.openbao.as_ref().ok_or_else(|| {
            let message = "OpenBAO is not configured on the server that runs the operation";
            Error::new(Kind::Unavailable, Reason::ProvisionerUnavailable, message)
        })
    }

    /// The error of a tenant that is no longer in use, after its logins were stopped; another one if they could not be stopped yet.
    async fn withdrawn(&self, database: TenantDatabase<'_>, input: &Input, ended: Error) -> Error {
        let (Some(openbao), Some(names)) = (&self.openbao, &input.openbao) else { return ended };
        if !is_final(&ended) {
            return ended;
        }
        // Not one that can still be restored.
        let is_deleted = ended.reason == Reason::TenantNotFound && ended.kind == Kind::FailedPrecondition;
        match identity::withdraw(openbao, &self.provisioner, database, names, is_deleted).await {
            Ok(()) => ended,
            Err(error) => error,
        }
    }

    /// Fails if the tenant was deleted or suspended since the call.
    async fn check_tenant(&self, tenant: TenantId) -> Result<()> {
        match tenants::find(&self.store, &TenantRef::Id(tenant)).await? {
            Some(tenant) => check_status(&tenant),
            None => Err(Error::precondition(Reason::TenantNotFound, "the tenant was deleted")),
        }
    }

    /// The audit event of the end of an operation. That of its start is the call's.
    fn event(&self, turn: &Turn, tenant: TenantId, outcome: Outcome, mut details: Value) -> AuditRecord {
        let operation = turn.operation();
        details["operation"] = json!(operation.id);
        details["requested_by"] = json!(operation.requested_by);
        let cx = Cx::system(Self::NAME, self.store.clock().clone());
        AuditRecord { tenant: Some(tenant), target: operation.target.clone(), details, ..AuditRecord::of(&cx, outcome) }
    }
}

/// Whether the operation ends with an error.
fn is_final(error: &Error) -> bool {
    matches!(error.kind, Kind::FailedPrecondition | Kind::NotFound)
}

/// Fails unless the tenant is in use.
pub(super) fn check_status(tenant: &Tenant) -> Result<()> {
    match tenant.status {
        Status::Active | Status::Provisioning => Ok(()),
        Status::Suspended => {
            Err(Error::precondition(Reason::TenantNotActive, "the tenant is suspended; resume it first"))
        }
        Status::Deprovisioning | Status::Deleted => Err(tenants::not_found()),
    }
}

/// Records that the database exists.
async fn record(tx: &Tx, (tenant, openbao): &(TenantId, Option<OpenBaoNames>)) -> Result<Report> {
    let (tenant, scope) = tenants::resolve_any_locked(tx, &TenantRef::Id(*tenant)).await?;
    check_status(&tenant)?;
    let names = openbao.as_ref().map(|names| (names.connection.as_str(), names.role.as_str()));
    tx.tenant(scope).database().provisioned(tx.now().into(), names).await?;
    Ok(Report::done(1))
}

/// Records the last migration, and the end of the operation with it.
async fn record_migrated(tx: &Tx, (tenant, migrated, event): &(TenantId, Migrated, AuditRecord)) -> Result<Report> {
    migrations::record(tx, *tenant, migrated.revision.as_deref()).await?;
    if !migrated.more {
        tx.record(event.clone());
    }
    // A list of files is never too long for this.
    Ok(Report { items: migrated.applied.len() as u64, more: migrated.more })
}
