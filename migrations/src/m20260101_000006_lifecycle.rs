//! The end of a tenant with a time of grace, and what the zero-trust and warehouse surfaces keep of one.

use sea_orm_migration::prelude::*;

use crate::columns::{number_null, of_tenant, text};

/// The migration.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let purge = Table::alter().table("tenants").add_column(number_null("purge_at")).take();
        manager.alter_table(purge).await?;
        manager.create_table(facet("zerotrust_tenants", &["plan", "overrides"])).await?;
        manager.create_table(facet("warehouse_tenants", &["auth_provider", "auth_config"])).await
    }
}

/// A facet is nothing but settings, so it goes with its tenant.
fn facet(name: &'static str, columns: &[&'static str]) -> TableCreateStatement {
    let (mut key, mut tenant) = of_tenant(name);
    let mut table = Table::create();
    table.table(name).col(key.primary_key());
    for column in columns {
        table.col(text(*column));
    }
    table.foreign_key(&mut tenant).take()
}
