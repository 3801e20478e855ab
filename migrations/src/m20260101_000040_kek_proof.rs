//! What proves that a key-encryption key of another system is still the same one.

use sea_orm::{DbErr, sea_query::Table};

use crate::{Schema, columns::text_null};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(Table::alter().table("key_encryption").add_column(text_null("proof")).take()).await
}
