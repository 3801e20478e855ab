//! The teardown of a deleted tenant: its leases, its objects in OpenBAO, and its database if that was asked for.
//!
//! The order leaves nothing behind that could not be removed later: OpenBAO needs the role and the connection to revoke leases, and
//! the connection needs the database. So the first failure stops the teardown, and the operation tries the step again. The names
//! stay recorded: what uses the role elsewhere, such as a policy of OpenBAO, must not reach a later tenant.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    Databases, LOOK_EVERY, PROVISIONING, hasten_provisioning,
    names::{self, DatabaseNames, Identity},
    repeated,
};
use crate::{
    base::{Cx, Error, Kind, Result, TenantId, error::Reason},
    jobs::Report,
    openbao::{Cause, OpenBaoError, tenant_role},
    operations::{self, Operation, OperationKind, StepName, Turn},
    providers::provisioner::TenantDatabase,
    store::{
        Tx,
        audit::{AuditRecord, Outcome},
    },
    tenants::tenant::Tenant,
};

/// How long an attempt waits for the end of provisioning: a step that runs during the deletion may still create something.
const WAIT: Duration = Duration::from_secs(3);

/// The kind of operation that removes what was created for a deleted tenant outside of the registry.
#[derive(Debug)]
pub struct TearDownTenant(Databases);

impl TearDownTenant {
    pub fn new(databases: &Databases) -> Self {
        Self(databases.clone())
    }
}

/// The recorded names of the tenant.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Input {
    pub connection: Option<String>,
    pub role: Option<String>,
    pub database: Option<String>,
    pub owner: Option<String>,
    /// Whether the database is dropped.
    pub drop_database: bool,
}

/// A step. Its name is in the response of a call that waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    AwaitProvisioning,
    RevokeLeases,
    DeleteRole,
    DeleteConnection,
    DropDatabase,
    DropOwner,
    Record,
}

impl StepName for Step {
    const ALL: &'static [Self] = &[
        Self::AwaitProvisioning,
        Self::RevokeLeases,
        Self::DeleteRole,
        Self::DeleteConnection,
        Self::DropDatabase,
        Self::DropOwner,
        Self::Record,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::AwaitProvisioning => "wait for provisioning",
            Self::RevokeLeases => "revoke leases",
            Self::DeleteRole => "delete OpenBAO role",
            Self::DeleteConnection => "delete OpenBAO connection",
            Self::DropDatabase => "drop database",
            Self::DropOwner => "drop owner role",
            Self::Record => "record teardown",
        }
    }
}

/// How far a teardown is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Nothing of the tenant is left in OpenBAO.
    pub openbao_removed: bool,
    /// Its database and the owner role were dropped, if that was asked for.
    pub database_dropped: bool,
    /// The step that is not done, with the cause if it has failed.
    pub pending: Option<(&'static str, Option<String>)>,
}

impl Progress {
    /// Of an operation of the kind.
    pub fn of(operation: &Operation) -> Self {
        let pending = operation
            .next_step()
            .and_then(|step| Step::find(&operation.steps.get(step)?.name))
            .map(|step| (step.as_str(), operation.failure.as_ref().map(|failure| failure.cause.clone())));
        let is_done = |step: Step| operation.steps.iter().all(|found| found.name != step.as_str() || found.is_done());
        Self { openbao_removed: is_done(Step::DeleteConnection), database_dropped: is_done(Step::DropOwner), pending }
    }
}

impl OperationKind for TearDownTenant {
    const NAME: &'static str = "tenant.teardown";
    const STEPS: &'static [Step] = Step::ALL;
    /// The tenant is deleted.
    const CANCELLABLE: bool = false;

    type Step = Step;
    type Input = Input;

    async fn step(&self, turn: &Turn, step: Step, input: &Input) -> Result<Report> {
        let operation = turn.operation();
        let tenant = operation.tenant.ok_or_else(|| Error::internal("an operation without its tenant"))?;
        match step {
            Step::AwaitProvisioning => self.await_provisioning(tenant).await?,
            Step::RevokeLeases | Step::DeleteRole | Step::DeleteConnection => {
                let Some(identity) = input.identity()? else { return Ok(Report::done(0)) };
                self.remove(step, &identity).await?;
            }
            Step::DropDatabase | Step::DropOwner => {
                let Some(database) = input.dropped(tenant) else { return Ok(Report::done(0)) };
                let provisioner = self.0.provisioner().map_err(repeated)?;
                let dropped = match step {
                    Step::DropDatabase => provisioner.drop_database(database).await,
                    _ => provisioner.drop_owner(database).await,
                };
                return dropped.map(|existed| Report::done(existed.into())).map_err(repeated);
            }
            Step::Record => self.record(tenant, &operation.target, input).await?,
        }
        Ok(Report::done(1))
    }
}

