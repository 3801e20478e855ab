//! The trust anchor sets of a tenant, as they were signed.

use sea_orm::{QueryOrder, entity::prelude::*};

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::Result,
    store::{
        Db, Fetch,
        columns::{Owner, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "anchor_sets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// From 1, without gaps.
    #[sea_orm(primary_key, auto_increment = false)]
    pub sequence: i64,
    /// `sha256:` and the digest of the payload, in hex.
    pub digest: String,
    /// The signed envelope, in JSON.
    pub envelope: String,
    pub issued_at: Stamp,
    pub expires_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn anchor_sets(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The newest set.
    pub async fn latest(&self) -> Result<Option<Model>> {
        Ok(self.select().order_by_desc(Column::Sequence).fetch_one(self.conn).await?)
    }

    /// The set with this number.
    pub async fn numbered(&self, sequence: i64) -> Result<Option<Model>> {
        Ok(self.select().filter(Column::Sequence.eq(sequence)).fetch_one(self.conn).await?)
    }

    /// Inserts a set.
    pub async fn insert(&self, set: Model) -> Result<()> {
        self.add(set).await
    }
}
