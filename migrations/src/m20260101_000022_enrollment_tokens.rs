//! Enrollment tokens. The secret is stored as a digest.

use sea_orm::{
    DbErr,
    sea_query::{ColumnDef, Index, Table},
};

use crate::{
    Schema,
    columns::{flag, id, number, number_null, of_tenant, text, unique},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let (mut tenant_id, mut tenant) = of_tenant("enrollment_tokens");
    let table = Table::create()
        .table("enrollment_tokens")
        .col(&mut tenant_id)
        .col(id("id"))
        .col(text("kind"))
        .col(text("name"))
        .col(text("prefix"))
        .col(text("secret_hash"))
        .col(number_null("max_uses"))
        .col(number("use_count"))
        .col(ColumnDef::new("account_id").uuid().null())
        .col(text("group_ids"))
        .col(ColumnDef::new("pool_id").uuid().null())
        .col(flag("pre_approved"))
        .col(flag("ephemeral"))
        .col(text("created_by"))
        .col(ColumnDef::new("creator_id").uuid().null())
        .col(number("created_at"))
        .col(number_null("expires_at"))
        .col(number_null("last_used_at"))
        .col(number_null("revoked_at"))
        .primary_key(Index::create().name("enrollment_tokens_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut tenant)
        .take();
    schema.run(table).await?;
    schema.run(unique("enrollment_tokens_secret_unique", "enrollment_tokens", &["secret_hash"])).await
}
