//! Sessions that began with a login, so that whoever ends them can tell how many there were.

use sea_orm_migration::prelude::*;

use crate::columns::{id, index, number, text};

/// The migration.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("login_sessions")
            .col(text("token_id").primary_key())
            .col(id("account_id"))
            .col(number("epoch"))
            .col(number("expires_at"))
            .foreign_key(
                ForeignKey::create()
                    .name("login_sessions_account_fkey")
                    .from("login_sessions", "account_id")
                    .to("accounts", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        manager.create_table(table).await?;
        manager.create_index(index("login_sessions_account", "login_sessions", &["account_id"])).await
    }
}
