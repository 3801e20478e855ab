//! A column for the order of tenants by their names for people, which no database has: `list_key`, folded as the server folds
//! it. Servers fill it while they serve (`src/store/older_text.rs`); until then a tenant stands first.

use sea_orm::DbErr;

use crate::Schema;

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    // PostgreSQL compares texts as its locale has it unless it is told to compare bytes; SQLite compares bytes.
    let bytes = if schema.is_postgres() { " COLLATE \"C\"" } else { "" };
    let column = format!("ALTER TABLE tenants ADD COLUMN list_key text{bytes} NOT NULL DEFAULT ''");
    schema.sql(&column).await
}
