//! `RoleService`: granted roles of users.

use super::{
    request::{time, user_ref},
    response::to_role_grants,
};
use crate::{
    api::{Deps, handlers::zerotrust::v1::role_service::RoleService},
    base::{Cx, Result},
    identity::{
        User,
        roles::grants::{self, RoleRef},
    },
    proto::zerotrust::v1::{GrantRoleRequest, GrantRoleResponse, RevokeRoleRequest, RevokeRoleResponse, RoleScope},
};

pub struct RoleGrants {
    pub(super) deps: Deps,
}

impl RoleService for RoleGrants {
    async fn grant_role(&self, cx: &Cx, message: GrantRoleRequest) -> Result<GrantRoleResponse> {
        let role = role_ref(message.role, message.scope);
        let end = message.expires_at.map(|end| time("expires_at", &end)).transpose()?;
        let of = user_ref(cx, message.user_id.unwrap_or_default(), None)?;
        let User { account, roles, .. } = grants::grant(cx, &self.deps.store, &of, &role, end).await?;
        let roles = to_role_grants(account.tenant, roles);
        Ok(GrantRoleResponse { user_id: account.shown_id(), roles })
    }

    async fn revoke_role(&self, cx: &Cx, message: RevokeRoleRequest) -> Result<RevokeRoleResponse> {
        let role = role_ref(message.role, message.scope);
        let of = user_ref(cx, message.user_id.unwrap_or_default(), None)?;
        let User { account, roles, .. } = grants::revoke(cx, &self.deps.store, &of, &role).await?;
        let roles = to_role_grants(account.tenant, roles);
        Ok(RevokeRoleResponse { user_id: account.shown_id(), roles })
    }
}

fn role_ref(role: Option<String>, scope: Option<RoleScope>) -> RoleRef {
    let scope = scope.map(|scope| (scope.r#type.unwrap_or_default(), scope.id));
    RoleRef { role: role.unwrap_or_default(), scope }
}
