//! Devices and gateways, their credentials, the keys that were ever enrolled, and tokens that enroll a device again.

use sea_orm::{
    DbErr,
    sea_query::{ColumnDef, Index, Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{flag, id, index, number, number_null, of_tenant, text, text_null},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(devices()).await?;
    schema.run(index("devices_account_id", "devices", &["tenant_id", "account_id"])).await?;
    schema.run(index("devices_ephemeral", "devices", &["ephemeral", "last_seen_at"])).await?;
    schema.run(gateways()).await?;
    schema.run(index("gateways_pool_id", "gateways", &["tenant_id", "pool_id"])).await?;
    schema.run(credentials()).await?;
    schema.run(index("credentials_subject_id", "credentials", &["tenant_id", "subject_id", "id"])).await?;
    schema.run(index("credentials_token_id", "credentials", &["tenant_id", "token_id", "id"])).await?;
    let device = ColumnDef::new("device_id").uuid().null().take();
    schema.run(Table::alter().table("enrollment_tokens").add_column(device).take()).await?;
    schema.run(index("enrollment_tokens_device_id", "enrollment_tokens", &["tenant_id", "device_id"])).await?;
    let keys = Table::create()
        .table("enrolled_keys")
        .col(text("thumbprint").primary_key().take())
        .col(number("created_at"))
        .take();
    schema.run(keys).await
}

fn devices() -> TableCreateStatement {
    let (mut tenant_id, mut tenant) = of_tenant("devices");
    Table::create()
        .table("devices")
        .col(&mut tenant_id)
        .col(id("id"))
        .col(ColumnDef::new("account_id").uuid().null())
        .col(text("name"))
        .col(text("name_key"))
        .col(text("platform"))
        .col(text("os_version"))
        .col(text("client_version"))
        .col(text_null("hardware_id_hash"))
        .col(text("status"))
        .col(flag("suspended_with_user"))
        .col(text("enrolled_via"))
        .col(ColumnDef::new("token_id").uuid().null())
        .col(text("group_ids"))
        .col(flag("ephemeral"))
        .col(text("labels"))
        .col(number_null("last_seen_at"))
        .col(text_null("last_ip"))
        .col(number("policy_floor").default(0))
        .col(number("version"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .primary_key(Index::create().name("devices_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut tenant)
        .take()
}

fn gateways() -> TableCreateStatement {
    let (mut tenant_id, mut tenant) = of_tenant("gateways");
    Table::create()
        .table("gateways")
        .col(&mut tenant_id)
        .col(id("id"))
        .col(id("pool_id"))
        .col(text("name"))
        .col(text("region"))
        .col(text("endpoints"))
        .col(text("gateway_version"))
        .col(text("status"))
        .col(number_null("drain_deadline"))
        .col(ColumnDef::new("token_id").uuid().null())
        .col(number_null("last_seen_at"))
        .col(text_null("last_ip"))
        .col(number("version"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .primary_key(Index::create().name("gateways_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut tenant)
        .take()
}

fn credentials() -> TableCreateStatement {
    let (mut tenant_id, mut tenant) = of_tenant("credentials");
    Table::create()
        .table("credentials")
        .col(&mut tenant_id)
        .col(id("id"))
        .col(text("kind"))
        .col(id("subject_id"))
        .col(text("thumbprint"))
        .col(text("public_key"))
        .col(text("issuer_key_id"))
        .col(ColumnDef::new("token_id").uuid().null())
        .col(text_null("ip"))
        .col(number("not_before"))
        .col(number("not_after"))
        .col(number("created_at"))
        .col(number_null("revoked_at"))
        .primary_key(Index::create().name("credentials_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut tenant)
        .take()
}
