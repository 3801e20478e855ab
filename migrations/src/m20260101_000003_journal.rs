//! Audit events and outbox events of writes, and the leases of the processes that number them.

use sea_orm::{
    DbErr,
    sea_query::{ColumnDef, ConditionalStatement, Expr, ExprTrait, IndexCreateStatement, Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{id, index, number, number_null, text, unique},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(audit_events()).await?;
    schema.run(numbered("audit_events_seq_unique", "audit_events", "seq")).await?;
    schema.run(waiting("audit_events_unsealed", "audit_events", "seq")).await?;
    schema.run(index("audit_events_tenant", "audit_events", &["tenant_id", "id"])).await?;
    schema.run(outbox()).await?;
    schema.run(numbered("outbox_revision_unique", "outbox", "revision")).await?;
    schema.run(waiting("outbox_unnumbered", "outbox", "revision")).await?;
    schema.run(leases()).await
}

/// Rows that the relay has not numbered yet, in the order in which it numbers them.
fn waiting(name: &str, table: &'static str, number: &'static str) -> IndexCreateStatement {
    index(name, table, &["id"]).and_where(Expr::col(number).is_null()).take()
}

/// Numbers are unique. Rows without one are excluded, which halves the index work of an insert.
fn numbered(name: &str, table: &'static str, number: &'static str) -> IndexCreateStatement {
    unique(name, table, &[number]).and_where(Expr::col(number).is_not_null()).take()
}

/// `seq`, `prev_hash` and `hash` are set when the event is sealed into the chain.
fn audit_events() -> TableCreateStatement {
    Table::create()
        .table("audit_events")
        .col(id("id").primary_key())
        .col(number_null("seq"))
        .col(ColumnDef::new("prev_hash").blob().null())
        .col(ColumnDef::new("hash").blob().null())
        .col(number("at"))
        .col(text("caller_subject"))
        .col(text("caller_role"))
        .col(text("caller_kind"))
        .col(ColumnDef::new("tenant_id").uuid().null())
        .col(text("action"))
        .col(text("target"))
        .col(text("outcome"))
        .col(text("request_id"))
        .col(text("rpc"))
        .col(text("details"))
        .take()
}

/// `revision` is set when the relay numbers the event.
fn outbox() -> TableCreateStatement {
    Table::create()
        .table("outbox")
        .col(id("id").primary_key())
        .col(number_null("revision"))
        .col(text("topic"))
        .col(ColumnDef::new("tenant_id").uuid().null())
        .col(text("key"))
        .col(text("payload"))
        .col(number("created_at"))
        .take()
}

fn leases() -> TableCreateStatement {
    Table::create()
        .table("leases")
        .col(text("name").primary_key())
        .col(text("holder"))
        .col(number("fence"))
        .col(number("expires_at"))
        .take()
}
