//! The registry: tenants of all surfaces.

pub mod database;
pub mod derived_names;
pub mod jobs;
mod limit;
mod lists;
mod names;
mod purge;
mod reachable;
pub mod soft_delete;
pub mod source;
mod suspension;
mod tenant;
mod write;

pub use self::soft_delete::{GRACE, deprovision, purge_due, restore};
pub use lists::{Order, list, names, names_query, page, query};
pub use names::released_at;
pub use purge::PurgeTenant;
pub use reachable::{present_or_past, reachable_page, watchable};
pub use suspension::{refuse_suspended, suspend, unsuspend};
pub use tenant::{Tenant, count, find, not_found, reach, resolve, resolve_any, resolve_any_locked, resolve_locked};
pub use write::{
    DeletedTenant, NewTenant, TenantChange, TenantDeletion, delete, delete_with, insert, record, record_update, remove,
    rename, update,
};

pub use crate::store::columns::{Authority, Suspension, TenantStatus as Status};
