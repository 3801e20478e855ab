//! Ids of tenants as columns.

use super::uuid::uuid_column;
use crate::base::TenantId;

uuid_column!(TenantId, TenantId::from_uuid, TenantId::uuid);
