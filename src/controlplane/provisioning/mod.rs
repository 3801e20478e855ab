//! Provisioning: the database of a tenant and its owner role on the database server (control-plane contract, section 3.4).
//!
//! A call checks what it can without the server, records the names and the placement, and starts an operation in the same
//! transaction. The operation continues if the caller disconnects. Two calls for one tenant share one operation.

mod operation;
mod start;

use std::time::Duration;

use uuid::Uuid;

pub use self::{
    operation::ProvisionTenant,
    start::{AutoPlacement, ServerAddress},
};
use super::placement::Placement;
use crate::{
    base::{Cx, Error, Kind, Result, TenantRef, error::Reason},
    operations::{self, Operation, State},
    store::Store,
};

/// After how many failed attempts in a row a caller does not wait for the next one.
const ENOUGH_ATTEMPTS: u32 = 3;

/// A call for provisioning: the operation, and what it creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provisioning {
    pub operation: Uuid,
    /// With all names, and the address of the server.
    pub placement: Placement,
}

/// Starts to provision a tenant that has a placement. Checks, in this order: the tenant, its status, the placement, the server that it
/// names, and its names.
pub async fn provision(cx: &Cx, store: &Store, server: &ServerAddress, tenant: &TenantRef) -> Result<Provisioning> {
    store.write(cx, (tenant.clone(), server.clone(), None::<Placement>), start::start).await
}

/// Sets the placement of a tenant and starts to provision it. Checks, in this order: the fields, the tenant, and then as
/// [`provision`]. The names in an existing placement stay.
pub async fn auto_provision(
    cx: &Cx,
    store: &Store,
    server: &ServerAddress,
    tenant: &TenantRef,
    input: AutoPlacement,
) -> Result<Provisioning> {
    let given = Some(input.read()?);
    store.write(cx, (tenant.clone(), server.clone(), given), start::start).await
}

/// Waits until the operation of a call has ended, for at most `time`. Fails if it failed, is not done in time, or has failed several times
/// in a row; the text names the step and the cause. An UNAVAILABLE error says that the operation continues.
pub async fn finish(cx: &Cx, store: &Store, provisioning: &Provisioning, time: Duration) -> Result<()> {
    let enough = |operation: &Operation| operation.attempts >= ENOUGH_ATTEMPTS;
    let operation = operations::wait_until(cx, store, provisioning.operation, time, enough).await?;
    match operation.state {
        State::Succeeded => Ok(()),
        _ => Err(failed(&operation)),
    }
}

/// The error of an operation that has failed or is not done.
fn failed(operation: &Operation) -> Error {
    let step =
        operation.next_step().and_then(|step| operation.steps.get(step)).map_or("end", |step| step.name.as_str());
    let cause = operation.failure.as_ref().map_or("not done in time", |failure| failure.cause.as_str());
    let message = format!("Tenant provisioning failed at {step}: {cause}");
    let is_taken = operation.failure.as_ref().is_some_and(|failure| failure.reason == "DATABASE_NAME_TAKEN");
    match operation.state.is_final() {
        true if is_taken => Error::precondition(Reason::DatabaseNameTaken, message),
        true => Error::precondition(Reason::ProvisioningFailed, message),
        false => {
            let message = format!("{message}; the operation {} continues", operation.id.as_hyphenated());
            Error::new(Kind::Unavailable, Reason::ProvisioningFailed, message)
        }
    }
}
