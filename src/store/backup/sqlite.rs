//! Backups of SQLite, by its online backup: the copy is of one moment, and keeps no other process from writing.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{
    Connection, OpenFlags, Row,
    backup::{Backup, StepResult},
    types::ValueRef,
};
use sha2::{Digest, Sha256};

use super::{
    check_rows,
    digest::Sums,
    fault::Fault,
    keep_name,
    manifest::{Contents, Manifest, TableDigest},
};
use crate::base::{private_file, setting_file::shown};

/// How many pages are copied in one step.
const PAGES: i32 = 4096;
/// How long a step waits for another process.
const BUSY: Duration = Duration::from_secs(10);

/// Copies a database to a new file.
pub(super) fn copy(source: &Path, into: &Path) -> Result<Contents, Fault> {
    if !source.exists() {
        return Err(Fault::refused(format!("there is no database {}", shown(source))));
    }
    private_file::create(into, b"").map_err(|error| Fault::failed("cannot create the copy", error))?;
    let copied = copied(source, into);
    copied.map_err(|error| Fault::failed(format!("cannot copy the database {}", shown(source)), error))?;
    let sync = File::open(into).and_then(|file| file.sync_all());
    sync.map_err(|error| Fault::failed("cannot write the copy", error))?;
    contents(into)
}

fn copied(source: &Path, into: &Path) -> rusqlite::Result<()> {
    let (from, mut to) =
        (open(source, OpenFlags::SQLITE_OPEN_READ_WRITE)?, open(into, OpenFlags::SQLITE_OPEN_READ_WRITE)?);
    // All steps are of this moment: otherwise each change by another process would start the copy again.
    from.execute_batch("BEGIN")?;
    from.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let backup = Backup::new(&from, &mut to)?;
    loop {
        match backup.step(PAGES)? {
            StepResult::Done => break,
            StepResult::More => {}
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    drop(backup);
    from.execute_batch("ROLLBACK")?;
    // One file without a log.
    to.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
}

/// Replaces a database by a copy, after it was checked.
pub(super) fn restore(target: &Path, copy: &Path, manifest: &Manifest, replace: bool) -> Result<(), Fault> {
    // The file itself, not a link to it.
    let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
    let exists = target.exists();
    if exists && !replace && !is_empty(&target)? {
        let text = "is not empty: restore into a new file, or give --replace to replace it";
        return Err(Fault::refused(format!("the database {} {text}", shown(&target))));
    }
    let draft = Draft::of(copy, &target).map_err(|error| {
        let text = format!("cannot write beside the database {}", shown(&target));
        Fault::failed(text, error)
    })?;
    check_rows(manifest, &contents(&draft.0)?)?;
    if exists {
        release(&target)?;
    }
    // The log of another database would be applied to this one.
    let placed = remove(&beside(&target, "-wal"))
        .and_then(|()| remove(&beside(&target, "-shm")))
        .and_then(|()| fs::rename(&draft.0, &target))
        .and_then(|()| keep_name(&target));
    placed.map_err(|error| Fault::failed(format!("cannot replace the database {}", shown(&target)), error))
}

/// Whether a file has no tables.
fn is_empty(path: &Path) -> Result<bool, Fault> {
    let count = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|db| db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)));
    count.map(|count| count == 0).map_err(|error| unreadable(path, error))
}

/// Fails if another process uses a database. Moves its log into it.
fn release(path: &Path) -> Result<(), Fault> {
    let db = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| unreadable(path, error))?;
    db.busy_timeout(Duration::ZERO).map_err(|error| unreadable(path, error))?;
    let mode = db.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0));
    match mode {
        Ok(mode) if mode == "delete" => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            Err(unreadable(path, error))
        }
        _ => Err(Fault::refused(format!("the database {} is in use: stop the servers first", shown(path)))),
    }
}

fn unreadable(path: &Path, error: rusqlite::Error) -> Fault {
    Fault::failed(format!("cannot read the database {}", shown(path)), error)
}

/// Everything that is in a database that no process changes.
pub(super) fn contents(path: &Path) -> Result<Contents, Fault> {
    let read = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|db| {
        let intact: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if intact != "ok" {
            return Ok(None);
        }
        read_contents(&db).map(Some)
    });
    match read.map_err(|error| Fault::failed("cannot read the copy of the database", error))? {
        None => Err(Fault::refused("the database is damaged: its integrity check fails")),
        Some(contents) if contents.schema.is_empty() => Err(Fault::refused("the database contains no registry")),
        Some(contents) => Ok(contents),
    }
}

fn read_contents(db: &Connection) -> rusqlite::Result<Contents> {
    let names =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let names = texts(db, names)?;
    let has = |table: &str| names.iter().any(|known| known == table);
    let schema = match has("seaql_migrations") {
        true => texts(db, "SELECT version FROM seaql_migrations ORDER BY version")?,
        false => Vec::new(),
    };
    let mut keys = Vec::new();
    // Tables of later versions.
    if has("key_encryption") && has("data_keys") {
        keys = texts(
            db,
            "SELECT kek FROM key_encryption UNION SELECT kek FROM data_keys WHERE kek IS NOT NULL ORDER BY 1",
        )?;
    }
    let mut tables = BTreeMap::new();
    for name in &names {
        tables.insert(name.clone(), digest(db, name)?);
    }
    Ok(Contents { schema, tables, keys, namespace: None })
}

fn texts(db: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    db.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// The digest of the rows of a table.
fn digest(db: &Connection, table: &str) -> rusqlite::Result<TableDigest> {
    let mut query = db.prepare(&format!("SELECT * FROM \"{}\"", table.replace('"', "\"\"")))?;
    let columns = query.column_count();
    let (mut rows, mut sums) = (query.query([])?, Sums::default());
    while let Some(row) = rows.next()? {
        sums.add(digest_of_row(row, columns)?);
    }
    Ok(sums.into())
}

/// The digest of a row: of each value its type, its length and its bytes.
fn digest_of_row(row: &Row<'_>, columns: usize) -> rusqlite::Result<Sha256> {
    let mut hasher = Sha256::new();
    for column in 0..columns {
        let (kind, bytes): (u8, &[u8]) = match row.get_ref(column)? {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(number) => {
                hasher.update([1]);
                hasher.update(number.to_be_bytes());
                continue;
            }
            ValueRef::Real(number) => {
                hasher.update([2]);
                hasher.update(number.to_bits().to_be_bytes());
                continue;
            }
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(bytes) => (4, bytes),
        };
        hasher.update([kind]);
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    }
    Ok(hasher)
}

/// Opens an existing file. Its name is taken literally.
fn open(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(literal(path), access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(BUSY)?;
    Ok(db)
}

/// A path that SQLite cannot take for a URI, which begins with `file:`, or for a database in memory.
fn literal(path: &Path) -> PathBuf {
    if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) }
}

/// The path of a companion file of a database.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Removes a file, if it exists.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A copy beside a database that has not taken its place yet; deleted on drop.
struct Draft(PathBuf);

impl Draft {
    fn of(copy: &Path, target: &Path) -> io::Result<Self> {
        let draft = Self(beside(target, &format!(".{}.tmp", uuid::Uuid::new_v4().simple())));
        private_file::create(&draft.0, b"")?;
        let mut file = fs::OpenOptions::new().write(true).open(&draft.0)?;
        io::copy(&mut File::open(copy)?, &mut file)?;
        file.sync_all()?;
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename it does not exist.
        let _ = fs::remove_file(&self.0);
    }
}
