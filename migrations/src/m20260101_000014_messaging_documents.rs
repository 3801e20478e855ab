//! What a cluster and a namespace keep beside their columns: all members of their documents, and sealed secrets.

use sea_orm::{DbErr, sea_query::Table};

use crate::{
    Schema,
    columns::{text, text_null},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    // SQLite adds one column a statement. An older program writes neither, so the defaults must be documents.
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
