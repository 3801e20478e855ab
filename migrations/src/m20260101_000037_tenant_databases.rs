//! What the databases of tenants have: their objects in OpenBAO, and the last migration that was applied.

use sea_orm::{DbErr, sea_query::Table};

use crate::{
    Schema,
    columns::{number_null, text_null},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    // SQLite adds one column at a time.
    for column in
        [text_null("openbao_connection"), text_null("openbao_role"), text_null("revision"), number_null("migrated_at")]
    {
        schema.run(Table::alter().table("tenant_databases").add_column(column).take()).await?;
    }
    Ok(())
}
