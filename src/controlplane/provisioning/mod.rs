//! Provisioning: the database of a tenant with its owner role on the database server, and its identity in OpenBAO, if that is
//! configured (control-plane contract, section 3.4).
//!
//! A call checks what it can without the server, records the names and the placement, and starts an operation in the same
//! transaction. The operation continues if the caller disconnects. Two calls for one tenant share one operation.

mod identity;
mod operation;
mod start;

use std::time::Duration;

use uuid::Uuid;

pub use self::{
    identity::{OpenBaoNames, check_address},
    operation::ProvisionTenant,
    start::{AutoPlacement, ServerAddress, Site},
};
use super::placement::Placement;
use crate::{
    base::{Cx, Error, Kind, Result, TenantId, TenantRef, error::Reason},
    operations::{self, Operation, State},
    store::Store,
    tenants,
};

/// What the calls of a server need.
#[derive(Clone, Debug)]
pub struct ProvisioningSettings {
    pub site: Site,
    /// How long a call waits for its operation.
    pub timeout: Duration,
    /// The last migration for databases of tenants.
    pub head: Option<String>,
}

/// After how many failed attempts in a row a caller does not wait for the next one.
const ENOUGH_ATTEMPTS: u32 = 3;

/// A call for provisioning: the operation, and what it creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provisioning {
    pub operation: Uuid,
    pub tenant: TenantId,
    /// With all names, and the address of the server.
    pub placement: Placement,
    /// The role in OpenBAO that the operation sets up.
    pub openbao_role: Option<String>,
}

/// Starts to provision a tenant that has a placement. Checks, in this order: the tenant, its status, the placement, whether there is a
/// server, whether it is the one that the placement names, and its names.
pub async fn provision(cx: &Cx, store: &Store, site: &Site, tenant: &TenantRef) -> Result<Provisioning> {
    store.write(cx, (tenant.clone(), site.clone(), None::<Placement>), start::start).await
}

/// Sets the placement of a tenant and starts to provision it. Checks, in this order: the fields, the tenant, and then as
/// [`provision`]. The names in an existing placement stay.
pub async fn auto_provision(
    cx: &Cx,
    store: &Store,
    site: &Site,
    tenant: &TenantRef,
    input: AutoPlacement,
) -> Result<Provisioning> {
    let given = Some(input.read()?);
    store.write(cx, (tenant.clone(), site.clone(), given), start::start).await
}

/// Waits until the operation of a call has ended, for at most `time`, by which the time limit of the call is extended. Returns the last
/// migration of the database. Fails if the operation failed, is not done in time, or has failed several times in a row; the text names
/// the step and the cause. An UNAVAILABLE error says that the operation continues. Every error has the operation.
pub async fn finish(cx: &Cx, store: &Store, provisioning: &Provisioning, time: Duration) -> Result<Option<String>> {
    let finished = wait(cx, store, provisioning, time).await;
    finished.map_err(|error| error.of_operation(provisioning.operation))
}

async fn wait(cx: &Cx, store: &Store, provisioning: &Provisioning, time: Duration) -> Result<Option<String>> {
    cx.extend(time);
    let enough = |operation: &Operation| operation.attempts >= ENOUGH_ATTEMPTS;
    let operation = operations::wait_until(cx, store, provisioning.operation, time, enough).await?;
    if operation.state != State::Succeeded {
        return Err(failed(&operation));
    }
    let (_, scope) = tenants::resolve_any(cx, store, &TenantRef::Id(provisioning.tenant)).await?;
    Ok(store.tenant(scope).database().get().await?.and_then(|database| database.revision))
}

/// The error of an operation that has failed or is not done.
fn failed(operation: &Operation) -> Error {
    let step =
        operation.next_step().and_then(|step| operation.steps.get(step)).map_or("end", |step| step.name.as_str());
    let cause = operation.failure.as_ref().map_or("not done in time", |failure| failure.cause.as_str());
    let message = format!("Tenant provisioning failed at {step}: {cause}");
    if !operation.state.is_final() {
        let message = format!("{message}; the operation {} continues", operation.id.as_hyphenated());
        return Error::new(Kind::Unavailable, Reason::ProvisioningFailed, message);
    }
    match operation.failure.as_ref().map(|failure| failure.reason.as_str()) {
        Some("DATABASE_NAME_TAKEN") => Error::precondition(Reason::DatabaseNameTaken, message),
        // As for calls after the deletion or the suspension.
        Some("TENANT_NOT_FOUND") => Error::not_found(Reason::TenantNotFound, message),
        Some("TENANT_NOT_ACTIVE") => Error::precondition(Reason::TenantNotActive, message),
        _ => Error::precondition(Reason::ProvisioningFailed, message),
    }
}
