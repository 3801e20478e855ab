//! Names that tenants released, and when: a token that names a tenant must not be valid for a later tenant of
//! that name.

use sea_orm::{DbErr, sea_query::Table};

use crate::{
    Schema,
    columns::{number, text},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let mut name = text("name_key");
    let table = Table::create().table("released_names").col(name.primary_key()).col(number("released_at")).take();
    schema.run(table).await
}
