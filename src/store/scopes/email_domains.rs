//! Allowed email domains of tenants.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter};
use time::OffsetDateTime;
use uuid::Uuid;

use super::TenantRows;
use crate::{
    base::Result,
    store::{Stamp, entities::email_domains as rows},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailDomainRow {
    pub id: Uuid,
    /// The domain, in lower case and punycode.
    pub domain: String,
}

impl From<rows::Model> for EmailDomainRow {
    fn from(row: rows::Model) -> Self {
        Self { id: row.id, domain: row.domain }
    }
}

impl<C: ConnectionTrait> TenantRows<'_, C> {
    /// All domains, sorted by name.
    pub async fn email_domains(&self) -> Result<Vec<EmailDomainRow>> {
        let found = rows::Entity::find().filter(rows::Column::TenantId.eq(self.uuid())).all(self.conn).await?;
        let mut domains: Vec<_> = found.into_iter().map(EmailDomainRow::from).collect();
        // Sorted here, because text order differs between databases.
        domains.sort_by(|a, b| a.domain.cmp(&b.domain));
        Ok(domains)
    }

    pub async fn email_domain(&self, id: Uuid) -> Result<Option<EmailDomainRow>> {
        Ok(rows::Entity::find_by_id((self.uuid(), id)).one(self.conn).await?.map(EmailDomainRow::from))
    }

    /// Inserts a domain. Fails with [`EmailDomainExists`](crate::base::error::Reason::EmailDomainExists) if the
    /// tenant has it.
    pub async fn insert_email_domain(&self, domain: &EmailDomainRow, now: OffsetDateTime) -> Result<()> {
        let row = rows::Model {
            tenant_id: self.uuid(),
            id: domain.id,
            domain: domain.domain.clone(),
            created_at: Stamp::from(now),
        };
        rows::Entity::insert(row.into_active_model()).exec_without_returning(self.conn).await?;
        Ok(())
    }

    /// Deletes a domain. Returns whether it existed.
    pub async fn delete_email_domain(&self, id: Uuid) -> Result<bool> {
        Ok(rows::Entity::delete_by_id((self.uuid(), id)).exec(self.conn).await?.rows_affected > 0)
    }
}
