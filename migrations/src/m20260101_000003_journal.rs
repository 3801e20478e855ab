//! What every write leaves behind: audit events and outbox events; and the leases of those who number them.

use sea_orm_migration::prelude::*;

use crate::columns::{id, index, number, number_null, text, unique};

/// The migration.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(audit_events()).await?;
        manager.create_index(numbered("audit_events_seq_unique", "audit_events", "seq")).await?;
        manager.create_index(waiting("audit_events_unsealed", "audit_events", "seq")).await?;
        manager.create_index(index("audit_events_tenant", "audit_events", &["tenant_id", "id"])).await?;
        manager.create_table(outbox()).await?;
        manager.create_index(numbered("outbox_revision_unique", "outbox", "revision")).await?;
        manager.create_index(waiting("outbox_unnumbered", "outbox", "revision")).await?;
        manager.create_table(leases()).await
    }
}

/// Rows that the relay has yet to number, in the order in which it will.
fn waiting(name: &str, table: &'static str, number: &'static str) -> IndexCreateStatement {
    index(name, table, &["id"]).and_where(Expr::col(number).is_null()).take()
}

/// No number twice. Rows without one are left out, which halves the index work of an insert.
fn numbered(name: &str, table: &'static str, number: &'static str) -> IndexCreateStatement {
    unique(name, table, &[number]).and_where(Expr::col(number).is_not_null()).take()
}

/// `seq`, `prev_hash` and `hash` come when the event is sealed into the chain.
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

/// `revision` comes when the relay numbers the event.
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
