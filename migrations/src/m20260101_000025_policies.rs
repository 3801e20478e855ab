//! Policies: a row for each published version, and its content in a table of its own, which lists do not read.

use sea_orm::{
    DbErr,
    sea_query::{ForeignKey, ForeignKeyAction, Index, Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{id, number, number_null, of_tenant, text, text_null, unique},
};

/// The current version of a scope in a channel.
const ACTIVE: &str = "CREATE UNIQUE INDEX policies_active_unique \
                      ON policies (tenant_id, scope_type, scope_id, channel) WHERE state = 'active'";

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let (mut tenant_id, mut tenant) = of_tenant("policies");
    let policies = Table::create()
        .table("policies")
        .col(&mut tenant_id)
        .col(id("id"))
        .col(number("version"))
        .col(text("channel"))
        .col(text("scope_type"))
        .col(id("scope_id"))
        .col(number("priority"))
        .col(text("state"))
        .col(text("digest"))
        .col(text_null("canary"))
        .col(text("notes"))
        .col(text("published_by"))
        .col(number_null("from_version"))
        .col(number("published_at"))
        .col(number("expires_at"))
        .primary_key(Index::create().name("policies_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut tenant)
        .take();
    schema.run(policies).await?;
    schema.run(unique("policies_version_unique", "policies", &["tenant_id", "version"])).await?;
    schema.sql(ACTIVE).await?;
    schema.run(documents()).await
}

fn documents() -> TableCreateStatement {
    Table::create()
        .table("policy_documents")
        .col(id("tenant_id"))
        .col(id("policy_id"))
        .col(text("document"))
        .primary_key(Index::create().name("policy_documents_pkey").col("tenant_id").col("policy_id"))
        .foreign_key(
            ForeignKey::create()
                .name("policy_documents_policy_fkey")
                .from("policy_documents", ("tenant_id", "policy_id"))
                .to("policies", ("tenant_id", "id"))
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}
