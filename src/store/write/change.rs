//! Changes as consumers of the outbox see them: the resource and the kind of change. Consumers read the
//! resource for details, so a change contains ids and never secrets or personal data.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::base::{Clock, IdKind, TenantId};
use crate::store::{Stamp, tables::outbox};

/// Declares the kinds of resources with the topics of their events.
macro_rules! resources {
    ($($(#[$doc:meta])* $resource:ident = $topic:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Resource {
            $($(#[$doc])* $resource,)*
        }

        impl Resource {
            /// The topic of its events.
            pub fn topic(self) -> &'static str {
                match self {
                    $(Self::$resource => $topic,)*
                }
            }
        }
    };
}

resources! {
    /// A tenant with its settings on every surface. The id is that of the registry.
    Tenant = "tenant",
    /// An account of a tenant or of the platform, with its roles, password and second factor. The id is `usr_...`.
    Account = "account",
    /// The id is `grp_...`.
    Group = "group",
    /// The id is `key_...`.
    ApiKey = "api_key",
    Identity = "identity",
    Grant = "grant",
    EmailDomain = "email_domain",
    /// Where the database of a tenant is. The id is the tenant's.
    Placement = "placement",
    /// The id is `<tenant>/<namespace>`.
    Namespace = "namespace",
    /// The id is its name.
    Cluster = "cluster",
    /// The sessions of an account (`usr_...`), or of all accounts of a tenant (the tenant's id).
    Sessions = "sessions",
    /// The id is its `jti`.
    Token = "token",
    /// An operation. The id is a dashed UUID.
    Operation = "operation",
    /// The id is `pool_...`.
    GatewayPool = "gateway_pool",
    /// The id is `tok_...`.
    EnrollmentToken = "enrollment_token",
    /// The id is `dev_...`.
    Device = "device",
    /// The id is `gw_...`.
    Gateway = "gateway",
    /// A host with an agent. The id is a dashed UUID.
    Host = "host",
    /// The trust anchors of a tenant. The id is the tenant's; the version is the sequence of the set.
    TrustAnchors = "trust_anchors",
    /// A rotation of a key. The id is `rot_...`.
    Rotation = "key_rotation",
    /// A security policy certificate. The id is `spc_...`.
    Spc = "spc",
    /// The revocations of the security policy certificates of a tenant, and their keys. The id is the tenant's; the version is the
    /// sequence.
    SpcBundle = "spc_bundle",
    /// A version of a policy. The id is `pol_...`.
    Policy = "policy",
    /// What the gateways of a tenant have said about their policies. The id is the tenant's.
    PolicyRollout = "policy_rollout",
    /// The sessions that a gateway has to end. The id is that of the gateway.
    KillList = "kill_list",
    /// A project of the manager surface. The id is `p_...`; the version is the generation.
    Project = "project",
    /// An app of the manager surface. The id is `a_...`; the version is the generation.
    App = "app",
    /// The policy of the platform for projects. The id is `default`; the version is the generation.
    PlatformPolicy = "platform_policy",
    /// What a tenant pays for its usage. The id is the tenant's.
    TenantRates = "tenant_rates",
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Created,
    Updated,
    Deleted,
    /// The members of a group changed.
    Members,
    /// The roles of an account changed.
    Roles,
    /// A key or a token was revoked.
    Revoked,
    /// Sessions were ended.
    Ended,
}

impl ChangeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Members => "members",
            Self::Roles => "roles",
            Self::Revoked => "revoked",
            Self::Ended => "ended",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    resource: Resource,
    kind: ChangeKind,
    id: String,
    tenant: Option<TenantId>,
    version: Option<i64>,
}

impl Change {
    /// A change of a resource outside of tenants.
    pub fn new(resource: Resource, kind: ChangeKind, id: impl Into<String>) -> Self {
        Self { resource, kind, id: id.into(), tenant: None, version: None }
    }

    /// A change of an account.
    pub fn of_account(kind: ChangeKind, tenant: Option<TenantId>, id: Uuid, version: i64) -> Self {
        Self::new(Resource::Account, kind, IdKind::User.show(id)).within(tenant).at(version)
    }

    /// Sets the tenant that the resource belongs to, or is.
    #[must_use]
    pub fn within(self, tenant: impl Into<Option<TenantId>>) -> Self {
        Self { tenant: tenant.into(), ..self }
    }

    /// Sets the new version of the resource.
    #[must_use]
    pub fn at(self, version: i64) -> Self {
        Self { version: Some(version), ..self }
    }

    /// The tenant that the resource belongs to, or is.
    pub fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    pub(in crate::store) fn into_row(self, clock: &Clock) -> outbox::Model {
        outbox::Model {
            // Not the injected clock: the ids order the events of one transaction.
            id: Uuid::now_v7(),
            revision: None,
            topic: self.resource.topic().to_owned(),
            tenant_id: self.tenant,
            key: self.id,
            payload: payload(self.kind, self.version).to_string(),
            created_at: Stamp::from(clock.now()),
        }
    }
}

fn payload(kind: ChangeKind, version: Option<i64>) -> Value {
    match version {
        Some(version) => json!({"change": kind.as_str(), "version": version}),
        None => json!({"change": kind.as_str()}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_only_ids() {
        let tenant = TenantId::from_uuid(Uuid::from_u128(7));
        let clock = Clock::system();
        let row = Change::of_account(ChangeKind::Roles, Some(tenant), Uuid::from_u128(8), 3).into_row(&clock);
        assert_eq!((row.topic.as_str(), row.tenant_id), ("account", Some(tenant)));
        assert_eq!(row.key, IdKind::User.show(Uuid::from_u128(8)));
        assert_eq!(row.payload, r#"{"change":"roles","version":3}"#);
        let row = Change::new(Resource::Cluster, ChangeKind::Deleted, "east").into_row(&clock);
        assert_eq!((row.tenant_id, row.payload.as_str()), (None, r#"{"change":"deleted"}"#));
    }
}
