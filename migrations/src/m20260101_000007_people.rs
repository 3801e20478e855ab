//! Identities, their grants, the email domains of tenants, and further attributes of accounts.

use sea_orm::{
    DbErr,
    sea_query::{
        ColumnDef, ConditionalStatement, Expr, ExprTrait, ForeignKey, ForeignKeyAction, Index, IndexCreateStatement,
        Table, TableCreateStatement,
    },
};

use crate::{
    Schema,
    columns::{flag, id, index, number, number_null, of_tenant, text, text_null, unique},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(identities()).await?;
    schema.run(unique("identities_email_unique", "identities", &["email_key"])).await?;
    for column in account_columns() {
        schema.run(Table::alter().table("accounts").add_column(column).take()).await?;
    }
    // Rows of a tenant's account reference both, so that links across tenants are impossible.
    schema.run(unique("accounts_tenant_id_unique", "accounts", &["tenant_id", "id"])).await?;
    schema.run(emails_in_a_tenant()).await?;
    schema.run(emails_on_the_platform()).await?;
    schema.run(index("accounts_identity", "accounts", &["identity_id"])).await?;
    schema.run(grants()).await?;
    schema.run(unique("grants_member_unique", "grants", &["identity_id", "tenant_id"])).await?;
    schema.run(unique("grants_id_unique", "grants", &["id"])).await?;
    schema.run(email_domains()).await?;
    schema.run(unique("email_domains_domain_unique", "email_domains", &["tenant_id", "domain"])).await?;
    schema.run(recovery_codes()).await
}

fn identities() -> TableCreateStatement {
    Table::create()
        .table("identities")
        .col(id("id").primary_key())
        .col(text("email"))
        .col(text("email_key"))
        .col(flag("is_active"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .take()
}

/// The identity is a soft reference: an account can exist before the identity of its address is created.
fn account_columns() -> Vec<ColumnDef> {
    vec![
        ColumnDef::new("identity_id").uuid().null().take(),
        text_null("email_key"),
        text("display_name").default("").take(),
        // Whether the name replaces the id in responses.
        flag("named_id").default(false).take(),
        text("source").default("local").take(),
        text_null("external_id"),
        flag("must_change").default(false).take(),
        text_null("suspended_by"),
        number_null("last_login_at"),
        number("version").default(1).take(),
        text("totp_state").default("none").take(),
        text_null("totp_secret"),
        number_null("totp_pending_until"),
        number_null("totp_last_step"),
    ]
}

fn emails_in_a_tenant() -> IndexCreateStatement {
    unique("accounts_email_unique", "accounts", &["tenant_id", "email_key"])
        .and_where(Expr::col("tenant_id").is_not_null())
        .take()
}

fn emails_on_the_platform() -> IndexCreateStatement {
    unique("accounts_platform_email_unique", "accounts", &["email_key"])
        .and_where(Expr::col("tenant_id").is_null())
        .take()
}

fn grants() -> TableCreateStatement {
    let (mut tenant_id, mut tenant) = of_tenant("grants");
    Table::create()
        .table("grants")
        .col(&mut tenant_id)
        .col(id("id"))
        .col(id("identity_id"))
        .col(text("role"))
        .col(flag("is_default"))
        .col(number_null("expires_at"))
        .col(number("created_at"))
        .primary_key(Index::create().name("grants_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut tenant)
        .foreign_key(
            ForeignKey::create()
                .name("grants_identity_fkey")
                .from("grants", "identity_id")
                .to("identities", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

fn email_domains() -> TableCreateStatement {
    let (mut tenant_id, mut tenant) = of_tenant("email_domains");
    Table::create()
        .table("email_domains")
        .col(&mut tenant_id)
        .col(id("id"))
        .col(text("domain"))
        .col(number("created_at"))
        .primary_key(Index::create().name("email_domains_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut tenant)
        .take()
}

/// Codes are stored as digests and can be used once.
fn recovery_codes() -> TableCreateStatement {
    Table::create()
        .table("recovery_codes")
        .col(id("account_id"))
        .col(text("code_hash"))
        .col(number("created_at"))
        .primary_key(Index::create().name("recovery_codes_pkey").col("account_id").col("code_hash"))
        .foreign_key(
            ForeignKey::create()
                .name("recovery_codes_account_fkey")
                .from("recovery_codes", "account_id")
                .to("accounts", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}
