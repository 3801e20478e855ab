//! Security policy certificates, how far their revocations are, and the signed list of those.

use sea_orm::{
    DbErr,
    sea_query::{Index, Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{id, index, number, number_null, of_tenant, text, text_null, unique},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(spcs()).await?;
    schema.run(unique("spcs_serial_unique", "spcs", &["tenant_id", "serial"])).await?;
    schema.run(index("spcs_device_id", "spcs", &["tenant_id", "device_id"])).await?;
    schema.run(index("spcs_key_id", "spcs", &["tenant_id", "key_id"])).await?;
    schema.run(index("spcs_revoked_in", "spcs", &["tenant_id", "revoked_in"])).await?;
    schema.run(index("spcs_not_after", "spcs", &["not_after"])).await?;
    let (mut tenant_id, mut tenant) = of_tenant("spc_states");
    let states = Table::create()
        .table("spc_states")
        .col(tenant_id.primary_key())
        .col(number("sequence"))
        .col(number("epoch"))
        .foreign_key(&mut tenant)
        .take();
    schema.run(states).await?;
    let (mut tenant_id, mut tenant) = of_tenant("spc_bundles");
    let bundles = Table::create()
        .table("spc_bundles")
        .col(tenant_id.primary_key())
        .col(number("sequence"))
        .col(number("epoch"))
        .col(text("keys"))
        .col(text("digest"))
        .col(text("envelope"))
        .col(number("issued_at"))
        .col(number("expires_at"))
        .foreign_key(&mut tenant)
        .take();
    schema.run(bundles).await
}

fn spcs() -> TableCreateStatement {
    let (mut tenant_id, mut tenant) = of_tenant("spcs");
    Table::create()
        .table("spcs")
        .col(&mut tenant_id)
        .col(id("id"))
        .col(text("serial"))
        .col(id("device_id"))
        .col(text("thumbprint"))
        .col(text("key_id"))
        .col(number("policy_version"))
        .col(text("policy_digest"))
        .col(text("pool_ids"))
        .col(text("group_ids"))
        .col(text("min_auth_mode"))
        .col(number("epoch"))
        .col(number("not_before"))
        .col(number("not_after"))
        .col(number_null("revoked_at"))
        .col(number_null("revoked_in"))
        .col(text_null("revocation_reason"))
        .primary_key(Index::create().name("spcs_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut tenant)
        .take()
}
