//! Where the databases of tenants are, and which were provisioned.

use sea_orm::{DbErr, sea_query::Table};

use crate::{
    Schema,
    columns::{number, number_null, of_tenant, text, text_null},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let (mut tenant, mut key) = of_tenant("tenant_placements");
    let placements = Table::create()
        .table("tenant_placements")
        .col(tenant.primary_key())
        .col(text_null("host"))
        .col(number_null("port"))
        .col(text_null("dbname"))
        .col(text_null("region"))
        .col(text("tier"))
        .col(text_null("openbao_role"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .foreign_key(&mut key)
        .take();
    schema.run(placements).await?;
    let (mut tenant, mut key) = of_tenant("tenant_databases");
    let databases = Table::create()
        .table("tenant_databases")
        .col(tenant.primary_key())
        .col(number("created_at"))
        .col(number("updated_at"))
        .foreign_key(&mut key)
        .take();
    schema.run(databases).await
}
