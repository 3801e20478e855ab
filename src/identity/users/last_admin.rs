//! The administrators of a tenant, of whom one has to stay.

use sea_orm::{ColumnTrait, Condition, QueryFilter, QuerySelect};

use crate::identity::{AccountStatus, User, accounts};
use crate::{
    base::{Error, Result, Role, TenantScope, error::Reason},
    store::{Tx, entities::accounts::Column},
};

/// Refuses to let an active administrator go, if no other one stays for good: one whose role ends by itself is none who
/// stays. The tenant is locked, so of two that go at once the second sees that the first has gone.
pub(in crate::identity) async fn refuse_last(tx: &Tx, scope: TenantScope, leaving: &User) -> Result<()> {
    if leaving.account.status != AccountStatus::Active || !leaving.is_lasting_admin() {
        return Ok(());
    }
    let granted = Column::Id.in_subquery(tx.tenant(scope).lasting_holders(Role::Admin));
    let other = accounts::in_place(Some(scope))
        .filter(Column::Status.eq(AccountStatus::Active.as_str()))
        .filter(Column::Id.ne(leaving.account.id))
        .filter(Condition::any().add(Column::Role.eq(Role::Admin.as_str())).add(granted))
        .limit(1);
    if other.one(tx.conn()).await?.is_some() {
        return Ok(());
    }
    let message = "the last active administrator of a tenant cannot be removed, suspended or demoted";
    Err(Error::precondition(Reason::LastAdmin, message))
}
