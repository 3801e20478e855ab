//! Names that tenants gave up, and when: a token that names a tenant by a name does not outlive that tenant.

use sea_orm_migration::prelude::*;

use crate::columns::{number, text};

/// The migration.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut name = text("name_key");
        let table = Table::create().table("released_names").col(name.primary_key()).col(number("released_at")).take();
        manager.create_table(table).await
    }
}
