//! `RoleService`: granted roles of users.

use prost_types::Timestamp;
use time::{Duration, OffsetDateTime};

use super::{request::user_ref, response::to_role_grants};
use crate::{
    api::{Deps, handlers::zerotrust::v1::role_service::RoleService},
    base::{Cx, Error, Result, error::Reason},
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
        let end = message.expires_at.map(|end| expiry(&end)).transpose()?;
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

/// An expiry with microsecond precision, which is what is stored.
fn expiry(timestamp: &Timestamp) -> Result<OffsetDateTime> {
    // The range of nanoseconds is that of google/protobuf/timestamp.proto.
    let time = OffsetDateTime::from_unix_timestamp(timestamp.seconds).ok();
    let time = time.filter(|_| (0..1_000_000_000).contains(&timestamp.nanos));
    let time = time.and_then(|time| time.checked_add(Duration::microseconds(i64::from(timestamp.nanos) / 1000)));
    time.ok_or_else(|| Error::invalid(Reason::InvalidArgument, "expires_at", "not a valid time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_range_are_refused() {
        let read = |seconds, nanos| expiry(&Timestamp { seconds, nanos }).ok().map(OffsetDateTime::unix_timestamp);
        assert_eq!(read(2_000_000_000, 999_999_999), Some(2_000_000_000));
        for (seconds, nanos) in [(2_000_000_000, -1), (2_000_000_000, 1_000_000_000), (i64::MAX, 0), (i64::MIN, 0)] {
            assert_eq!(read(seconds, nanos), None, "{seconds} {nanos}");
        }
    }
}
