//! A column for searching accounts. Servers fill it in the background (`src/store/older_text.rs`): a migration
//! would keep the rows locked until its end, and servers of the previous version keep inserting rows without
//! it.

use sea_orm::{DbErr, sea_query::Table};

use crate::{Schema, columns::text};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let column = text("search_key").default("").take();
    schema.run(Table::alter().table("accounts").add_column(column).take()).await
}