/// Starts the teardown of a tenant in the write that deletes it. `None` if nothing was created for it.
pub(in crate::tenants) async fn start(tx: &Tx, tenant: &Tenant, drop_database: bool) -> Result<Option<uuid::Uuid>> {
    let names = names::read(tx.conn(), tenant.id).await?;
    if names.is_empty() {
        return Ok(None);
    }
    hasten_provisioning(tx, tenant.id).await?;
    let DatabaseNames { database, owner, identity } = names;
    let (connection, role) = identity
        .map(|Identity { connection, role }| (connection.as_str().to_owned(), role.as_str().to_owned()))
        .unzip();
    let input = Input { connection, role, database, owner, drop_database };
    operations::start::<TearDownTenant>(tx, Some(tenant.id), tenant.name.as_str(), &input).await.map(Some)
}

async fn hasten_in(tx: &Tx, tenant: &TenantId) -> Result<()> {
    hasten_provisioning(tx, *tenant).await
}

impl Input {
    fn identity(&self) -> Result<Option<Identity>> {
        let (Some(connection), Some(role)) = (&self.connection, &self.role) else { return Ok(None) };
        Ok(Some(Identity { connection: names::name(connection)?, role: names::name(role)? }))
    }

    /// The database to be dropped, if there is one.
    fn dropped(&self, tenant: TenantId) -> Option<TenantDatabase<'_>> {
        let (name, owner) = (self.database.as_deref()?, self.owner.as_deref()?);
        self.drop_database.then_some(TenantDatabase { tenant, name, owner })
    }
}

impl TearDownTenant {
    /// Waits for the end of provisioning, which ends with its next attempt, because the tenant is deleted. That attempt is made due now: the one
    /// that ran at the deletion may have failed since, and would be repeated minutes later.
    async fn await_provisioning(&self, tenant: TenantId) -> Result<()> {
        let until = Instant::now() + WAIT;
        if operations::live_named(self.0.store.read(), PROVISIONING, tenant).await?.is_none() {
            return Ok(());
        }
        self.0.store.maintain("tenant.teardown", tenant, hasten_in).await?;
        while operations::live_named(self.0.store.read(), PROVISIONING, tenant).await?.is_some() {
            if Instant::now() >= until {
                let message = "provisioning of the tenant has not ended yet";
                return Err(Error::new(Kind::Unavailable, Reason::ProvisioningFailed, message));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn remove(&self, step: Step, identity: &Identity) -> Result<()> {
        let bao = self.0.openbao().map_err(repeated)?;
        let Identity { connection, role } = identity;
        let done = match step {
            Step::DeleteRole => bao.delete_role(role).await,
            Step::DeleteConnection => bao.delete_connection(connection).await,
            _ => {
                // No login is created after the leases were revoked.
                match tenant_role::stop_leasing(bao, connection).await {
                    Ok(()) | Err(OpenBaoError { cause: Cause::NoConnection, .. }) => bao.revoke_leases(role).await,
                    stopped => stopped,
                }
            }
        };
        done.map_err(repeated)
    }

    /// The end of a deletion whose caller may have gone long ago.
    async fn record(&self, tenant: TenantId, name: &str, input: &Input) -> Result<()> {
        let cx = Cx::system(Self::NAME, self.0.store.clock().clone());
        let details = json!({
            "openbao_removed": input.role.is_some(),
            "database_dropped": input.dropped(tenant).is_some(),
        });
        let record = AuditRecord {
            tenant: Some(tenant),
            target: name.to_owned(),
            details,
            ..AuditRecord::of(&cx, Outcome::Success)
        };
        self.0.store.append_audit(vec![record]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_revoked_before_what_revoking_them_needs_is_removed() {
        use Step::*;
        assert_eq!(
            Step::ALL,
            [AwaitProvisioning, RevokeLeases, DeleteRole, DeleteConnection, DropDatabase, DropOwner, Record]
        );
        for step in Step::ALL {
            assert_eq!(Step::find(step.as_str()), Some(*step));
        }
    }

    #[test]
    fn a_database_is_dropped_only_if_that_was_asked_for() {
        let tenant = TenantId::from_uuid(uuid::Uuid::from_u128(7));
        let names = Input { database: Some("d".to_owned()), owner: Some("o".to_owned()), ..Input::default() };
        assert!(names.dropped(tenant).is_none());
        assert!(Input { drop_database: true, ..names }.dropped(tenant).is_some());
        assert!(Input { drop_database: true, ..Input::default() }.dropped(tenant).is_none());
    }
}
