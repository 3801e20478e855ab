//! The signed policies of devices: one for each resolution.

use sea_orm::{
    DbErr,
    sea_query::{Index, Table},
};

use crate::{
    Schema,
    columns::{id, index, number, of_tenant, text},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let (mut tenant_id, mut tenant) = of_tenant("policy_bundles");
    let table = Table::create()
        .table("policy_bundles")
        .col(&mut tenant_id)
        .col(text("resolution"))
        .col(id("bundle_id"))
        .col(number("version"))
        .col(text("channel"))
        .col(text("digest"))
        .col(text("envelope"))
        .col(number("issued_at"))
        .col(number("expires_at"))
        .primary_key(Index::create().name("policy_bundles_pkey").col("tenant_id").col("resolution"))
        .foreign_key(&mut tenant)
        .take();
    schema.run(table).await?;
    schema.run(index("policy_bundles_version", "policy_bundles", &["tenant_id", "version"])).await
}
