//! The trust anchor sets of a tenant, as they were signed.

use sea_orm::{
    QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{Alias, Expr, ExprTrait, Query},
};

use super::{
    rows::{Rows, TenantRows, TenantTable},
    tenants,
};
use crate::{
    base::{Result, TenantId},
    store::{
        Db, Fetch,
        columns::{Owner, Stamp, TenantStatus},
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
    /// A digest of the keys of the installation in it, with their states; empty if it was made before this was recorded.
    pub installation: String,
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

/// Tenants after `after`, by id, whose newest set has other keys of the installation than these, at most `most`. For the job that
/// announces keys to all tenants.
pub async fn without_keys(
    conn: &impl Db,
    installation: &str,
    after: Option<TenantId>,
    most: u64,
) -> Result<Vec<TenantId>> {
    let (all, newer) = (Alias::new("anchor_sets"), Alias::new("newer"));
    let newest = Query::select()
        .expr(Expr::col((newer.clone(), Column::Sequence)).max())
        .from_as(Entity, newer.clone())
        .and_where(Expr::col((newer, Column::TenantId)).equals((all, Column::TenantId)))
        .take();
    let present = Query::select()
        .column(tenants::Column::Id)
        .from(tenants::Entity)
        .and_where(tenants::Column::Status.is_not_in([TenantStatus::Deleted, TenantStatus::Deprovisioning]))
        .take();
    let query = Entity::find()
        .filter(Column::Sequence.in_subquery(newest))
        .filter(Column::Installation.ne(installation))
        .filter(Column::TenantId.in_subquery(present))
        .filter(sea_orm::Condition::all().add_option(after.map(|after| Column::TenantId.gt(after))))
        .order_by_asc(Column::TenantId)
        .limit(most);
    Ok(query.select_only().column(Column::TenantId).into_tuple::<TenantId>().fetch_all(conn).await?)
}
