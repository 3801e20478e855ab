//! Ways to read long lists a page at a time: an index in the order of each, so that nothing is sorted or held as a whole.
//!
//! Tenants get a column for the order of their names for people, which no database has: `list_key`, folded as the server
//! folds it. It is empty in tenants that an older program makes meanwhile; they stand first until they change.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DbBackend, QueryResult, prelude::Uuid},
};
use tenantry_text::search_key;

/// The migration.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// Rows that are read at a time.
const BATCH: u64 = 1000;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let postgres = db.get_database_backend() == DbBackend::Postgres;
        // PostgreSQL compares texts as its locale has it unless it is told to compare bytes; SQLite compares bytes.
        let (bytes, line) = if postgres { (" COLLATE \"C\"", "chr(10)") } else { ("", "char(10)") };
        for statement in [
            format!("ALTER TABLE tenants ADD COLUMN list_key text{bytes} NOT NULL DEFAULT ''"),
            // Names have ASCII alone, whose folding is their key. Most tenants are called so by people, too.
            format!("UPDATE tenants SET list_key = name_key || {line} || name_key WHERE display_name = name"),
        ] {
            db.execute_unprepared(&statement).await?;
        }
        fold_others(db).await?;
        for statement in [
            "CREATE INDEX tenants_list_key ON tenants (list_key, id)".to_owned(),
            // With the status, so that the names of those in some of them are read from the index alone.
            format!("CREATE INDEX tenants_names ON tenants (name{bytes}, status)"),
            "CREATE INDEX grants_of_identity ON grants (identity_id, id)".to_owned(),
        ] {
            db.execute_unprepared(&statement).await?;
        }
        if postgres {
            // What SQLite's unique indexes of these columns do as well.
            for statement in [
                "CREATE INDEX identities_emails ON identities (email_key COLLATE \"C\")",
                "CREATE INDEX namespaces_names ON namespaces (tenant_id, name COLLATE \"C\")",
            ] {
                db.execute_unprepared(statement).await?;
            }
        }
        Ok(())
    }
}

/// Writes the keys of the tenants that people call otherwise.
async fn fold_others<C: ConnectionTrait>(db: &C) -> Result<(), DbErr> {
    let mut last: Option<Uuid> = None;
    loop {
        let mut query = Query::select();
        query.columns(["id", "name", "display_name"]).from("tenants").and_where(Expr::col("list_key").eq(""));
        query.order_by("id", Order::Asc).limit(BATCH);
        if let Some(last) = last {
            query.and_where(Expr::col("id").gt(last));
        }
        let batch = db.query_all(&query).await?;
        let Some(end) = batch.last() else { return Ok(()) };
        last = Some(end.try_get("", "id")?);
        for row in &batch {
            let (id, key) = key(row)?;
            let update =
                Query::update().table("tenants").value("list_key", key).and_where(Expr::col("id").eq(id)).take();
            db.execute(&update).await?;
        }
    }
}

fn key(row: &QueryResult) -> Result<(Uuid, String), DbErr> {
    let (name, display_name): (String, String) = (row.try_get("", "name")?, row.try_get("", "display_name")?);
    Ok((row.try_get("", "id")?, search_key([display_name.as_str(), name.as_str()])))
}
