//! The payload of a directory, whose bytes are signed and whose digest is its entity tag.

use serde::Serialize;
use time::OffsetDateTime;

use super::listing::{Listing, Shown};
use crate::base::{Error, Result, TenantId, rfc3339::whole_seconds};

const SCHEMA: &str = "tenantry.gateway-pools.v1";

/// The payload, in the documented order.
#[derive(Serialize)]
struct Payload<'a> {
    schema: &'static str,
    tenant_id: String,
    sequence: i64,
    issued_at: String,
    expires_at: String,
    pools: Vec<&'a Shown>,
}

/// The bytes of the payload. The times are in whole seconds.
pub(super) fn payload(
    tenant: TenantId,
    listing: &Listing,
    sequence: i64,
    issued_at: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> Result<Vec<u8>> {
    let payload = Payload {
        schema: SCHEMA,
        tenant_id: tenant.zero_trust(),
        sequence,
        issued_at: whole_seconds(issued_at)?,
        expires_at: whole_seconds(expires_at)?,
        pools: listing.pools.iter().map(|pool| &pool.shown).collect(),
    };
    serde_json::to_vec(&payload).map_err(Error::internal)
}
