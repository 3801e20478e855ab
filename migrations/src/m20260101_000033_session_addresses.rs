//! Addresses of sessions, their newest grant, and admission by gateways that are cut off.

use sea_orm::{
    DbErr,
    sea_query::{ConditionalStatement, Expr, ExprTrait, Table},
};

use crate::{
    Schema,
    columns::{flag, number, text_null, unique},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    // Older servers do not set these.
    for (table, mut column) in [
        ("access_sessions", number("granted_at").default(0).take()),
        ("access_sessions", text_null("virtual_ip")),
        ("access_sessions", flag("admitted_offline").default(false).take()),
        ("gateway_pools", number("offline_grace_seconds").default(0).take()),
    ] {
        schema.run(Table::alter().table(table).add_column(&mut column).take()).await?;
    }
    let held = unique("access_sessions_virtual_ip", "access_sessions", &["tenant_id", "pool_id", "virtual_ip"])
        .and_where(Expr::col("virtual_ip").is_not_null())
        .and_where(Expr::col("status").eq("active"))
        .take();
    schema.run(held).await
}
