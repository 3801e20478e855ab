//! Hosts with an agent, which register with an enrollment token.

use sea_orm::{
    DbErr,
    sea_query::{Index, Table},
};

use crate::{
    Schema,
    columns::{flag, id, number, of_tenant, text, text_null, unique},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let (mut tenant_id, mut tenant) = of_tenant("hosts");
    let table = Table::create()
        .table("hosts")
        .col(&mut tenant_id)
        .col(id("id"))
        .col(text("fqdn"))
        .col(text("hostname"))
        .col(text_null("ipv4"))
        .col(text_null("ipv6"))
        .col(flag("active"))
        .col(flag("script_execution_enabled"))
        .col(flag("is_privileged"))
        .col(text("enabled_shells"))
        .col(text("agent_version"))
        .col(text("agent_capabilities"))
        .col(text("secret_hash"))
        .col(id("token_id"))
        .col(text_null("last_ip"))
        .col(number("last_registered_at"))
        .col(number("version"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .primary_key(Index::create().name("hosts_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut tenant)
        .take();
    schema.run(table).await?;
    schema.run(unique("hosts_fqdn_unique", "hosts", &["tenant_id", "fqdn"])).await?;
    schema.run(unique("hosts_secret_unique", "hosts", &["secret_hash"])).await
}
