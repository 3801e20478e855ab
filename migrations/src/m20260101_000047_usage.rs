//! Usage, rates and invoices of the manager surface. None of the tables has a foreign key to tenants: what a tenant used, and what it
//! was to pay, is kept after the tenant is gone.

use sea_orm::{
    DbErr,
    sea_query::{Index, Table},
};

use crate::{
    Schema,
    columns::{id, index, number, text, text_null},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let hours = Table::create()
        .table("usage_hours")
        .col(id("tenant_id"))
        .col(number("hour"))
        .col(number("month"))
        .col(number("cpu_milli"))
        .col(number("mem_mib"))
        .primary_key(Index::create().name("usage_hours_pkey").col("tenant_id").col("hour"))
        .take();
    schema.run(hours).await?;
    schema.run(index("usage_hours_month", "usage_hours", &["month", "tenant_id"])).await?;
    let rates = Table::create()
        .table("tenant_rates")
        .col(id("tenant_id"))
        .col(number("effective_from"))
        .col(text_null("cpu_milli"))
        .col(text_null("mem_mib"))
        .col(text("discount"))
        .col(number("created_at"))
        .primary_key(Index::create().name("tenant_rates_pkey").col("tenant_id").col("effective_from"))
        .take();
    schema.run(rates).await?;
    let invoices = Table::create()
        .table("invoices")
        .col(id("tenant_id"))
        .col(number("month"))
        .col(text("document"))
        .col(number("closed_at"))
        .primary_key(Index::create().name("invoices_pkey").col("tenant_id").col("month"))
        .take();
    schema.run(invoices).await
}
