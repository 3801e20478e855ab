//! Usage of tenants, by hour. The rows are kept after the tenant is gone.

use sea_orm::{
    IntoActiveModel, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{ExprTrait, OnConflict, Query},
};

use super::{
    invoices,
    rows::{Rows, TenantRows, TenantTable},
};
use crate::{
    base::{Result, TenantId},
    store::{
        Db, Exec, Fetch,
        columns::{Owner, Stamp},
    },
};

/// More than this in one hour is not counted: sums stay numbers of 64 bits.
const MOST: i64 = 4_000_000_000_000_000_000;
/// The sums of both columns are read in two parts, so that they are numbers of 64 bits, too.
const PART: i64 = 1_000_000_000;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_hours")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// Its beginning.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hour: Stamp,
    /// The number of its month, in UTC.
    pub month: i64,
    pub cpu_milli: i64,
    pub mem_mib: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn usage(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The hours of a month, oldest first.
    pub async fn of_month(&self, month: i64) -> Result<Vec<Model>> {
        Ok(self.select().filter(Column::Month.eq(month)).order_by_asc(Column::Hour).fetch_all(self.conn).await?)
    }

    /// Adds to the hours. Returns whether none of them gets too much.
    pub async fn add_hours(&self, hours: Vec<Model>) -> Result<bool> {
        let wanted = hours.len() as u64;
        let sum = |column: Column| Expr::col((Entity, column)).add(Expr::col(("excluded", column)));
        let added = OnConflict::columns([Column::TenantId, Column::Hour])
            .value(Column::CpuMilli, sum(Column::CpuMilli))
            .value(Column::MemMib, sum(Column::MemMib))
            .action_and_where(Expr::col((Entity, Column::CpuMilli)).lte(MOST))
            .action_and_where(Expr::col((Entity, Column::MemMib)).lte(MOST))
            .to_owned();
        let rows = hours.into_iter().map(IntoActiveModel::into_active_model);
        let count = Entity::insert_many(rows).on_conflict(added).run(self.conn).await?;
        Ok(count == wanted)
    }
}

/// The usage of all tenants at all times: CPU and memory.
pub async fn totals(conn: &impl Db) -> Result<(i128, i128)> {
    let sum = |text: &str| Expr::cust(format!("COALESCE(CAST(SUM({text}) AS BIGINT), 0)"));
    let parts = Entity::find()
        .select_only()
        .column_as(sum(&format!("cpu_milli / {PART}")), "a")
        .column_as(sum(&format!("cpu_milli % {PART}")), "b")
        .column_as(sum(&format!("mem_mib / {PART}")), "c")
        .column_as(sum(&format!("mem_mib % {PART}")), "d");
    let (a, b, c, d) = parts.into_tuple::<(i64, i64, i64, i64)>().fetch_one(conn).await?.unwrap_or_default();
    let whole = |high: i64, low: i64| i128::from(high) * i128::from(PART) + i128::from(low);
    Ok((whole(a, b), whole(c, d)))
}

/// Tenants and months before one that have usage and no invoice, at most `most`. For the job that closes months, over all
/// tenants, also those that are gone.
pub async fn unclosed(conn: &impl Db, before: i64, most: u64) -> Result<Vec<(TenantId, i64)>> {
    let closed = Query::select()
        .column(invoices::Column::Month)
        .from(invoices::Entity)
        .and_where(Expr::col((invoices::Entity, invoices::Column::TenantId)).equals((Entity, Column::TenantId)))
        .and_where(Expr::col((invoices::Entity, invoices::Column::Month)).equals((Entity, Column::Month)))
        .take();
    let open = Entity::find()
        .select_only()
        .column(Column::TenantId)
        .column(Column::Month)
        .distinct()
        .filter(Column::Month.lt(before))
        .filter(Expr::exists(closed).not())
        .limit(most);
    Ok(open.into_tuple().fetch_all(conn).await?)
}
