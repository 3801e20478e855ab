//! `list_key`, which orders tenants by their display names: folded by the server, because databases do not have
//! this order. Servers fill it in the background (`src/store/older_text.rs`); until then a tenant is listed
//! first.

use sea_orm::DbErr;

use crate::Schema;

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    // PostgreSQL compares texts by its locale unless told to compare bytes; SQLite compares bytes.
    let bytes = if schema.is_postgres() { " COLLATE \"C\"" } else { "" };
    let column = format!("ALTER TABLE tenants ADD COLUMN list_key text{bytes} NOT NULL DEFAULT ''");
    schema.sql(&column).await
}
