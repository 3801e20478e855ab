//! Keys that sign and certify, and the trust anchor sets of tenants. Private keys are sealed.

use sea_orm::{
    DbErr,
    sea_query::{Index, Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{id, number, number_null, of_tenant, text, text_null, unique},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(keys("installation_keys").primary_key(Index::create().col("id")).take()).await?;
    let (mut tenant_id, mut tenant) = of_tenant("signers");
    let signers = keys("signers")
        .col(&mut tenant_id)
        .primary_key(Index::create().name("signers_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut tenant)
        .take();
    schema.run(signers).await?;
    schema.run(unique("signers_key_id_unique", "signers", &["tenant_id", "key_id"])).await?;
    let (mut tenant_id, mut tenant) = of_tenant("anchor_sets");
    let sets = Table::create()
        .table("anchor_sets")
        .col(&mut tenant_id)
        .col(number("sequence"))
        .col(text("digest"))
        .col(text("envelope"))
        .col(number("issued_at"))
        .col(number("expires_at"))
        .primary_key(Index::create().name("anchor_sets_pkey").col("tenant_id").col("sequence"))
        .foreign_key(&mut tenant)
        .take();
    schema.run(sets).await
}

/// The columns of a key.
fn keys(table: &'static str) -> TableCreateStatement {
    Table::create()
        .table(table)
        .col(id("id"))
        .col(text("key_use"))
        .col(text("key_id"))
        .col(text("public_key"))
        .col(text_null("certificate"))
        .col(text("sealed_key"))
        .col(text("state"))
        .col(number("not_before"))
        .col(number("not_after"))
        .col(number("created_at"))
        .col(number_null("activated_at"))
        .col(number_null("retired_at"))
        .take()
}
