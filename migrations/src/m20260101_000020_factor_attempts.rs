//! Attempts at codes of second factors, so that all servers share their limit.

use sea_orm::{
    DbErr,
    sea_query::{ForeignKey, ForeignKeyAction, Table},
};

use crate::{
    Schema,
    columns::{id, number},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table("factor_attempts")
        .col(id("account_id").primary_key())
        .col(number("attempts"))
        .col(number("window_ends"))
        .foreign_key(
            ForeignKey::create()
                .name("factor_attempts_account_fkey")
                .from("factor_attempts", "account_id")
                .to("accounts", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take();
    schema.run(table).await
}
