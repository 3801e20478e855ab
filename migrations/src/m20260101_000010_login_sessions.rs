//! Sessions started by a login, so that ending them can report their number.

use sea_orm::{
    DbErr,
    sea_query::{ForeignKey, ForeignKeyAction, Table},
};

use crate::{
    Schema,
    columns::{id, index, number, text},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table("login_sessions")
        .col(text("token_id").primary_key())
        .col(id("account_id"))
        .col(number("epoch"))
        .col(number("expires_at"))
        .foreign_key(
            ForeignKey::create()
                .name("login_sessions_account_fkey")
                .from("login_sessions", "account_id")
                .to("accounts", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take();
    schema.run(table).await?;
    schema.run(index("login_sessions_account", "login_sessions", &["account_id"])).await
}
