//! Ways to a tenant's directory: the groups of an account, and the answers whose day is over.

use sea_orm_migration::prelude::*;

use crate::columns::index;

/// The migration.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_index(index("group_members_account", "group_members", &["tenant_id", "account_id"])).await?;
        manager.create_index(index("idempotent_answers_expires", "idempotent_answers", &["expires_at"])).await
    }
}
