//! The tenant registry.

use sea_orm::{Condition, entity::prelude::*};

use crate::{
    base::{TenantName, TenantRef},
    store::Stamp,
};

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tenants")]
pub struct Model {
    /// UUIDv7, never reused.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Name as it was given.
    pub name: String,
    /// Name as it is compared.
    pub name_key: String,
    /// Name for people.
    pub display_name: String,
    /// Word of the status.
    pub status: String,
    /// Who suspended it.
    pub suspended_by: Option<String>,
    /// Grows with every change.
    pub version: i64,
    /// JSON object of texts.
    pub labels: String,
    /// When it was made.
    pub created_at: Stamp,
    /// When it last changed.
    pub updated_at: Stamp,
    /// When a deleted tenant's time of grace is over.
    pub purge_at: Option<Stamp>,
    /// Names for people and of its own as they are sorted; empty if a program wrote the row that knows of no such order.
    pub list_key: String,
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The messaging facet.
    #[sea_orm(has_one = "super::messaging_tenants::Entity")]
    Messaging,
}

impl Related<super::messaging_tenants::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Messaging.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The query for the tenant that a reference names; `None` if it is a text that no tenant can be called.
    pub fn find_by_ref(reference: &TenantRef) -> Option<Select<Self>> {
        match reference {
            TenantRef::Id(id) => Some(Self::find_by_id(id.uuid())),
            TenantRef::Name(name) => {
                let name: TenantName = name.parse().ok()?;
                Some(Self::find().filter(Column::NameKey.eq(name.key())))
            }
            TenantRef::Either(id, name) => {
                let either = Condition::any().add(Column::Id.eq(id.uuid())).add(Column::NameKey.eq(name));
                Some(Self::find().filter(either))
            }
        }
    }
}
