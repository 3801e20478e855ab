//! The ledger of the names of namespaces in the cluster, which outlive their projects: a name is never used again, and one
//! without a project is what the cluster must no longer have.

use sea_orm::entity::prelude::*;

use crate::{base::TenantId, store::columns::Stamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "project_namespaces")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// May be deleted.
    pub tenant_id: TenantId,
    /// May be deleted.
    pub project_id: Uuid,
    pub created_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
