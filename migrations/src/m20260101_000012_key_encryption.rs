//! The key-encryption key that seals the data keys, and several data keys per owner.

use sea_orm::{
    DbErr,
    sea_query::{Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{flag, index, number, text, text_null},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(key_encryption()).await?;
    // SQLite cannot add two columns in one statement.
    let add = |column| Table::alter().table("data_keys").add_column(column).take();
    schema.run(add(text_null("kek"))).await?;
    schema.run(add(number("version").default(1).take())).await?;
    schema.run(index("data_keys_tenant_version", "data_keys", &["tenant_id", "version"])).await
}

/// The row that identifies the database's key.
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
