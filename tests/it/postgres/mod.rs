//! PostgreSQL: what is sent together, transactions that cannot be committed, the pool, TLS, and a pooler in between.

mod flights;
mod pool;
mod pooler;
mod tap;
mod tls;
mod transactions;

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tenantry::{base::Result, store::Store};

use crate::{db::platform_cx, rows::insert_cluster as insert};

/// How long a call may take that must not wait.
const LONG: Duration = Duration::from_secs(20);

/// A write that inserts a cluster.
async fn write(store: &Store, name: &str) -> Result<()> {
    let (name, cx) = (name.to_owned(), platform_cx("cluster.create"));
    let writing = crate::db::write(store, &cx, move |tx| {
        let name = name.clone();
        Box::pin(async move { insert(tx, &name).await })
    });
    tokio::time::timeout(LONG, writing).await.expect("the write does not end")
}

/// The number that a statement returns.
async fn number(db: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.unwrap().expect("a row");
    row.try_get_by_index(0).unwrap()
}

/// The numbers of clusters with a name, of audit events and of outbox events.
async fn rows(db: &DatabaseConnection, name: &str) -> (i64, i64, i64) {
    (
        number(db, &format!("SELECT count(*) FROM clusters WHERE name = '{name}'")).await,
        number(db, "SELECT count(*) FROM audit_events").await,
        number(db, "SELECT count(*) FROM outbox").await,
    )
}
