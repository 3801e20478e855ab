//! A column in which accounts are searched. Servers fill it while they serve (`src/store/older_text.rs`): here the rows would
//! stay locked until the end of the migration, and servers of the version before go on making rows without it.

use sea_orm::{DbErr, sea_query::Table};

use crate::{Schema, columns::text};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let column = text("search_key").default("").take();
    schema.run(Table::alter().table("accounts").add_column(column).take()).await
}
