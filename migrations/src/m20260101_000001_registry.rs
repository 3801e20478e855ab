//! The tenant registry and the ledger of derived names.

use sea_orm_migration::prelude::*;

use crate::columns::{id, number, text, text_null, unique};

/// The migration.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(tenants()).await?;
        manager.create_index(unique("tenants_name_key_unique", "tenants", &["name_key"])).await?;
        manager.create_table(derived_names()).await?;
        manager.create_index(unique("derived_names_owner_unique", "derived_names", &["kind", "tenant_id"])).await
    }
}

fn tenants() -> TableCreateStatement {
    Table::create()
        .table("tenants")
        .col(id("id").primary_key())
        .col(text("name"))
        .col(text("name_key"))
        .col(text("display_name"))
        .col(text("status"))
        .col(text_null("suspended_by"))
        .col(number("version"))
        .col(text("labels"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .take()
}

/// The tenant is a soft reference: the ledger of what we made outlives the tenant.
fn derived_names() -> TableCreateStatement {
    Table::create()
        .table("derived_names")
        .col(text("kind"))
        .col(text("name"))
        .col(id("tenant_id"))
        .col(number("created_at"))
        .primary_key(Index::create().name("derived_names_pkey").col("kind").col("name"))
        .take()
}
