//! `GroupService`: groups of the users of a tenant.

use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::group_service::{ChangeGroupAction, GroupService},
        paging, timestamp,
    },
    base::{Cx, Result},
    identity::{
        group_deletion,
        groups::{self, Group, GroupChange, GroupRef, NewGroup},
    },
    proto::zerotrust::v1::{
        self as proto, ChangeGroupRequest, ChangeGroupResponse, GroupAnswer, ListGroupsRequest, ListGroupsResponse,
    },
};

pub struct Groups {
    pub(super) deps: Deps,
}

impl GroupService for Groups {
    async fn list_groups(&self, cx: &Cx, message: ListGroupsRequest) -> Result<ListGroupsResponse> {
        let tenant = cx.tenant()?;
        let page = groups::page(cx, &self.deps.store, tenant, &message.q, paging::request(cx, &message)?).await?;
        Ok(paging::response(page, to_proto))
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
            Create => groups::create(cx, store, cx.tenant()?, new_group(message)).await,
            Update => groups::update(cx, store, &group_ref(cx, &message)?, group_change(message)).await,
            Delete => group_deletion::delete(cx, store, &group_ref(cx, &message)?, message.force).await,
            AddMembers => groups::add_members(cx, store, &group_ref(cx, &message)?, message.user_ids).await,
            RemoveMembers => groups::remove_members(cx, store, &group_ref(cx, &message)?, message.user_ids).await,
        };
        let answer = Some(GroupAnswer { group: Some(to_proto(group?)) });
        Ok(ChangeGroupResponse { answer, created: action == Create })
    }
}

fn new_group(message: ChangeGroupRequest) -> NewGroup {
    let ChangeGroupRequest { name, description, policy_id, user_ids, .. } = message;
    let (name, description) = (name.unwrap_or_default(), description.unwrap_or_default());
    NewGroup { name, description, policy_id, users: user_ids }
}

fn group_change(message: ChangeGroupRequest) -> GroupChange {
    let ChangeGroupRequest { name, description, policy_id, .. } = message;
    GroupChange { name, description, policy_id }
}

/// The group that a request names.
fn group_ref(cx: &Cx, message: &ChangeGroupRequest) -> Result<GroupRef> {
    let (tenant, id) = (cx.tenant()?.clone(), message.group_id().to_owned());
    Ok(GroupRef { tenant, id, version: message.if_version })
}

fn to_proto(group: Group) -> proto::Group {
    let (id, tenant_id) = (group.shown_id(), group.tenant.zero_trust());
    let Group { row, members, .. } = group;
    proto::Group {
        id,
        tenant_id,
        name: row.name,
        description: row.description,
        source: row.source.as_str().to_owned(),
        external_id: row.external_id,
        member_count: members.cast_signed(),
        policy_id: row.policy_id,
        version: row.version,
        created_at: Some(timestamp(row.created_at.time())),
        updated_at: Some(timestamp(row.updated_at.time())),
    }
}
