//! Which key-encryption key seals the data keys, and several data keys for one owner.

use sea_orm_migration::prelude::*;

use crate::columns::{flag, index, number, text, text_null};

/// The migration.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(key_encryption()).await?;
        // One at a time: SQLite adds no two columns in one statement.
        let add = |column| Table::alter().table("data_keys").add_column(column).take();
        manager.alter_table(add(text_null("kek"))).await?;
        manager.alter_table(add(number("version").default(1).take())).await?;
        manager.create_index(index("data_keys_tenant_version", "data_keys", &["tenant_id", "version"])).await
    }
}

/// The one row that names the key of the database.
fn key_encryption() -> TableCreateStatement {
    Table::create()
        .table("key_encryption")
        .col(text("id").primary_key())
        .col(text("kek"))
        .col(number("changed_at"))
        .col(number("generation"))
        .col(flag("resealing"))
        .take()
}
