//! How far the revocations of the security policy certificates of a tenant are.

use sea_orm::{
    IntoActiveModel,
    entity::prelude::*,
    sea_query::{ExprTrait, OnConflict},
};

use super::{
    rows::{Rows, TenantRows, TenantTable},
    spcs::{SpcFilter, SpcRevocation},
};
use crate::{
    base::{Error, Result},
    store::{Db, Exec, Fetch, columns::Owner},
};

/// The epoch of a tenant before it revoked all of its certificates for the first time.
pub const FIRST_EPOCH: i64 = 1;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "spc_states")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// Raised by every revocation and every change of the keys.
    pub sequence: i64,
    /// Certificates of an earlier epoch are revoked.
    pub epoch: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

/// What a revocation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpcsRevoked {
    /// The number of certificates.
    pub count: u64,
    /// The sequence after it; 0 if nothing was ever revoked or announced.
    pub sequence: i64,
    /// Whether it raised the sequence.
    pub is_new: bool,
}

impl<'a, C> TenantRows<'a, C> {
    pub fn spc_states(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The state, if there is one.
    pub async fn get(&self) -> Result<Option<Model>> {
        Ok(self.select().fetch_one(self.conn).await?)
    }

    /// The current epoch.
    pub async fn epoch(&self) -> Result<i64> {
        Ok(self.get().await?.map_or(FIRST_EPOCH, |state| state.epoch))
    }

    /// Raises the sequence, and the epoch by this number. The row stays locked until the write ends, so that sequences become visible in
    /// their order.
    pub async fn raise(&self, epochs: i64) -> Result<Model> {
        let first = Model { tenant_id: self.tenant, sequence: 1, epoch: FIRST_EPOCH + epochs };
        let raised = |column: Column, by: i64| Expr::col((Entity, column)).add(by);
        let again = OnConflict::column(Column::TenantId)
            .value(Column::Sequence, raised(Column::Sequence, 1))
            .value(Column::Epoch, raised(Column::Epoch, epochs))
            .to_owned();
        Entity::insert(first.into_active_model()).on_conflict(again).run(self.conn).await?;
        self.get().await?.ok_or_else(|| Error::internal("the state of a tenant's certificates is missing"))
    }
}

impl<C: Db> TenantRows<'_, C> {
    /// Revokes certificates: those that are valid, and only once. All of them are revoked with the epoch.
    pub async fn revoke_spcs(&self, which: &SpcFilter, revocation: SpcRevocation) -> Result<SpcsRevoked> {
        if !self.spcs().has_valid(which, revocation.ended).await? {
            let sequence = self.spc_states().get().await?.map_or(0, |state| state.sequence);
            return Ok(SpcsRevoked { count: 0, sequence, is_new: false });
        }
        let state = self.spc_states().raise(i64::from(*which == SpcFilter::All)).await?;
        let count = self.spcs().revoke(which, revocation, state.sequence).await?;
        Ok(SpcsRevoked { count, sequence: state.sequence, is_new: true })
    }
}
