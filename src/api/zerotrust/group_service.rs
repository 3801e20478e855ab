//! `GroupService`: groups of the users of a tenant.

use super::given;
use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::group_service::{ChangeGroupAction, GroupService},
        paging, timestamp,
    },
    base::{Cx, Result},
    identity::groups::{self, Group, GroupChange, GroupRef, NewGroup},
    proto::zerotrust::v1::{
        self as proto, ChangeGroupRequest, ChangeGroupResponse, GroupAnswer, ListGroupsRequest, ListGroupsResponse,
    },
};

pub struct Groups {
    pub(super) deps: Deps,
}

impl GroupService for Groups {
    async fn list_groups(&self, cx: &Cx, message: ListGroupsRequest) -> Result<ListGroupsResponse> {
        let tenant = given::tenant(cx, message.tenant_id.as_deref())?;
        let request = paging::request(&message)?;
        let page = groups::page(cx, &self.deps.store, &tenant, &message.q, request).await?;
        Ok(paging::response(page, shown))
    }

    async fn change_group(
        &self,
        cx: &Cx,
        action: ChangeGroupAction,
        message: ChangeGroupRequest,
    ) -> Result<ChangeGroupResponse> {
        use ChangeGroupAction::{AddMembers, Create, Delete, RemoveMembers, Update};
        let store = &self.deps.store;
        let group = match action {
            Create => {
                let tenant = given::tenant(cx, message.tenant_id.as_deref())?;
                groups::create(cx, store, &tenant, new_group(message)?).await
            }
            Update => groups::update(cx, store, &named(cx, &message)?, change(message)).await,
            Delete => groups::delete(cx, store, &named(cx, &message)?, message.force).await,
            AddMembers => groups::add_members(cx, store, &named(cx, &message)?, message.user_ids).await,
            RemoveMembers => groups::remove_members(cx, store, &named(cx, &message)?, message.user_ids).await,
        };
        let answer = Some(GroupAnswer { group: Some(shown(group?)) });
        Ok(ChangeGroupResponse { answer, created: action == Create })
    }
}

fn new_group(message: ChangeGroupRequest) -> Result<NewGroup> {
    let ChangeGroupRequest { name, description, policy_id, user_ids, .. } = message;
    let name = given::required("name", name)?;
    Ok(NewGroup { name, description: description.unwrap_or_default(), policy_id, users: user_ids })
}

fn change(message: ChangeGroupRequest) -> GroupChange {
    let ChangeGroupRequest { name, description, policy_id, .. } = message;
    GroupChange { name, description, policy_id }
}

/// The group that a request names.
fn named(cx: &Cx, message: &ChangeGroupRequest) -> Result<GroupRef> {
    Ok(GroupRef {
        tenant: given::tenant(cx, message.tenant_id.as_deref())?,
        id: given::required("group_id", message.group_id.clone())?,
        version: message.if_version,
    })
}

fn shown(group: Group) -> proto::Group {
    let (id, tenant_id) = (group.shown_id(), group.tenant.zero_trust());
    let Group { row, members, .. } = group;
    proto::Group {
        id,
        tenant_id,
        name: row.name,
        description: row.description,
        source: row.source,
        external_id: row.external_id,
        member_count: members.cast_signed(),
        policy_id: row.policy_id,
        version: row.version,
        created_at: Some(timestamp(row.created_at)),
        updated_at: Some(timestamp(row.updated_at)),
    }
}
