//! The end of a tenant with a time of grace, and what the zero-trust and warehouse surfaces keep of one.

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

/// A facet is nothing but settings, so it goes with its tenant.
fn facet(name: &'static str, columns: &[&'static str]) -> TableCreateStatement {
    let (mut key, mut tenant) = of_tenant(name);
    let mut table = Table::create();
    table.table(name).col(key.primary_key());
    for column in columns {
        table.col(text(*column));
    }
    table.foreign_key(&mut tenant).take()
}
