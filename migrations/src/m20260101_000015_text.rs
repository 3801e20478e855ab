//! A column in which accounts are searched. Servers fill it while they serve (`src/store/older_text.rs`): here the rows would
//! stay locked until the end of the migration, and servers of the version before go on making rows without it.

use sea_orm_migration::prelude::*;

use crate::columns::text;

/// The migration.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = text("search_key").default("").take();
        manager.alter_table(Table::alter().table("accounts").add_column(column).take()).await
    }
}
