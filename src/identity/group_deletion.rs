//! The deletion of a group, which revokes the roles for it.

use serde_json::json;

use super::{
    groups::{
        self, Group, GroupRef,
        rules::{self, Edit},
    },
    roles::grants,
};
use crate::{
    base::{Cx, Result},
    store::{ChangeKind, Store, Tx},
};

/// Deletes a group with its memberships and the roles granted for it, and returns it. Fails as [`groups::update`] does, with
/// FAILED_PRECONDITION if a policy applies to its members (unless `force`) or a directory manages it, and with
/// PERMISSION_DENIED if the caller may not revoke one of the roles.
pub async fn delete(cx: &Cx, store: &Store, group: &GroupRef, force: bool) -> Result<Group> {
    store.write(cx, (group.clone(), force), remove).await
}

async fn remove(tx: &Tx, (group, force): &(GroupRef, bool)) -> Result<Group> {
    let (scope, row) = groups::locked(tx, group).await?;
    let rows = tx.tenant(scope);
    let has_policy = rows.policies().concern_group(row.id).await?;
    if !force {
        rules::refuse(&row, Edit::Delete)?;
        if has_policy {
            return Err(rules::in_use());
        }
    }
    if has_policy {
        // Its devices fall back to policies with lower versions. They may be in it by their tokens, too.
        let next = rows.latest_policy_version().await?.saturating_add(1);
        rows.devices().raise_policy_floor(None, next).await?;
    }
    let gone = groups::counted(tx, scope, row).await?;
    grants::revoke_for_group(tx, scope, gone.row.id).await?;
    tx.tenant(scope).groups().delete(gone.row.id).await?;
    let details = json!({"name": gone.row.name, "members": gone.members, "force": force});
    groups::record(tx, scope, &gone.row, ChangeKind::Deleted, details);
    Ok(gone)
}
