//! Signed artifacts: the newest one of each kind and place.

use sea_orm::{
    DbErr,
    sea_query::{Index, Table},
};

use crate::{
    Schema,
    columns::{number, of_tenant, text},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let (mut tenant_id, mut tenant) = of_tenant("artifacts");
    let table = Table::create()
        .table("artifacts")
        .col(&mut tenant_id)
        .col(text("kind"))
        .col(text("place"))
        .col(number("number"))
        .col(text("content"))
        .col(text("key_id"))
        .col(text("digest"))
        .col(text("envelope"))
        .col(number("issued_at"))
        .col(number("expires_at"))
        .primary_key(Index::create().name("artifacts_pkey").col("tenant_id").col("kind").col("place"))
        .foreign_key(&mut tenant)
        .take();
    schema.run(table).await
}
