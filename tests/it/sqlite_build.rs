//! How SQLite is compiled into the program.

use rusqlite::{Connection, StatementStatus};

/// Without this flag each new value of a limit makes SQLite compile the statement again, which takes longer than most reads.
#[test]
fn sqlite_does_not_prepare_a_limit_again() {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3)").unwrap();
    let mut query = db.prepare("SELECT a FROM t WHERE a > ? LIMIT ?").unwrap();
    for limit in [1, 2, 1, 3] {
        let rows = query.query_map([0, limit], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(rows.count(), usize::try_from(limit).unwrap());
    }
    let again = query.get_status(StatementStatus::RePrepare);
    assert_eq!(
        again, 0,
        "SQLite was built without SQLITE_ENABLE_QPSG, so reads are slow. Cargo applies .cargo/config.toml only to builds \
         inside the workspace: set LIBSQLITE3_FLAGS as that file does when you build elsewhere"
    );
}
