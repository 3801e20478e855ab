//! The tenant registry.

use std::collections::BTreeMap;

use sea_orm::{
    Condition, ConnectionTrait, FromQueryResult, QueryTrait,
    entity::prelude::*,
    sea_query::{ExprTrait, IntoColumnRef, Query, SimpleExpr},
};

use crate::{
    base::{Error, Result, TenantId, TenantName, TenantRef, error::Reason},
    store::{
        columns::{Json, Stamp, Suspension, TenantStatus},
        unique::Unique,
    },
};

/// The unique indexes whose violations callers see.
pub(super) const UNIQUE: &[Unique] = &[Unique {
    index: "tenants_name_key_unique",
    columns: "tenants.name_key",
    reason: Reason::TenantExists,
    message: "a tenant with that name already exists",
}];

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tenants")]
pub struct Model {
    /// UUIDv7, never reused.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TenantId,
    /// The name as it was given.
    pub name: String,
    /// The name in the form that is compared.
    pub name_key: String,
    pub display_name: String,
    pub status: TenantStatus,
    /// Set while it is suspended.
    pub suspended_by: Option<Suspension>,
    /// Raised by every change.
    pub version: i64,
    pub labels: Json<BTreeMap<String, String>>,
    pub created_at: Stamp,
    pub updated_at: Stamp,
    /// End of the grace period of a deleted tenant.
    pub purge_at: Option<Stamp>,
    /// The sort key: display name and name; empty in rows of older programs.
    pub list_key: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The condition that a tenant was not deleted for good.
pub fn exists() -> SimpleExpr {
    Column::Status.ne(TenantStatus::Deleted)
}

/// The condition that the tenant which a column names was deleted for good.
pub fn is_deleted(tenant: impl IntoColumnRef) -> SimpleExpr {
    let deleted = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Expr::col((Entity, Column::Id)).equals(tenant))
        .and_where(Expr::col((Entity, Column::Status)).eq(TenantStatus::Deleted))
        .take();
    Expr::exists(deleted)
}

/// The rows of a query, by their ids. One that cannot be read does not fail the others.
pub async fn each(query: Select<Entity>, conn: &impl ConnectionTrait) -> Result<Vec<(TenantId, Result<Model>)>> {
    let rows = conn.query_all(&query.into_query()).await?;
    let read = |row: &QueryResult| Ok((row.try_get("", "id")?, Model::from_query_result(row, "").map_err(Error::from)));
    rows.iter().map(read).collect()
}

impl Entity {
    /// The query for the tenant of a reference; `None` if it cannot be a tenant's name or id. Tenants that were
    /// deleted for good are not found.
    pub fn find_by_ref(reference: &TenantRef) -> Option<Select<Self>> {
        let named = match reference {
            TenantRef::Id(id) => Self::find_by_id(*id),
            TenantRef::Name(name) => {
                let name: TenantName = name.parse().ok()?;
                Self::find().filter(Column::NameKey.eq(name.key()))
            }
            TenantRef::Either(id, name) => {
                let either = Condition::any().add(Column::Id.eq(*id)).add(Column::NameKey.eq(name));
                Self::find().filter(either)
            }
        };
        Some(named.filter(exists()))
    }
}
