//! Columns for the complete documents of clusters and namespaces, and for sealed secrets.

use sea_orm::{DbErr, sea_query::Table};

use crate::{
    Schema,
    columns::{text, text_null},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    // SQLite adds one column per statement. Older programs write neither column, so the defaults must be valid
    // documents.
    let columns = [
        ("clusters", text("settings").default("{}").take()),
        ("clusters", text_null("sealed")),
        ("namespaces", text("policies").default("{}").take()),
    ];
    for (table, mut column) in columns {
        schema.run(Table::alter().table(table).add_column(&mut column).take()).await?;
    }
    Ok(())
}
