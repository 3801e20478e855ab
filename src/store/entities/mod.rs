//! The tables, one file each. Times are [`Stamp`](super::Stamp)s; lists and objects are JSON text.
//!
//! Tables with rows of tenants are visible only in the store: other modules access them through a scope.

pub(super) mod account_roles;
pub mod accounts;
pub(super) mod api_keys;
pub mod audit_events;
pub mod clusters;
pub mod counters;
pub(super) mod data_keys;
pub mod derived_names;
pub(super) mod email_domains;
pub(super) mod grants;
pub(super) mod group_members;
pub(super) mod groups;
pub mod idempotent_answers;
pub mod identities;
pub mod jobs;
pub(super) mod key_encryption;
pub mod leases;
pub mod login_sessions;
pub(super) mod messaging_tenants;
pub(super) mod namespaces;
pub mod operations;
pub mod outbox;
pub mod outbox_marks;
pub mod recovery_codes;
pub mod released_names;
pub mod revoked_tokens;
pub mod tenants;
pub(super) mod warehouse_tenants;
pub(super) mod zerotrust_tenants;

use super::unique::Unique;

/// The unique indexes of all tables whose violations callers see.
pub(super) fn unique() -> impl Iterator<Item = &'static Unique> {
    [
        accounts::UNIQUE,
        clusters::UNIQUE,
        email_domains::UNIQUE,
        grants::UNIQUE,
        groups::UNIQUE,
        identities::UNIQUE,
        namespaces::UNIQUE,
        tenants::UNIQUE,
    ]
    .into_iter()
    .flatten()
}
