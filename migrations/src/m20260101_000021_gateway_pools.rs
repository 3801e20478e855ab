//! Pools of gateways.

use sea_orm::{
    DbErr,
    sea_query::{Index, Table},
};

use crate::{
    Schema,
    columns::{id, number, number_null, of_tenant, text, text_null, unique},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let (mut tenant_id, mut tenant) = of_tenant("gateway_pools");
    let table = Table::create()
        .table("gateway_pools")
        .col(&mut tenant_id)
        .col(id("id"))
        .col(text("name"))
        .col(text("name_key"))
        .col(text("region"))
        .col(text("selection"))
        .col(number("weight"))
        .col(number("priority"))
        .col(number_null("max_sessions"))
        .col(text("allowed_group_ids"))
        .col(text_null("virtual_cidr"))
        .col(text("dns_servers"))
        .col(number_null("drain_deadline"))
        .col(number("version"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .primary_key(Index::create().name("gateway_pools_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut tenant)
        .take();
    schema.run(table).await?;
    schema.run(unique("gateway_pools_name_unique", "gateway_pools", &["tenant_id", "name_key"])).await
}
