//! The end of the sessions of accounts: of those of a tenant, of an identity, or of one.

use sea_orm::{ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QuerySelect, sea_query::Expr};
use uuid::Uuid;

use super::{Change, ChangeKind, Exec, Fetch, Resource, Revocation, Stamp, Tx, tables::accounts};
use crate::base::{IdKind, Result, TenantId, TenantScope};

#[derive(Clone, Copy, Debug)]
pub enum SessionsOf {
    /// All accounts of a tenant.
    Tenant(TenantScope),
    /// The platform accounts of an identity.
    Identity(Uuid),
}

impl SessionsOf {
    fn accounts(self) -> Condition {
        match self {
            Self::Tenant(scope) => Condition::all().add(accounts::Column::TenantId.eq(scope.tenant())),
            Self::Identity(id) => {
                Condition::all().add(accounts::Column::TenantId.is_null()).add(accounts::Column::IdentityId.eq(id))
            }
        }
    }
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
        let ended = accounts::Entity::find().select_only().column(accounts::Column::Id).column(accounts::Column::Epoch);
        let ended: Vec<(Uuid, i64)> = ended.filter(of.accounts()).into_tuple().fetch_all(self.conn()).await?;
        match of {
            // One event for all accounts of a tenant, which may be many.
            SessionsOf::Tenant(scope) => {
                ended.iter().for_each(|(id, epoch)| self.revoke(Revocation::Account { id: *id, epoch: *epoch }));
                let tenant = scope.tenant();
                self.also_changed(Change::new(Resource::Sessions, ChangeKind::Ended, tenant.dashed()).within(tenant));
            }
            SessionsOf::Identity(_) => ended.iter().for_each(|(id, epoch)| self.sessions_ended(None, *id, *epoch)),
        }
        Ok(ended.len() as u64)
    }

    /// Records the end of the sessions of one account, whose row already has the new epoch.
    pub fn sessions_ended(&self, tenant: Option<TenantId>, id: Uuid, epoch: i64) {
        self.revoke(Revocation::Account { id, epoch });
        self.also_changed(Change::new(Resource::Sessions, ChangeKind::Ended, IdKind::User.show(id)).within(tenant));
    }
}
