//! Every tenant keeps at least one active administrator.

use sea_orm::{ColumnTrait, Condition, QueryFilter, QuerySelect};

use crate::identity::{AccountStatus, User, accounts};
use crate::{
    base::{Error, Result, Role, TenantScope, error::Reason},
    store::{Fetch, Tx, tables::accounts::Column},
};

/// Refuses the removal of an active administrator unless another permanent one remains; an administrator whose
/// role expires does not count. The tenant is locked, so the second of two concurrent removals sees the first.
pub(in crate::identity) async fn refuse_last(tx: &Tx, scope: TenantScope, leaving: &User) -> Result<()> {
    if leaving.account.status != AccountStatus::Active || !leaving.is_lasting_admin() {
        return Ok(());
    }
    let granted = Column::Id.in_subquery(tx.tenant(scope).account_roles().lasting_holders(Role::Admin));
    let other = accounts::in_place(Some(scope))
        .filter(Column::Status.eq(AccountStatus::Active))
        .filter(Column::Id.ne(leaving.account.id))
        .filter(Condition::any().add(Column::Role.eq(Role::Admin)).add(granted))
        .limit(1);
    if other.fetch_one(tx.conn()).await?.is_some() {
        return Ok(());
    }
    let message = "the last active administrator of a tenant cannot be removed, suspended or demoted";
    Err(Error::precondition(Reason::LastAdmin, message))
}
