//! A column for the order of tenants by their names for people, which no database has: `list_key`, folded as the server folds
//! it. Servers fill it while they serve (`src/store/older_text.rs`); until then a tenant stands first.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DbBackend},
};

/// The migration.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        // PostgreSQL compares texts as its locale has it unless it is told to compare bytes; SQLite compares bytes.
        let bytes = if db.get_database_backend() == DbBackend::Postgres { " COLLATE \"C\"" } else { "" };
        let column = format!("ALTER TABLE tenants ADD COLUMN list_key text{bytes} NOT NULL DEFAULT ''");
        db.execute_unprepared(&column).await.map(drop)
    }
}
