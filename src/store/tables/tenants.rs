//! The tenant registry.

use std::collections::BTreeMap;

use sea_orm::{
    Condition,
    entity::prelude::*,
    sea_query::{ExprTrait, IntoColumnRef, Query, SimpleExpr},
};

use crate::{
    base::{Error, Result, TenantId, TenantName, TenantRef, error::Reason},
    store::{
        Db, Kept,
        columns::{Json, Stamp, Suspension, TenantStatus},
        query::fetch_each,
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

/// The condition that surfaces show the tenant which a column names.
pub fn is_present(tenant: impl IntoColumnRef) -> SimpleExpr {
    let present = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Expr::col((Entity, Column::Id)).equals(tenant))
        .and_where(Expr::col((Entity, Column::Status)).is_in(TenantStatus::PRESENT.map(Value::from)))
        .take();
    Expr::exists(present)
}

/// The condition that the tenant which a column names admits its callers, and the values of its parameters: [`admitting`].
pub fn is_admitting(tenant: impl IntoColumnRef) -> SimpleExpr {
    let admitting = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Expr::col((Entity, Column::Id)).equals(tenant))
        .and_where(Expr::col((Entity, Column::Status)).is_in(admitting()))
        .take();
    Expr::exists(admitting)
}

/// The statuses in which a tenant admits its callers.
pub fn admitting() -> impl Iterator<Item = Value> {
    TenantStatus::ALL.into_iter().filter(|status| status.admits()).map(Value::from)
}

/// The rows of a query, by their ids. One that cannot be read does not fail the others.
pub async fn each(query: Select<Entity>, conn: &impl Db) -> Result<Vec<(TenantId, Result<Model>)>> {
    let rows = fetch_each(conn, query).await?;
    Ok(rows.into_iter().map(|(id, row)| (id, row.map_err(Error::from))).collect())
}

impl Entity {
    /// The query for the tenant of a reference; `None` if it cannot be a tenant's name or id. Tenants that were
    /// deleted for good are not found.
    pub fn find_by_ref(reference: &TenantRef) -> Option<Select<Self>> {
        ByRef::of(reference).map(|by| by.select())
    }
}

/// What is looked up for a reference to a tenant.
#[derive(Clone, Debug)]
pub enum ByRef {
    Id(TenantId),
    /// The name in the form that is compared.
    Name(String),
    Either(TenantId, String),
}

impl ByRef {
    /// `None` if the reference cannot be a tenant's name or id.
    pub fn of(reference: &TenantRef) -> Option<Self> {
        Some(match reference {
            TenantRef::Id(id) => Self::Id(*id),
            TenantRef::Name(name) => Self::Name(name.parse::<TenantName>().ok()?.key()),
            TenantRef::Either(id, name) => Self::Either(*id, name.clone()),
        })
    }

    /// The query for the tenant, unless it was deleted for good.
    pub fn select(&self) -> Select<Entity> {
        let named = match self {
            Self::Id(id) => Entity::find_by_id(*id),
            Self::Name(name) => Entity::find().filter(Column::NameKey.eq(name)),
            Self::Either(id, name) => {
                Entity::find().filter(Condition::any().add(Column::Id.eq(*id)).add(Column::NameKey.eq(name)))
            }
        };
        named.filter(exists())
    }

    /// The text of a query for each kind of reference, and the values of its parameters. The query adds none to
    /// [`select`](Self::select).
    pub fn kept<'k>(&self, texts: &'k [Kept; 3]) -> (&'k Kept, Vec<Value>) {
        let deleted = TenantStatus::Deleted.into();
        match self {
            Self::Id(id) => (&texts[0], vec![(*id).into(), deleted]),
            Self::Name(name) => (&texts[1], vec![name.as_str().into(), deleted]),
            Self::Either(id, name) => (&texts[2], vec![(*id).into(), name.as_str().into(), deleted]),
        }
    }
}
