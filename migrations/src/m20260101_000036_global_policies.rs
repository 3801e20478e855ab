//! Policies of the platform, which are copied into every tenant, and how far each tenant has them.

use sea_orm::{
    DbErr,
    sea_query::{Index, Table},
};

use crate::{
    Schema,
    columns::{id, index, number, number_null, text, unique},
};

/// The current version in a channel.
const ACTIVE: &str =
    "CREATE UNIQUE INDEX global_policies_active_unique ON global_policies (channel) WHERE state = 'active'";

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table("global_policies")
        .col(id("id"))
        .col(number("version"))
        .col(text("channel"))
        .col(text("state"))
        .col(text("digest"))
        .col(text("document"))
        .col(number_null("percent"))
        .col(text("notes"))
        .col(text("published_by"))
        .col(number_null("from_version"))
        .col(number("published_at"))
        .col(number("expires_at"))
        .primary_key(Index::create().name("global_policies_pkey").col("id"))
        .take();
    schema.run(table).await?;
    schema.run(unique("global_policies_version_unique", "global_policies", &["version"])).await?;
    schema.sql(ACTIVE).await?;
    let applied = Table::alter().table("tenants").add_column(number("global_policy").default(0)).take();
    schema.run(applied).await?;
    schema.run(index("tenants_global_policy", "tenants", &["global_policy"])).await
}
