//! The tenant registry.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

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
