//! Operations: long work that a call asked for and that continues after a crash. And the tenants that are being removed.

use sea_orm::{
    DbErr,
    sea_query::{ColumnDef, Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{flag, id, index, number, number_null, text, text_null},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(operations()).await?;
    for statement in [
        "CREATE INDEX operations_due ON operations (due_at) WHERE ended_at IS NULL",
        "CREATE INDEX operations_ended ON operations (ended_at) WHERE ended_at IS NOT NULL",
        "CREATE INDEX tenants_deleted ON tenants (id) WHERE status = 'deleted'",
    ] {
        schema.sql(statement).await?;
    }
    schema.run(index("operations_of_tenant", "operations", &["tenant_id", "id"])).await
}

/// The tenant is a soft reference: an operation outlives the tenant that it removes. `steps` and `input` are JSON.
fn operations() -> TableCreateStatement {
    Table::create()
        .table("operations")
        .col(id("id").primary_key())
        .col(text("kind"))
        .col(ColumnDef::new("tenant_id").uuid().null().take())
        .col(text("target"))
        .col(text("requested_by"))
        .col(text("request_id"))
        .col(text("state"))
        .col(flag("cancellable"))
        .col(text("steps"))
        .col(text("input"))
        .col(number("version"))
        .col(number("attempts"))
        .col(number("internal_failures"))
        .col(text_null("cause"))
        .col(text_null("reason"))
        .col(number("due_at"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .col(number_null("started_at"))
        .col(number_null("ended_at"))
        .take()
}
