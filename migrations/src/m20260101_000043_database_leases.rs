//! Leases of credentials of the databases of tenants, which programs hold.

use sea_orm::{
    DbErr,
    sea_query::{Index, Table},
};

use crate::{
    Schema,
    columns::{flag, id, index, number, of_tenant, text},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let (mut tenant, mut key) = of_tenant("database_leases");
    let table = Table::create()
        .table("database_leases")
        .col(&mut tenant)
        .col(id("id"))
        .col(text("sealed"))
        .col(number("duration"))
        .col(flag("ended"))
        .col(number("failures"))
        .col(number("created_at"))
        .col(number("ends_at"))
        .col(number("lapses_at"))
        .col(number("due_at"))
        .primary_key(Index::create().name("database_leases_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut key)
        .take();
    schema.run(table).await?;
    schema.run(index("database_leases_due", "database_leases", &["due_at"])).await
}
