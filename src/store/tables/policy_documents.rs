//! The contents of the policies of a tenant. They are large, and lists of versions do not read them.

use sea_orm::entity::prelude::*;

use super::{
    global_policies,
    rows::{Rows, TenantRows, TenantTable, WithId},
};
use crate::{
    base::Result,
    store::{Db, Fetch, columns::Owner},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "policy_documents")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    #[sea_orm(primary_key, auto_increment = false)]
    pub policy_id: Uuid,
    /// Its canonical JSON, whose digest the policy has.
    pub document: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl WithId for Entity {
    const ID: Column = Column::PolicyId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn policy_documents(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The contents of these policies of the tenant, with their ids. Those of global ones are not copied.
    pub async fn of(&self, policies: &[Uuid]) -> Result<Vec<(Uuid, String)>> {
        let found = self.select().filter(Column::PolicyId.is_in(policies.iter().copied())).fetch_all(self.conn).await?;
        let mut found: Vec<_> = found.into_iter().map(|row| (row.policy_id, row.document)).collect();
        let is_missing = |id: &&Uuid| !found.iter().any(|(known, _)| known == *id);
        let missing: Vec<Uuid> = policies.iter().filter(is_missing).copied().collect();
        if !missing.is_empty() {
            found.extend(global_policies::contents(self.conn, &missing).await?);
        }
        Ok(found)
    }

    /// Inserts the content of a policy.
    pub async fn insert(&self, policy: Uuid, document: String) -> Result<()> {
        self.add(Model { tenant_id: self.tenant, policy_id: policy, document }).await
    }
}
