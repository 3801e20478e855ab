//! The tenant registry.

use sea_orm::{
    Condition,
    entity::prelude::*,
    sea_query::{ExprTrait, IntoColumnRef, Query, SimpleExpr},
};

use crate::{
    base::{TenantName, TenantRef, error::Reason},
    store::{Stamp, unique::Unique},
};

/// The unique indexes whose violations callers see.
pub(in crate::store) const UNIQUE: &[Unique] = &[Unique {
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
    pub id: Uuid,
    /// The name as it was given.
    pub name: String,
    /// The name in the form that is compared.
    pub name_key: String,
    pub display_name: String,
    pub status: String,
    /// `platform` or `tenant`.
    pub suspended_by: Option<String>,
    /// Raised by every change.
    pub version: i64,
    /// JSON object of texts.
    pub labels: String,
    pub created_at: Stamp,
    pub updated_at: Stamp,
    /// End of the grace period of a deleted tenant.
    pub purge_at: Option<Stamp>,
    /// The sort key: display name and name; empty in rows of older programs.
    pub list_key: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The settings on the messaging surface.
    #[sea_orm(has_one = "super::messaging_tenants::Entity")]
    Messaging,
}

impl Related<super::messaging_tenants::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Messaging.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

/// The status of a tenant that was deleted for good and whose rows are being removed.
pub const DELETED: &str = "deleted";

/// The condition that a tenant was not deleted for good.
pub fn exists() -> SimpleExpr {
    Column::Status.ne(DELETED)
}

/// The condition that the tenant which a column names was deleted for good.
pub fn is_deleted(tenant: impl IntoColumnRef) -> SimpleExpr {
    let deleted = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Expr::col((Entity, Column::Id)).equals(tenant))
        .and_where(Expr::col((Entity, Column::Status)).eq(DELETED))
        .take();
    Expr::exists(deleted)
}

impl Entity {
    /// The query for the tenant of a reference; `None` if it cannot be a tenant's name or id. Tenants that were
    /// deleted for good are not found.
    pub fn find_by_ref(reference: &TenantRef) -> Option<Select<Self>> {
        let named = match reference {
            TenantRef::Id(id) => Self::find_by_id(id.uuid()),
            TenantRef::Name(name) => {
                let name: TenantName = name.parse().ok()?;
                Self::find().filter(Column::NameKey.eq(name.key()))
            }
            TenantRef::Either(id, name) => {
                let either = Condition::any().add(Column::Id.eq(id.uuid())).add(Column::NameKey.eq(name));
                Self::find().filter(either)
            }
        };
        Some(named.filter(exists()))
    }
}
