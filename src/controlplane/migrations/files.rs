//! The files with migrations: those of the program, or those in a directory.

use std::{fs, io, path::Path};

use crate::{base::digest::sha256_hex, providers::provisioner::Migration};

/// The files of `tenant-migrations/`.
const EMBEDDED: &[(&str, &str)] =
    &[("0001_baseline.sql", include_str!("../../../tenant-migrations/0001_baseline.sql"))];
/// Maximum size of a file.
const LARGEST: u64 = 16 << 20;
/// The end of the names of files.
const END: &str = ".sql";

/// The migrations for databases of tenants, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantMigrations(Vec<Migration>);

/// Why files cannot be used. No text quotes the contents of a file.
#[derive(Debug, thiserror::Error)]
pub enum UnusableFiles {
    #[error("the directory cannot be read: {0}")]
    Directory(io::Error),
    #[error("the file {0} cannot be read: {1}")]
    Unreadable(String, io::Error),
    #[error("the file {0} is larger than 16 MiB")]
    TooLarge(String),
    #[error("the file {0} is not text in UTF-8 without zero bytes")]
    NotText(String),
    #[error(
        "the file {0} must be named like 0002_add_notes.sql: four digits, '_', and lower-case letters, digits or '_'"
    )]
    Name(String),
    #[error("the files {0} and {1} have the same number")]
    Number(String, String),
}

impl TenantMigrations {
    /// Those of the program.
    pub fn embedded() -> Result<Self, UnusableFiles> {
        Self::of(EMBEDDED.iter().map(|(name, sql)| ((*name).to_owned(), (*sql).to_owned())).collect())
    }

    /// The files of a directory whose names end with `.sql`.
    pub fn read(directory: &Path) -> Result<Self, UnusableFiles> {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory).map_err(UnusableFiles::Directory)? {
            let path = entry.map_err(UnusableFiles::Directory)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if !name.ends_with(END) {
                continue;
            }
            let unreadable = |error| UnusableFiles::Unreadable(name.clone(), error);
            if fs::metadata(&path).map_err(unreadable)?.len() > LARGEST {
                return Err(UnusableFiles::TooLarge(name));
            }
            let content = fs::read(&path).map_err(unreadable)?;
            let sql = String::from_utf8(content).map_err(|_| UnusableFiles::NotText(name.clone()))?;
            files.push((name, sql));
        }
        Self::of(files)
    }

    fn of(mut files: Vec<(String, String)>) -> Result<Self, UnusableFiles> {
        files.sort();
        let mut migrations: Vec<Migration> = Vec::with_capacity(files.len());
        for (name, sql) in files {
            let Some(revision) = name.strip_suffix(END).filter(|revision| is_revision(revision)) else {
                return Err(UnusableFiles::Name(name));
            };
            if sql.contains('\0') {
                return Err(UnusableFiles::NotText(name));
            }
            if let Some(before) = migrations.last().filter(|before| before.revision[..4] == revision[..4]) {
                return Err(UnusableFiles::Number(format!("{}{END}", before.revision), name));
            }
            let digest = sha256_hex([sql.as_bytes()]);
            migrations.push(Migration { revision: revision.to_owned(), sql, digest });
        }
        Ok(Self(migrations))
    }

    pub fn all(&self) -> &[Migration] {
        &self.0
    }

    /// The last one.
    pub fn head(&self) -> Option<&str> {
        self.0.last().map(|migration| migration.revision.as_str())
    }
}

/// `[0-9]{4}_[a-z0-9_]{1,59}`.
fn is_revision(name: &str) -> bool {
    let Some((number, rest)) = name.split_once('_') else { return false };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    number.len() == 4
        && number.bytes().all(|b| b.is_ascii_digit())
        && (1..=59).contains(&rest.len())
        && rest.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn of(files: &[(&str, &str)]) -> Result<TenantMigrations, String> {
        let files = files.iter().map(|(name, sql)| ((*name).to_owned(), (*sql).to_owned())).collect();
        TenantMigrations::of(files).map_err(|error| error.to_string())
    }

    #[test]
    fn the_program_has_every_file_of_the_repository() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tenant-migrations");
        let read = TenantMigrations::read(&directory).unwrap();
        assert_eq!(read, TenantMigrations::embedded().unwrap());
        assert_eq!(read.all()[0].revision, "0001_baseline");
        let others: BTreeSet<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(others.len(), read.all().len());
    }

    #[test]
    fn files_are_sorted_by_their_numbers() {
        let found = of(&[("0010_b.sql", "SELECT 1"), ("0002_z.sql", ""), ("0001_a_1.sql", "")]).unwrap();
        let names: Vec<_> = found.all().iter().map(|migration| migration.revision.as_str()).collect();
        assert_eq!((names, found.head()), (vec!["0001_a_1", "0002_z", "0010_b"], Some("0010_b")));
        assert_eq!(of(&[]).unwrap().head(), None);
    }

    #[test]
    fn other_files_are_refused_by_name() {
        for name in
            ["1_a.sql", "0001.sql", "0001_.sql", "0001_A.sql", "00001_a.sql", "0001_a'b.sql", ".sql", "000a_a.sql"]
        {
            assert!(of(&[(name, "")]).unwrap_err().contains(name), "{name}");
        }
        let twice = of(&[("0001_a.sql", ""), ("0001_b.sql", "")]).unwrap_err();
        assert_eq!(twice, "the files 0001_a.sql and 0001_b.sql have the same number");
        assert!(of(&[("0001_a.sql", "a\0b")]).unwrap_err().contains("not text"));
    }

    #[test]
    fn a_directory_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| fs::write(directory.path().join(name), content).unwrap();
        write("0001_a.sql", b"SELECT 1");
        write("README.md", b"\xff");
        assert_eq!(TenantMigrations::read(directory.path()).unwrap().head(), Some("0001_a"));
        write("0002_b.sql", b"\xff hunter2");
        let error = TenantMigrations::read(directory.path()).unwrap_err().to_string();
        assert!(error.contains("0002_b.sql") && !error.contains("hunter2"), "{error}");
        let missing = TenantMigrations::read(&directory.path().join("none")).unwrap_err();
        assert!(matches!(missing, UnusableFiles::Directory(_)));
    }
}
