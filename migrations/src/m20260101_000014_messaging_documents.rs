//! What a cluster and a namespace keep beside their columns: all members of their documents, and sealed secrets.

use sea_orm_migration::prelude::*;

use crate::columns::{text, text_null};

/// The migration.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column a statement. An older program writes neither, so the defaults must be documents.
        let columns = [
            ("clusters", text("settings").default("{}").take()),
            ("clusters", text_null("sealed")),
            ("namespaces", text("policies").default("{}").take()),
        ];
        for (table, mut column) in columns {
            manager.alter_table(Table::alter().table(table).add_column(&mut column).take()).await?;
        }
        Ok(())
    }
}
