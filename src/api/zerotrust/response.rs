//! Conversion of objects to messages of this surface (zero-trust contract, section 3).

use crate::{
    api::{structs::to_struct, timestamp},
    base::{IdKind, TenantId},
    identity::{RoleGrant, RoleScope, User, shown_email},
    proto::zerotrust::v1::{self as proto, Mfa},
    tenants::Status,
    zerotrust::tenants::Subscriber,
};

pub(super) fn to_tenant(subscriber: Subscriber) -> proto::Tenant {
    let Subscriber { tenant, plan, overrides } = subscriber;
    let status = match tenant.status {
        Status::Provisioning | Status::Active => "active",
        Status::Suspended => "suspended",
        Status::Deprovisioning | Status::Deleted => "deleted",
    };
    proto::Tenant {
        id: tenant.id.zero_trust(),
        name: tenant.display_name,
        slug: tenant.name.as_str().to_owned(),
        status: status.to_owned(),
        plan: plan.as_str().to_owned(),
        created_at: Some(timestamp(tenant.created_at)),
        overrides: Some(to_struct(overrides)),
        version: tenant.version,
        purge_at: tenant.purge_at.map(timestamp),
    }
}

pub(super) fn to_user(user: User) -> proto::User {
    let User { account, roles, groups } = user;
    proto::User {
        id: account.shown_id(),
        tenant_id: account.tenant.map(TenantId::zero_trust),
        email: shown_email(&account),
        display_name: account.display_name,
        role: account.role.as_str().to_owned(),
        roles: to_role_grants(account.tenant, roles),
        groups: groups.into_iter().map(|id| IdKind::Group.show(id)).collect(),
        status: account.status.as_str().to_owned(),
        source: account.source.as_str().to_owned(),
        external_id: account.external_id,
        mfa: Some(Mfa { totp: account.totp.as_str().to_owned() }),
        last_login_at: account.last_login_at.map(timestamp),
        created_at: Some(timestamp(account.created_at)),
        updated_at: Some(timestamp(account.updated_at)),
        version: account.version,
    }
}

pub(super) fn to_role_grants(tenant: Option<TenantId>, roles: Vec<RoleGrant>) -> Vec<proto::RoleGrant> {
    let grant = |grant: RoleGrant| proto::RoleGrant {
        role: grant.role.as_str().to_owned(),
        scope: tenant.map(|tenant| to_role_scope(tenant, &grant.scope)),
        granted_by: grant.granted_by,
        granted_at: Some(timestamp(grant.granted_at)),
        expires_at: grant.expires_at.map(timestamp),
    };
    roles.into_iter().map(grant).collect()
}

fn to_role_scope(tenant: TenantId, scope: &RoleScope) -> proto::RoleScope {
    let id = match scope {
        RoleScope::Tenant => tenant.zero_trust(),
        scope => scope.id(),
    };
    proto::RoleScope { r#type: Some(scope.kind().to_owned()), id: Some(id) }
}
