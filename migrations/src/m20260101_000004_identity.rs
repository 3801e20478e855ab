//! Accounts, and revoked tokens.

use sea_orm::{
    DbErr,
    sea_query::{
        ColumnDef, ConditionalStatement, Expr, ExprTrait, ForeignKey, ForeignKeyAction, IndexCreateStatement, Table,
        TableCreateStatement,
    },
};

use crate::{
    Schema,
    columns::{id, index, number, text, text_null, unique},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(accounts()).await?;
    schema.run(in_a_tenant()).await?;
    schema.run(on_the_platform()).await?;
    schema.run(index("accounts_epoch_changed", "accounts", &["epoch_changed_at"])).await?;
    schema.run(revoked_tokens()).await?;
    schema.run(index("revoked_tokens_revoked", "revoked_tokens", &["revoked_at"])).await?;
    schema.run(index("revoked_tokens_expires", "revoked_tokens", &["expires_at"])).await
}

/// An account is deleted with its tenant; one without a tenant is a platform account.
fn accounts() -> TableCreateStatement {
    Table::create()
        .table("accounts")
        .col(id("id").primary_key())
        .col(ColumnDef::new("tenant_id").uuid().null())
        .col(text("username"))
        .col(text("username_key"))
        .col(text_null("email"))
        .col(text("password_hash"))
        .col(text("role"))
        .col(text("status"))
        .col(number("epoch"))
        .col(number("epoch_changed_at"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .foreign_key(
            ForeignKey::create()
                .name("accounts_tenant_fkey")
                .from("accounts", "tenant_id")
                .to("tenants", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

fn in_a_tenant() -> IndexCreateStatement {
    unique("accounts_username_unique", "accounts", &["tenant_id", "username_key"])
        .and_where(Expr::col("tenant_id").is_not_null())
        .take()
}

/// NULL tenants are not equal to each other, so platform accounts need a separate index.
fn on_the_platform() -> IndexCreateStatement {
    unique("accounts_platform_username_unique", "accounts", &["username_key"])
        .and_where(Expr::col("tenant_id").is_null())
        .take()
}

/// Rows are deleted once the token has expired.
fn revoked_tokens() -> TableCreateStatement {
    Table::create()
        .table("revoked_tokens")
        .col(text("jti").primary_key())
        .col(number("expires_at"))
        .col(number("revoked_at"))
        .take()
}
