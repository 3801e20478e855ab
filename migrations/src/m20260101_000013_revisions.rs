//! Orders that do not depend on clocks: revocations get a revision, and rows waiting for the relay a place from
//! a sequence.

use sea_orm::{
    DbErr,
    sea_query::{Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{index, number, text},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(counters()).await?;
    for (table, column) in [("revoked_tokens", "revision"), ("accounts", "epoch_revision")] {
        let add = Table::alter().table(table).add_column(number(column).default(0)).take();
        schema.run(add).await?;
        schema.run(index(&format!("{table}_{column}"), table, &[column])).await?;
    }
    for (table, number) in [("outbox", "revision"), ("audit_events", "seq")] {
        place(schema, table, number).await?;
    }
    Ok(())
}

/// The last assigned number for a purpose.
fn counters() -> TableCreateStatement {
    Table::create().table("counters").col(text("name").primary_key()).col(number("value")).take()
}

/// The place of a row among those that wait for the relay, in the order of insertion: a row that depends on
/// another one is inserted after that one has committed. Older rows have none, and come first. On SQLite no
/// rows wait.
async fn place(schema: &Schema<'_>, table: &str, number: &str) -> Result<(), DbErr> {
    if !schema.is_postgres() {
        return schema.sql(&format!("ALTER TABLE {table} ADD COLUMN place bigint NULL")).await;
    }
    for statement in [
        format!("CREATE SEQUENCE {table}_place AS bigint"),
        // Without a default at first, so that existing rows need not be rewritten.
        format!("ALTER TABLE {table} ADD COLUMN place bigint NULL"),
        format!("ALTER TABLE {table} ALTER COLUMN place SET DEFAULT nextval('{table}_place')"),
        format!("ALTER SEQUENCE {table}_place OWNED BY {table}.place"),
        format!("CREATE INDEX {table}_waiting ON {table} (place NULLS FIRST, id) WHERE {number} IS NULL"),
    ] {
        schema.sql(&statement).await?;
    }
    Ok(())
}
