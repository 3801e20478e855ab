//! Groups and their members, granted roles, API keys; and the keys that seal secrets.

use sea_orm::{
    DbErr,
    sea_query::{ColumnDef, ForeignKey, ForeignKeyAction, Index, Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{id, number, number_null, of_account, of_tenant, text, text_null, unique},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(groups()).await?;
    schema.run(unique("groups_name_unique", "groups", &["tenant_id", "name_key"])).await?;
    schema.run(group_members()).await?;
    schema.run(account_roles()).await?;
    schema.run(api_keys()).await?;
    schema.run(unique("api_keys_secret_unique", "api_keys", &["secret_hash"])).await?;
    schema.run(data_keys()).await?;
    schema.run(idempotent_answers()).await
}

fn groups() -> TableCreateStatement {
    let (mut tenant_id, mut tenant) = of_tenant("groups");
    Table::create()
        .table("groups")
        .col(&mut tenant_id)
        .col(id("id"))
        .col(text("name"))
        .col(text("name_key"))
        .col(text("description"))
        .col(text("source"))
        .col(text_null("external_id"))
        .col(text_null("policy_id"))
        .col(number("version"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .primary_key(Index::create().name("groups_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut tenant)
        .take()
}

fn group_members() -> TableCreateStatement {
    Table::create()
        .table("group_members")
        .col(id("tenant_id"))
        .col(id("group_id"))
        .col(id("account_id"))
        .col(number("created_at"))
        .primary_key(Index::create().name("group_members_pkey").col("tenant_id").col("group_id").col("account_id"))
        .foreign_key(
            ForeignKey::create()
                .name("group_members_group_fkey")
                .from("group_members", ("tenant_id", "group_id"))
                .to("groups", ("tenant_id", "id"))
                .on_delete(ForeignKeyAction::Cascade),
        )
        .foreign_key(&mut of_account("group_members"))
        .take()
}

/// Granted roles, possibly limited to a part of the tenant or in time.
fn account_roles() -> TableCreateStatement {
    Table::create()
        .table("account_roles")
        .col(id("tenant_id"))
        .col(id("account_id"))
        .col(text("role"))
        .col(text("scope_type"))
        .col(text("scope_id"))
        .col(text("granted_by"))
        .col(number("granted_at"))
        .col(number_null("expires_at"))
        .primary_key(
            Index::create()
                .name("account_roles_pkey")
                .col("tenant_id")
                .col("account_id")
                .col("role")
                .col("scope_type")
                .col("scope_id"),
        )
        .foreign_key(&mut of_account("account_roles"))
        .take()
}

/// The secret is stored as a digest.
fn api_keys() -> TableCreateStatement {
    let (mut tenant_id, mut tenant) = of_tenant("api_keys");
    Table::create()
        .table("api_keys")
        .col(&mut tenant_id)
        .col(id("id"))
        .col(text("name"))
        .col(text("role"))
        .col(text("prefix"))
        .col(text("secret_hash"))
        .col(text("allowed_cidrs"))
        .col(text("created_by"))
        .col(number("created_at"))
        .col(number("expires_at"))
        .col(number_null("last_used_at"))
        .col(text_null("last_used_ip"))
        .col(number_null("revoked_at"))
        .primary_key(Index::create().name("api_keys_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut tenant)
        .take()
}

/// One key per tenant and one for the platform, sealed with the key-encryption key. A tenant's key is deleted
/// with the tenant, which makes everything sealed under it unreadable.
fn data_keys() -> TableCreateStatement {
    Table::create()
        .table("data_keys")
        .col(text("owner").primary_key())
        .col(ColumnDef::new("tenant_id").uuid().null())
        .col(text("wrapped"))
        .col(number("created_at"))
        .foreign_key(
            ForeignKey::create()
                .name("data_keys_tenant_fkey")
                .from("data_keys", "tenant_id")
                .to("tenants", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

/// Responses to requests with an `Idempotency-Key`, for a day. `answer` is sealed; it is missing while the call runs.
fn idempotent_answers() -> TableCreateStatement {
    Table::create()
        .table("idempotent_answers")
        .col(text("id").primary_key())
        .col(text("request_hash"))
        .col(text_null("answer"))
        .col(number("expires_at"))
        .take()
}
