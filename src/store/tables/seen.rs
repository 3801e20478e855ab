//! The last call of a device or gateway, as both tables record it.

use std::net::IpAddr;

use uuid::Uuid;

use crate::{
    base::{EnrolledKind, TenantId},
    store::Stamp,
};

/// The last call of a device or gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub kind: EnrolledKind,
    pub tenant: TenantId,
    pub id: Uuid,
    pub at: Stamp,
    pub address: Option<IpAddr>,
}
