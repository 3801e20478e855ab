//! Email domains whose identities may be granted a role in a tenant.

use sea_orm::entity::prelude::*;

use super::rows::{Rows, TenantRows, TenantTable, WithId};
use crate::{
    base::{Result, error::Reason},
    store::{
        Db, Fetch,
        columns::{Owner, Stamp},
        unique::Unique,
    },
};

/// The unique indexes whose violations callers see.
pub(super) const UNIQUE: &[Unique] = &[Unique {
    index: "email_domains_domain_unique",
    columns: "email_domains.tenant_id, email_domains.domain",
    reason: Reason::EmailDomainExists,
    message: "the tenant already has that email domain",
}];

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "email_domains")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The domain, in lower case and punycode.
    pub domain: String,
    pub created_at: Stamp,
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
    pub fn email_domains(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// All domains, sorted by name.
    pub async fn all(&self) -> Result<Vec<Model>> {
        let mut domains = self.select().fetch_all(self.conn).await?;
        // Sorted here, because text order differs between databases.
        domains.sort_by(|a, b| a.domain.cmp(&b.domain));
        Ok(domains)
    }

    /// Inserts a domain. Fails with [`EmailDomainExists`](Reason::EmailDomainExists) if the tenant has it.
    pub async fn insert(&self, domain: Model) -> Result<()> {
        self.add(domain).await
    }

    /// Deletes a domain. Returns whether it existed.
    pub async fn delete(&self, id: Uuid) -> Result<bool> {
        self.remove(id).await
    }
}
