//! The end of the sessions of accounts: of those that may act in a tenant, of an identity, or of one.

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::{Expr, SimpleExpr},
};
use uuid::Uuid;

use super::{
    Change, ChangeKind, Exec, Fetch, Resource, Revocation, Stamp, Tx,
    tables::{accounts, grants},
};
use crate::base::{IdKind, Result, TenantId, TenantScope};

#[derive(Clone, Copy, Debug)]
pub enum SessionsOf {
    /// All accounts of a tenant, and the platform accounts of identities with a grant in it, whose session may be in
    /// that tenant.
    Tenant(TenantScope),
    /// The platform accounts of an identity.
    Identity(Uuid),
}

impl SessionsOf {
    fn accounts(self) -> Condition {
        match self {
            Self::Tenant(scope) => {
                let granted = grants::Entity::find().select_only().column(grants::Column::IdentityId);
                let granted = granted.filter(grants::Column::TenantId.eq(scope.tenant())).into_query();
                let own = accounts::Column::TenantId.eq(scope.tenant());
                Condition::any().add(own).add(of_platform(accounts::Column::IdentityId.in_subquery(granted)))
            }
            Self::Identity(id) => of_platform(accounts::Column::IdentityId.eq(id)),
        }
    }
}

/// Platform accounts that meet a condition.
fn of_platform(condition: SimpleExpr) -> Condition {
    Condition::all().add(accounts::Column::TenantId.is_null()).add(condition)
}

impl Tx {
    /// Ends the sessions of accounts: starts a new epoch for each, which revokes all tokens issued to it so far,
    /// and raises its version. Returns the number of accounts.
    pub async fn end_sessions(&self, of: SessionsOf) -> Result<u64> {
        let now = Stamp::from(self.now());
        accounts::Entity::update_many()
            .col_expr(accounts::Column::Epoch, Expr::col(accounts::Column::Epoch).add(1))
            .col_expr(accounts::Column::EpochChangedAt, Expr::value(now))
            .col_expr(accounts::Column::Version, Expr::col(accounts::Column::Version).add(1))
            .col_expr(accounts::Column::UpdatedAt, Expr::value(now))
            .filter(of.accounts())
            .run(self.conn())
            .await?;
        let columns = [accounts::Column::Id, accounts::Column::Epoch, accounts::Column::TenantId];
        let ended = accounts::Entity::find().select_only().columns(columns).filter(of.accounts());
        let ended: Vec<(Uuid, i64, Option<TenantId>)> = ended.into_tuple().fetch_all(self.conn()).await?;
        for (id, epoch, tenant) in &ended {
            match tenant {
                // They share one event, because there may be many.
                Some(_) => self.revoke(Revocation::Account { id: *id, epoch: *epoch }),
                None => self.sessions_ended(None, *id, *epoch),
            }
        }
        if let SessionsOf::Tenant(scope) = of {
            let tenant = scope.tenant();
            self.also_changed(Change::new(Resource::Sessions, ChangeKind::Ended, tenant.dashed()).within(tenant));
        }
        Ok(ended.len() as u64)
    }

    /// Records the end of the sessions of one account, whose row already has the new epoch.
    pub fn sessions_ended(&self, tenant: Option<TenantId>, id: Uuid, epoch: i64) {
        self.revoke(Revocation::Account { id, epoch });
        self.also_changed(Change::new(Resource::Sessions, ChangeKind::Ended, IdKind::User.show(id)).within(tenant));
    }
}
