//! Gateways of a tenant.

use std::{collections::HashMap, net::IpAddr};

use sea_orm::{
    ActiveValue::Unchanged,
    Condition, IntoActiveModel, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, Query},
};

use super::{
    access_sessions,
    credentials::Model as CredentialRow,
    gateway_pools,
    rows::{Rows, TenantRows, TenantTable, WithId},
    seen::Seen,
};
use crate::{
    base::{EnrolledKind, PageRequest, Result},
    store::{
        Count, Db, Exec, Fetch, UpdateRow,
        columns::{GatewayStatus, Json, Owner, SessionStatus, Stamp},
        page::page,
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "gateways")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub pool_id: Uuid,
    pub name: String,
    /// Empty if unknown.
    pub region: String,
    /// Where clients reach it.
    pub endpoints: Json<Vec<String>>,
    /// The version of its program.
    pub gateway_version: String,
    pub status: GatewayStatus,
    /// When its remaining sessions end, if it drains.
    pub drain_deadline: Option<Stamp>,
    /// The token that it enrolled with.
    pub token_id: Option<Uuid>,
    pub last_seen_at: Option<Stamp>,
    pub last_ip: Option<String>,
    /// Raised by every change of what administrators see and decide.
    pub version: i64,
    pub created_at: Stamp,
    pub updated_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl WithId for Entity {
    const ID: Column = Column::Id;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn gateways(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Those of these gateways that exist.
    pub async fn existing(&self, ids: &[Uuid]) -> Result<Vec<Uuid>> {
        let query = self.select().filter(Column::Id.is_in(ids.iter().copied())).select_only().column(Column::Id);
        Ok(query.into_tuple().fetch_all(self.conn).await?)
    }

    /// How many gateways of the tenant are not revoked.
    pub async fn seats(&self) -> Result<u64> {
        Ok(self.select().filter(Column::Status.ne(GatewayStatus::Revoked)).fetch_count(self.conn).await?)
    }

    /// A page of the gateways, of a pool if it is given, oldest first, and the total number.
    pub async fn page(&self, pool: Option<Uuid>, request: PageRequest) -> Result<(Vec<Model>, u64)> {
        let wanted = Condition::all().add_option(pool.map(|pool| Column::PoolId.eq(pool)));
        page(self.select().filter(wanted), Column::Id, request, self.conn).await
    }

    /// The gateways that may call, oldest first.
    pub async fn active(&self) -> Result<Vec<Model>> {
        let active = self.select().filter(Column::Status.eq(GatewayStatus::Active));
        Ok(active.order_by_asc(Column::Id).fetch_all(self.conn).await?)
    }

    /// The ids of the gateways of the tenant that are not revoked, oldest first.
    pub async fn present_ids(&self) -> Result<Vec<Uuid>> {
        let present = self.select().filter(Column::Status.ne(GatewayStatus::Revoked)).order_by_asc(Column::Id);
        Ok(present.select_only().column(Column::Id).into_tuple().fetch_all(self.conn).await?)
    }

    /// The gateways of a pool that are not revoked.
    pub async fn of_pool(&self, pool: Uuid) -> Result<Vec<Model>> {
        self.present(Some(pool)).await
    }

    /// The ids of the gateways of pools that are not revoked, oldest first.
    pub async fn ids_of(&self, pools: &[Uuid]) -> Result<HashMap<Uuid, Vec<Uuid>>> {
        let query = self
            .select()
            .filter(Column::PoolId.is_in(pools.iter().copied()))
            .filter(Column::Status.ne(GatewayStatus::Revoked))
            .order_by_asc(Column::Id)
            .select_only()
            .columns([Column::PoolId, Column::Id]);
        let found: Vec<(Uuid, Uuid)> = query.into_tuple().fetch_all(self.conn).await?;
        let mut ids: HashMap<_, Vec<_>> = HashMap::new();
        found.into_iter().for_each(|(pool, id)| ids.entry(pool).or_default().push(id));
        Ok(ids)
    }

    /// The newest credentials of gateways. Those without a credential are missing.
    pub async fn credentials(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, CredentialRow>> {
        TenantRows { conn: self.conn, tenant: self.tenant }.credentials().newest_of::<Entity>(ids).await
    }

    /// Inserts a gateway.
    pub async fn insert(&self, gateway: Model) -> Result<()> {
        self.add(gateway).await
    }

    /// Updates a gateway.
    pub async fn update(&self, gateway: &Model) -> Result<()> {
        let row = gateway.clone().into_active_model().reset_all();
        let row = ActiveModel { tenant_id: Unchanged(self.tenant), id: Unchanged(gateway.id), ..row };
        row.update_row(self.conn).await?;
        Ok(())
    }

    /// Records a report of a gateway, unless a later call is recorded.
    pub async fn note_report(&self, id: Uuid, now: Stamp, address: Option<IpAddr>) -> Result<()> {
        note_seen(self.conn, &Seen { kind: EnrolledKind::Gateway, tenant: self.tenant.tenant(), id, at: now, address })
            .await
    }

    /// The gateways that are not revoked, oldest first; those of a pool if it is given.
    pub async fn present(&self, pool: Option<Uuid>) -> Result<Vec<Model>> {
        let wanted = Condition::all()
            .add(Column::Status.ne(GatewayStatus::Revoked))
            .add_option(pool.map(|pool| Column::PoolId.eq(pool)));
        Ok(self.select().filter(wanted).order_by_asc(Column::Id).fetch_all(self.conn).await?)
    }

    /// Deletes a gateway. Returns whether it existed.
    pub async fn delete(&self, id: Uuid) -> Result<bool> {
        self.remove(id).await
    }
}

/// Records the last call of a gateway, unless a later one is recorded. Takes no scope, because it belongs to no call.
pub(in crate::store) async fn note_seen(conn: &impl Db, seen: &Seen) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::LastSeenAt, Expr::value(seen.at))
        .col_expr(Column::LastIp, Expr::value(seen.address.map(|address| address.to_string())))
        .filter(Column::TenantId.eq(seen.tenant))
        .filter(Column::Id.eq(seen.id))
        .filter(Condition::any().add(Column::LastSeenAt.is_null()).add(Column::LastSeenAt.lt(seen.at)))
        .run(conn)
        .await?;
    Ok(())
}

/// The gateways of any tenant whose drain is over, by itself or with their pool, and that have active sessions, at most `most`.
pub(in crate::store) async fn drained(conn: &impl Db, now: Stamp, most: u64) -> Result<Vec<Model>> {
    let pool = Query::select()
        .column(gateway_pools::Column::Id.as_column_ref())
        .from(gateway_pools::Entity)
        .and_where(same(gateway_pools::Column::TenantId, Column::TenantId))
        .and_where(same(gateway_pools::Column::Id, Column::PoolId))
        .and_where(gateway_pools::Column::DrainDeadline.lte(now))
        .take();
    let session = Query::select()
        .column(access_sessions::Column::Id.as_column_ref())
        .from(access_sessions::Entity)
        .and_where(same(access_sessions::Column::TenantId, Column::TenantId))
        .and_where(same(access_sessions::Column::GatewayId, Column::Id))
        .and_where(access_sessions::Column::Status.eq(SessionStatus::Active))
        .take();
    let over = Condition::any().add(Column::DrainDeadline.lte(now)).add(Expr::exists(pool));
    Ok(Entity::find().filter(over).filter(Expr::exists(session)).limit(most).fetch_all(conn).await?)
}

/// Whether columns of two tables are equal.
fn same(one: impl ColumnTrait, other: Column) -> Expr {
    Expr::col(one.as_column_ref()).equals(other.as_column_ref())
}
