//! Deletion of tenants with a grace period, and the tenant settings of the zero-trust and warehouse surfaces.

use sea_orm::{
    DbErr,
    sea_query::{Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{number_null, of_tenant, text},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let purge = Table::alter().table("tenants").add_column(number_null("purge_at")).take();
    schema.run(purge).await?;
    schema.run(facet("zerotrust_tenants", &["plan", "overrides"])).await?;
    schema.run(facet("warehouse_tenants", &["auth_provider", "auth_config"])).await
}

/// Only settings, so the row is deleted with its tenant.
fn facet(name: &'static str, columns: &[&'static str]) -> TableCreateStatement {
    let (mut key, mut tenant) = of_tenant(name);
    let mut table = Table::create();
    table.table(name).col(key.primary_key());
    for column in columns {
        table.col(text(*column));
    }
    table.foreign_key(&mut tenant).take()
}
