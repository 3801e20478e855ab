//! The manifest of a backup.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::fault::Fault;
use crate::base::{digest::sha256_hex, private_file};

/// The name of its file.
const FILE: &str = "manifest.json";
/// The version of the form of backups.
const FORMAT: u32 = 1;
const BUFFER: usize = 1 << 20;

/// What a backup contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of its form.
    pub format: u32,
    /// The version of the program that made it.
    pub program: String,
    /// When it was made, in RFC 3339.
    pub created_at: String,
    pub database: Database,
    /// The names of all migrations that were applied, oldest first.
    pub schema: Vec<String>,
    /// The copy.
    pub data: DataFile,
    /// The rows of each table.
    pub tables: BTreeMap<String, TableDigest>,
    /// The ids of the key-encryption keys that sealed its secrets.
    pub keys: Vec<String>,
    /// On PostgreSQL, the schema of the tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// The kind of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Database {
    Sqlite,
    Postgres,
}

/// The file with the copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    pub file: String,
    pub bytes: u64,
    pub sha256: String,
}

/// The rows of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDigest {
    pub rows: u64,
    pub sha256: String,
}

/// What a database contains.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    pub schema: Vec<String>,
    pub tables: BTreeMap<String, TableDigest>,
    pub keys: Vec<String>,
    pub namespace: Option<String>,
}

impl Database {
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Sqlite => "registry.db",
            Self::Postgres => "registry.dump",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

impl DataFile {
    /// The digest of a file, which is flushed to disk.
    pub(super) fn of(path: &Path) -> Result<Self, Fault> {
        let (bytes, sha256) = digest_of(path).map_err(|error| Fault::failed("cannot read the copy", error))?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { file, bytes, sha256 })
    }

    /// Fails unless a file has this content.
    pub(super) fn check(&self, path: &Path) -> Result<(), Fault> {
        let what = format!("cannot read {} of the backup", self.file);
        let (bytes, sha256) = digest_of(path).map_err(|error| Fault::failed(what, error))?;
        if (bytes, &sha256) == (self.bytes, &self.sha256) {
            return Ok(());
        }
        Err(Fault::refused(format!("the backup is damaged: {} is not as its manifest says", self.file)))
    }
}

/// The length and the digest of a file.
fn digest_of(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; BUFFER]);
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
    file.sync_all()?;
    Ok((bytes, hex(&hasher.finalize())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Manifest {
    pub(super) fn new(database: Database, data: DataFile, contents: Contents, now: OffsetDateTime) -> Self {
        Self {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            // Every time of a clock has this form.
            created_at: now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default(),
            database,
            schema: contents.schema,
            data,
            tables: contents.tables,
            keys: contents.keys,
            namespace: contents.namespace,
        }
    }

    /// The number of rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.values().map(|table| table.rows).sum()
    }

    /// Writes it to a directory, with its own digest.
    pub(super) fn write(&self, directory: &Path) -> Result<(), Fault> {
        let failed =
            |error: Box<dyn std::error::Error + Send + Sync>| Fault::failed("cannot write the manifest", error);
        let whole = json!({"sha256": self.digest(), "manifest": self});
        let text = serde_json::to_string_pretty(&whole).map_err(|error| failed(error.into()))? + "\n";
        private_file::create(&directory.join(FILE), text.as_bytes()).map_err(|error| failed(error.into()))?;
        Ok(())
    }

    /// Reads that of a backup, and checks that nothing in it was changed.
    pub(super) fn read(directory: &Path) -> Result<Self, Fault> {
        let path = directory.join(FILE);
        let text = std::fs::read(&path).map_err(|error| {
            Fault::failed("cannot read manifest.json of the backup: name the directory of a backup", error)
        })?;
        let damaged = || Fault::refused("the backup is damaged: its manifest is not as it was written");
        let mut whole: Value = serde_json::from_slice(&text).map_err(|_| damaged())?;
        if whole["manifest"]["format"].as_u64().is_some_and(|format| format > u64::from(FORMAT)) {
            let program = whole["manifest"]["program"].as_str().unwrap_or_default();
            return Err(Fault::refused(format!(
                "the backup was made by a newer program: restore it with tenantry {program}"
            )));
        }
        let manifest: Self = serde_json::from_value(whole["manifest"].take()).map_err(|_| damaged())?;
        if whole["sha256"].as_str() != Some(&manifest.digest()) { Err(damaged()) } else { Ok(manifest) }
    }

    fn digest(&self) -> String {
        // A structure without maps of other keys than texts can be written.
        sha256_hex([serde_json::to_vec(self).unwrap_or_default().as_slice()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let contents = Contents {
            schema: vec!["m1".to_owned()],
            tables: BTreeMap::from([("tenants".to_owned(), TableDigest { rows: 3, sha256: "ab".to_owned() })]),
            keys: vec!["k".to_owned()],
            namespace: None,
        };
        let data = DataFile { file: "registry.db".to_owned(), bytes: 7, sha256: "cd".to_owned() };
        Manifest::new(Database::Sqlite, data, contents, OffsetDateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_otherwise_refused() {
        let dir = tempfile::tempdir().unwrap();
        manifest().write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), manifest());
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to, expected) in [
            ("\"rows\": 3", "\"rows\": 4", "damaged"),
            ("\"sqlite\"", "\"mysql\"", "damaged"),
            ("\"format\": 1", "\"format\": 2", "newer program: restore it with tenantry"),
            ("{", "", "damaged"),
        ] {
            assert!(text.contains(from));
            std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
            let error = Manifest::read(dir.path()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(Manifest::read(dir.path()).unwrap_err().to_string().contains("name the directory of a backup"));
    }

    #[test]
    fn a_file_is_compared_with_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registry.db");
        std::fs::write(&path, "abc").unwrap();
        let file = DataFile::of(&path).unwrap();
        assert_eq!((file.bytes, file.file.as_str()), (3, "registry.db"));
        assert_eq!(file.sha256, sha256_hex([&b"abc"[..]]));
        file.check(&path).unwrap();
        std::fs::write(&path, "abd").unwrap();
        assert!(file.check(&path).unwrap_err().to_string().contains("damaged"));
    }
}
