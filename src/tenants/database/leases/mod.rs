//! Leases for programs: logins of the database of a tenant, which the server renews until they are released, the tenant is suspended
//! or deleted, or their time is over (control-plane contract, decisions).
//!
//! A lease is a row, so it survives the server that handed it out. The row has the id of the lease in OpenBAO, sealed, and when the
//! lease needs something next; the password is only in the response. One server keeps the leases of all ([`KeepDatabaseLeases`]).

mod fault;
mod keep;
mod lease;
mod place;
mod release;
mod revoke;
mod times;

use uuid::Uuid;

pub(super) use self::revoke::revoke_ended;
pub use self::{
    keep::KeepDatabaseLeases,
    lease::{Leased, lease},
    release::release,
    times::{DEFAULT_TTL, LEAST_TTL, LONGEST_TTL},
};
use crate::{
    base::{Caller, CallerKind, Cx, Error, Result, error::Reason},
    store::{
        Sealer, Store,
        sealing::reseal::{InUse, Resealed, SealedColumn},
    },
};

const SEALED: SealedColumn<Uuid> = SealedColumn {
    table: "database_leases",
    key: "id",
    column: "sealed",
    tenant: Some("tenant_id"),
    values: |id, sealed| Ok(vec![(purpose(*id), sealed.to_owned())]),
};

/// Reseals every id that is sealed under an earlier data key. Calls `progress` after each transaction.
pub async fn reseal(store: &Store, sealer: &Sealer, progress: impl FnMut(Resealed)) -> Result<Resealed> {
    SEALED.reseal(store, sealer, progress).await
}

/// The data keys in use.
pub async fn keys_in_use(store: &Store) -> Result<InUse> {
    SEALED.keys_in_use(store).await
}

/// What the id of a lease in OpenBAO is sealed for.
fn purpose(lease: Uuid) -> String {
    format!("database_leases.sealed {}", lease.as_hyphenated())
}

/// Fails for people of a tenant: a login for a person would be in nobody's name.
fn check_caller(cx: &Cx) -> Result<()> {
    let is_program = |party: Caller| party.is_platform() || party.kind == CallerKind::Service;
    if cx.caller.parties().all(is_program) {
        return Ok(());
    }
    let message =
        "only the platform and programs of the tenant, with a service token, can lease credentials of its database";
    Err(Error::denied(Reason::CallerKindRefused, message))
}
