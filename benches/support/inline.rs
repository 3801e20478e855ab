//! SQLite on the calling thread, by hand: the least that a program can do for the same rows.

#![allow(dead_code, missing_docs, reason = "each benchmark uses its own part")]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use uuid::Uuid;

/// Connections for reads, one for each thread that reads at the same time.
#[derive(Clone)]
pub struct Readers(Arc<(PathBuf, Mutex<Vec<Connection>>)>);

/// The tenant and its settings in the messaging API, as the program selects them.
const TENANT: &str = "SELECT t.id, t.name, t.name_key, t.display_name, t.status, t.suspended_by, t.version, t.labels, \
    t.created_at, t.updated_at, t.purge_at, t.list_key, m.tenant_id, m.admin_roles, m.allowed_clusters \
    FROM tenants t LEFT JOIN messaging_tenants m ON m.tenant_id = t.id WHERE t.name_key = ? AND t.status <> 'deleted'";

impl Readers {
    pub fn new(path: &Path) -> Self {
        Self(Arc::new((path.to_owned(), Mutex::default())))
    }

    /// The admin roles and the allowed clusters of a tenant as JSON, and its version.
    pub fn tenant(&self, name: &str) -> Option<(String, String, i64)> {
        let (path, idle) = &*self.0;
        let taken = idle.lock().expect("a lock").pop();
        let connection = taken.unwrap_or_else(|| {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(path, flags).expect("it opens")
        });
        let found = connection
            .prepare_cached(TENANT)
            .and_then(|mut query| {
                query.query_row([name], |row| Ok((row.get(13)?, row.get(14)?, row.get(6)?))).optional()
            })
            .expect("a read");
        idle.lock().expect("a lock").push(connection);
        found
    }
}

/// The connection for writes.
pub struct Writer(Connection);

impl Writer {
    pub fn open(path: &Path) -> Self {
        let connection = Connection::open(path).expect("it opens");
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON").expect("settings");
        Self(connection)
    }

    /// Creates tenants in one commit, with their settings, audit events and outbox events.
    pub fn create<'n>(&mut self, names: impl Iterator<Item = &'n str> + Clone) {
        let created: Vec<_> = names.map(|name| (Uuid::now_v7().into_bytes(), name)).collect();
        let db = &self.0;
        run(db, "BEGIN IMMEDIATE", []);
        for (id, name) in &created {
            let row = params![id, name, name, name, "active", None::<&str>, 1, "{}", 1, 1, None::<i64>, name];
            run(
                db,
                "INSERT INTO tenants (id, name, name_key, display_name, status, suspended_by, version, labels, created_at, \
                updated_at, purge_at, list_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            );
            let row = params![id, r#"["ops"]"#, r#"["standalone"]"#];
            run(db, "INSERT INTO messaging_tenants (tenant_id, admin_roles, allowed_clusters) VALUES (?, ?, ?)", row);
        }
        let newest = |column: &str, table: &str| {
            let sql = format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL ORDER BY {column} DESC LIMIT 1");
            let mut query = db.prepare_cached(&sql).expect("a statement");
            query.query_row([], |row| row.get::<_, i64>(0)).optional().expect("a read").unwrap_or(0)
        };
        let (revision, seq) = (newest("revision", "outbox"), newest("seq", "audit_events"));
        for ((id, name), number) in created.iter().zip(1..) {
            audit(db, id, name, seq + number);
            let event = Uuid::now_v7().into_bytes();
            let row = params![event, revision + number, "tenant", id, name, "{\"change\":\"created\"}", 1];
            let sql = "INSERT INTO outbox (id, revision, topic, tenant_id, key, payload, created_at) \
                VALUES (?, ?, ?, ?, ?, ?, ?)";
            run(db, sql, row);
        }
        run(db, "COMMIT", []);
    }
}

fn audit(db: &Connection, tenant: &[u8; 16], name: &str, seq: i64) {
    let sql = "INSERT INTO audit_events (id, seq, prev_hash, hash, at, caller_subject, caller_role, caller_kind, tenant_id, \
        action, target, outcome, request_id, rpc, details) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let (id, hash, action) = (Uuid::now_v7().into_bytes(), [7_u8; 32], "tenant.create");
    let details = r#"{"admin_roles":["ops"],"allowed_clusters":["standalone"]}"#;
    let row = params![
        id,
        seq,
        hash,
        hash,
        1,
        "system",
        "platform_admin",
        "SERVICE",
        tenant,
        action,
        name,
        "success",
        "",
        action,
        details
    ];
    run(db, sql, row);
}

fn run(db: &Connection, sql: &str, values: impl rusqlite::Params) {
    db.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).expect("a statement");
}
