//! The tables, one file each: the columns, the texts of unique indexes, and the queries.
//!
//! Tables with rows of tenants are visible only in the store. Other modules reach their rows through a scope
//! ([`Store::tenant`](super::Store::tenant), [`Tx::tenant`](super::Tx::tenant)), and see them as the types below. The areas
//! query the other tables themselves; a query that two areas need is here.

pub(super) mod access_sessions;
pub(super) mod account_roles;
pub mod accounts;
pub(super) mod admission;
pub(super) mod anchor_sets;
pub(super) mod api_keys;
pub(super) mod apps;
pub(super) mod artifacts;
pub mod audit_events;
pub mod clusters;
pub mod counters;
pub(super) mod credentials;
pub(super) mod data_keys;
pub(super) mod database_leases;
mod deletion;
pub mod derived_names;
pub(super) mod devices;
pub(super) mod email_domains;
pub(super) mod enrolled;
pub mod enrolled_keys;
pub(super) mod enrollment_tokens;
pub mod factor_attempts;
pub(super) mod gateway_directories;
pub(super) mod gateway_materials;
pub(super) mod gateway_pools;
pub(super) mod gateway_reports;
pub(super) mod gateways;
pub mod global_policies;
pub(super) mod grants;
pub(super) mod group_members;
pub(super) mod groups;
pub(super) mod hosts;
pub mod idempotent_answers;
pub mod identities;
pub mod installation_keys;
pub(super) mod invoices;
pub mod jobs;
pub(super) mod key_encryption;
pub mod leases;
pub mod login_sessions;
pub(super) mod messaging_tenants;
pub(super) mod metering_reports;
pub(super) mod namespaces;
pub mod operations;
pub mod outbox;
pub mod outbox_marks;
pub mod platform_policies;
pub(super) mod policies;
pub(super) mod policy_bundles;
pub(super) mod policy_documents;
pub(super) mod policy_reports;
pub mod project_namespaces;
pub(super) mod projects;
pub mod recovery_codes;
pub mod released_names;
pub mod revoked_tokens;
pub mod rotations;
mod rows;
mod seen;
mod session_addresses;
pub(super) mod signers;
pub(super) mod spc_bundles;
pub(super) mod spc_states;
pub(super) mod spcs;
pub(super) mod tenant_databases;
pub(super) mod tenant_placements;
pub(super) mod tenant_rates;
pub mod tenants;
pub(super) mod usage_hours;
pub(super) mod warehouse_tenants;
pub(super) mod zerotrust_tenants;

pub use access_sessions::{
    Model as AccessSessionRow, SessionFilter, SessionsAt, are_due as access_sessions_are_due, is_being_killed,
    prune as prune_access_sessions,
};
pub use account_roles::{GROUP, Model as RoleRow, TENANT_WIDE};
pub use admission::{Credential as AdmissionCredential, Place as AdmissionPlace, Subject as AdmissionSubject};
pub use anchor_sets::{Model as AnchorSetRow, without_keys as tenants_without_keys};
pub use api_keys::{ApiKeyUse, Model as ApiKeyRow};
pub use apps::{AppsOf, Model as AppRow, owner as owner_of_app, query as apps_query};
pub use artifacts::Model as ArtifactRow;
pub use credentials::{Model as CredentialRow, OVERLAP as CREDENTIAL_OVERLAP};
pub use database_leases::{
    Model as DatabaseLeaseRow, Outcome as DatabaseLeaseOutcome, are_due as database_leases_are_due,
    due as due_database_leases, settle as settle_database_lease,
};
pub use deletion::Purged;
pub use devices::{
    DeviceFilter, DeviceMember, Model as DeviceRow, count as count_devices, delete_unseen as delete_unseen_devices,
    ids_after as device_ids,
};
pub use email_domains::Model as EmailDomainRow;
pub use enrolled::{Holder, Standing, may_have_devices};
pub use enrollment_tokens::{
    Model as EnrollmentTokenRow, TokenFilter, TokenState, of_hosts_query as host_tokens_query,
};
pub use gateway_directories::Model as GatewayDirectoryRow;
pub use gateway_materials::Model as GatewayMaterialRow;
pub use gateway_pools::Model as GatewayPoolRow;
pub use gateway_reports::Model as GatewayReportRow;
pub use gateways::Model as GatewayRow;
pub use grants::{
    Model as GrantRow, by_id as grant_by_id, choose as choose_grant, clear_defaults as clear_default_grants,
    list as grants, of_identity as grants_of_identity, query as grants_query,
};
pub use groups::Model as GroupRow;
pub use hosts::{Model as HostRow, query as hosts_query};
pub use invoices::{Model as InvoiceRow, kept as invoice_of, rows_of as rows_of_gone_tenant};
pub use messaging_tenants::Model as MessagingRow;
pub use metering_reports::{Model as MeteringReportRow, ReportFilter, prune as prune_metering_reports};
pub use namespaces::{Model as NamespaceRow, names_query as namespace_names_query};
pub use policies::{Model as PolicyRow, Reporter, due_canaries, place as policy_place};
pub use policy_bundles::Model as PolicyBundleRow;
pub use policy_reports::{Model as PolicyReportRow, SessionReport};
pub use projects::{Model as ProjectRow, owner as owner_of_project, query as projects_query};
pub use rows::TenantRows;
pub use seen::Seen;
pub use signers::Model as SignerRow;
pub use spc_bundles::Model as SpcBundleRow;
pub use spc_states::{FIRST_EPOCH as FIRST_SPC_EPOCH, Model as SpcStateRow, SpcsRevoked};
pub use spcs::{Model as SpcRow, SpcFilter, SpcRevocation, delete_ended as delete_ended_spcs};
pub use tenant_databases::{Model as TenantDatabaseRow, is_at as database_is_at, is_behind as database_is_behind};
pub use tenant_placements::Model as PlacementRow;
pub use tenant_rates::Model as RatesRow;
pub use usage_hours::{Model as UsageRow, totals as usage_totals, unclosed as unclosed_months};
pub use warehouse_tenants::Model as WarehouseRow;
pub use zerotrust_tenants::Model as ZeroTrustRow;

use super::unique::Unique;

/// The unique indexes of all tables whose violations callers see.
pub(super) fn unique() -> impl Iterator<Item = &'static Unique> {
    [
        accounts::UNIQUE,
        apps::UNIQUE,
        clusters::UNIQUE,
        email_domains::UNIQUE,
        enrolled_keys::UNIQUE,
        gateway_pools::UNIQUE,
        grants::UNIQUE,
        groups::UNIQUE,
        hosts::UNIQUE,
        identities::UNIQUE,
        namespaces::UNIQUE,
        projects::UNIQUE,
        tenants::UNIQUE,
    ]
    .into_iter()
    .flatten()
}
