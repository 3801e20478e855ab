//! A new database file.

use std::{io, path::Path};

use crate::base::private_file;

/// The size of its pages, the default of SQLite.
const PAGE: usize = 4096;

/// Creates an empty database unless the file exists. It appears at once, complete and on disk, with access only for its owner; SQLite
/// uses the same mode for its companion files. SQLite itself would create it with a journal and write it again for write-ahead
/// logging, which costs two more flushes of the disk.
pub(in crate::store) fn create(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    private_file::create(path, &empty()).map(drop)
}

/// An empty database with a write-ahead log: a header (SQLite file format, section 1.3) and the root of an empty table.
fn empty() -> [u8; PAGE] {
    let mut page = [0; PAGE];
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"SQLite format 3\0");
    put(16, &(PAGE as u16).to_be_bytes());
    // Versions for writing and reading: with a write-ahead log. Then the reserved bytes and the three fixed fractions.
    put(18, &[2, 2, 0, 64, 32, 32]);
    // The change counter, the number of pages, and the change counter for which that number is valid.
    put(24, &1_u32.to_be_bytes());
    put(28, &1_u32.to_be_bytes());
    put(92, &1_u32.to_be_bytes());
    put(96, &rusqlite::version_number().to_be_bytes());
    // A leaf of a table, without cells, whose content starts at the end of the page.
    put(100, &[13]);
    put(105, &(PAGE as u16).to_be_bytes());
    page
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_new_file_is_an_empty_database_with_a_write_ahead_log() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new.db");
        create(&path).unwrap();
        let text = |db: &Connection, sql: &str| db.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        let db = Connection::open(&path).unwrap();
        assert_eq!(text(&db, "PRAGMA journal_mode"), "wal");
        assert_eq!(text(&db, "PRAGMA integrity_check"), "ok");
        assert_eq!(text(&db, "PRAGMA encoding"), "UTF-8");
        db.execute_batch("CREATE TABLE words (word TEXT); INSERT INTO words VALUES ('one')").unwrap();
        drop(db);
        // An existing file stays.
        create(&path).unwrap();
        let db = Connection::open(&path).unwrap();
        assert_eq!(text(&db, "SELECT word FROM words"), "one");
        assert_eq!(text(&db, "PRAGMA integrity_check"), "ok");
    }
}
