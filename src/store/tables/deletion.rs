//! The deletion of tenants: what blocks it, and the removal of their rows, a bounded batch at a time.
//!
//! A table with rows of tenants is listed here, either as a blocker or as purged, unless a tenant has at most a few of its
//! rows, which are deleted with the tenant.

use futures::future::BoxFuture;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::{
    access_sessions, account_roles, accounts, anchor_sets, api_keys, apps, artifacts, credentials, database_leases,
    devices, email_domains, enrollment_tokens, gateway_materials, gateway_pools, gateway_reports, gateways, grants,
    group_members, groups, hosts, metering_reports, policies, policy_bundles, policy_documents, policy_reports,
    projects,
    rows::{Rows, TenantRows, TenantTable},
    spcs, tenants,
};
use crate::{
    base::Result,
    store::{Exec, TxConn, columns::TenantStatus, delete_some},
};

/// Checks whether a tenant has rows of a kind.
type Ask = for<'t> fn(&'t TenantRows<'t, TxConn>) -> BoxFuture<'t, Result<bool>>;

/// Resources that block the deletion of a tenant, with a check for each.
const BLOCKERS: &[(&str, Ask)] = &[("namespaces", |rows| Box::pin(async move { rows.namespaces().exist().await }))];

/// Declares the kinds of rows that are purged, each with its table.
macro_rules! purged {
    ($($kind:ident = $table:ident,)*) => {
        /// The kinds of rows that a tenant may have any number of. Whatever else it has is deleted with the tenant itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Purged {
            $(#[doc = concat!("The rows of the table `", stringify!($table), "`.")] $kind,)*
        }

        impl Purged {
            /// All kinds, in the order of their removal.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The name of the table.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($table),)*
                }
            }
        }

        impl TenantRows<'_, TxConn> {
            /// Removes at most `most` rows of a kind, and returns how many there were.
            pub async fn purge(&self, kind: Purged, most: u64) -> Result<u64> {
                match kind {
                    $(Purged::$kind => self.table::<$table::Entity>().purge_some(most).await,)*
                }
            }
        }
    };
}

// Rows are removed before the rows that they refer to, so that no batch grows by a cascade.
purged! {
    ApiKeys = api_keys,
    Apps = apps,
    Projects = projects,
    AccountRoles = account_roles,
    GroupMembers = group_members,
    Groups = groups,
    Accounts = accounts,
    Grants = grants,
    EmailDomains = email_domains,
    DatabaseLeases = database_leases,
    EnrollmentTokens = enrollment_tokens,
    Hosts = hosts,
    Credentials = credentials,
    AccessSessions = access_sessions,
    MeteringReports = metering_reports,
    GatewayReports = gateway_reports,
    PolicyReports = policy_reports,
    Spcs = spcs,
    Devices = devices,
    GatewayMaterials = gateway_materials,
    Gateways = gateways,
    GatewayPools = gateway_pools,
    AnchorSets = anchor_sets,
    Artifacts = artifacts,
    PolicyBundles = policy_bundles,
    PolicyDocuments = policy_documents,
    Policies = policies,
}

impl TenantRows<'_, TxConn> {
    /// The resources that block the deletion of the tenant.
    pub async fn blockers(&self) -> Result<Vec<&'static str>> {
        let mut found = Vec::new();
        for (kind, ask) in BLOCKERS {
            if ask(self).await? {
                found.push(*kind);
            }
        }
        Ok(found)
    }

    /// Removes the tenant itself, if it was deleted, with its settings and keys. Returns whether it was there.
    pub async fn purge_tenant(&self) -> Result<bool> {
        let deleted = tenants::Entity::delete_many()
            .filter(tenants::Column::Id.eq(self.tenant))
            .filter(tenants::Column::Status.eq(TenantStatus::Deleted));
        Ok(deleted.run(self.conn).await? > 0)
    }
}

impl<E: TenantTable> Rows<'_, TxConn, E> {
    async fn purge_some(&self, most: u64) -> Result<u64> {
        delete_some(self.conn, self.delete_many(), self.select(), most).await
    }
}
