//! The tenant registry and the table of derived names.

use sea_orm::{
    DbErr,
    sea_query::{Index, Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{id, number, text, text_null, unique},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(tenants()).await?;
    schema.run(unique("tenants_name_key_unique", "tenants", &["name_key"])).await?;
    schema.run(derived_names()).await?;
    schema.run(unique("derived_names_owner_unique", "derived_names", &["kind", "tenant_id"])).await
}

fn tenants() -> TableCreateStatement {
    Table::create()
        .table("tenants")
        .col(id("id").primary_key())
        .col(text("name"))
        .col(text("name_key"))
        .col(text("display_name"))
        .col(text("status"))
        .col(text_null("suspended_by"))
        .col(number("version"))
        .col(text("labels"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .take()
}

/// The tenant is a soft reference: derived names stay reserved after the tenant is deleted.
fn derived_names() -> TableCreateStatement {
    Table::create()
        .table("derived_names")
        .col(text("kind"))
        .col(text("name"))
        .col(id("tenant_id"))
        .col(number("created_at"))
        .primary_key(Index::create().name("derived_names_pkey").col("kind").col("name"))
        .take()
}
