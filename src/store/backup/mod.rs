//! Backups: a consistent copy of the database while servers write, and its restoration.
//!
//! A backup is a directory with two files: the copy, made by SQLite's online backup or by `pg_dump`, and a manifest ([`Manifest`]) with
//! the schema, the keys that its secrets need, and a digest of the rows of each table. The digests are those of the same moment as
//! the copy, and restored rows are compared with them.
//!
//! The queries are not SeaORM's: they are of whatever tables a database has, also those of other versions.

mod digest;
mod fault;
mod manifest;
mod postgres;
mod programs;
mod sqlite;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use time::OffsetDateTime;

pub use fault::Fault;
pub use manifest::{Database, Manifest, TableDigest};

use self::manifest::{Contents, DataFile};
use super::{Location, connect::Place, schema};
use crate::base::setting_file::shown_directory;

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    pub manifest: Manifest,
    /// Whether migrations are pending, because the backup is of an older schema.
    pub is_behind: bool,
}

/// Copies a database to a new directory. Servers may run meanwhile.
pub async fn create(location: &Location, directory: &Path, now: OffsetDateTime) -> Result<Manifest, Fault> {
    if fs::symlink_metadata(directory).is_ok() {
        return Err(Fault::refused(format!("{} exists: name a new directory", shown_directory(directory))));
    }
    let draft = Draft::beside(directory)?;
    let (database, contents) = match place(location)? {
        Place::File(source) => {
            let copy = draft.0.join(Database::Sqlite.file());
            (Database::Sqlite, blocking(move || sqlite::copy(&source, &copy)).await?)
        }
        Place::Server(options) => {
            let copy = draft.0.join(Database::Postgres.file());
            (Database::Postgres, postgres::dump(*options, &copy).await?)
        }
    };
    let copy = draft.0.join(database.file());
    let data = blocking(move || DataFile::of(&copy)).await?;
    let manifest = Manifest::new(database, data, contents, now);
    manifest.write(&draft.0)?;
    draft.keep(directory)?;
    Ok(manifest)
}

/// Restores a backup into a database. `has_key` says whether this program has the key-encryption key with an id. Unless `replace` is set,
/// the database must be empty. Checks everything that it can before it changes the database.
pub async fn restore(
    location: &Location,
    directory: &Path,
    has_key: impl Fn(&str) -> bool,
    replace: bool,
) -> Result<Restored, Fault> {
    let manifest = Manifest::read(directory)?;
    let place = place(location)?;
    let configured = match place {
        Place::File(_) => Database::Sqlite,
        Place::Server(_) => Database::Postgres,
    };
    if manifest.database != configured {
        let (backup, configured) = (manifest.database.name(), configured.name());
        return Err(Fault::refused(format!("the backup is of {backup}, and the configured database is {configured}")));
    }
    let is_behind = check_schema(&manifest)?;
    check_keys(&manifest, has_key)?;
    let copy = directory.join(manifest.database.file());
    let (expected, file) = (manifest.data.clone(), copy.clone());
    blocking(move || expected.check(&file)).await?;
    match place {
        Place::File(target) => {
            let manifest = manifest.clone();
            blocking(move || sqlite::restore(&target, &copy, &manifest, replace)).await?;
        }
        Place::Server(options) => postgres::restore(*options, &copy, &manifest, replace).await?,
    }
    Ok(Restored { manifest, is_behind })
}

fn place(location: &Location) -> Result<Place, Fault> {
    location.place().map_err(|error| Fault::failed("the database cannot be used", error))
}

/// Fails if a newer program made the schema. Returns whether this program has later migrations.
fn check_schema(manifest: &Manifest) -> Result<bool, Fault> {
    let known = schema::known();
    match manifest.schema.iter().find(|name| !known.contains(name)) {
        Some(newer) => {
            let program = &manifest.program;
            Err(Fault::refused(format!(
                "the backup has a newer schema than this program ({newer}): restore it with tenantry {program} or later"
            )))
        }
        None => Ok(known.iter().any(|name| !manifest.schema.contains(name))),
    }
}

fn check_keys(manifest: &Manifest, has_key: impl Fn(&str) -> bool) -> Result<(), Fault> {
    let missing: Vec<_> = manifest.keys.iter().filter(|id| !has_key(id)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let ids = missing.join(" and ");
    Err(Fault::refused(format!(
        "the secrets in the backup need the key-encryption key {ids}: set TENANTRY_KEK to it (and TENANTRY_KEK_PREVIOUS, if there are two)"
    )))
}

/// Compares restored rows with those of the backup.
fn check_rows(manifest: &Manifest, found: &Contents) -> Result<(), Fault> {
    let names = manifest.tables.keys().chain(found.tables.keys());
    match names.into_iter().find(|name| manifest.tables.get(*name) != found.tables.get(*name)) {
        None => Ok(()),
        Some(table) => {
            Err(Fault::refused(format!("the restored rows of the table {table} are not those of the backup")))
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Fault::failed("the work was interrupted", error))?
}

/// A directory that is not complete yet; deleted on drop.
struct Draft(PathBuf);

impl Draft {
    /// In the same directory as the one that it will become, with access only for its owner.
    fn beside(directory: &Path) -> Result<Self, Fault> {
        let mut name = directory.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", uuid::Uuid::new_v4().simple()));
        let draft = Self(directory.with_file_name(name));
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let what = || format!("cannot create the directory {}", shown_directory(directory));
        builder.create(&draft.0).map_err(|error| Fault::failed(what(), error))?;
        Ok(draft)
    }

    /// Gives it its name.
    fn keep(self, directory: &Path) -> Result<(), Fault> {
        let what = || format!("cannot create the directory {}", shown_directory(directory));
        fs::rename(&self.0, directory).map_err(|error| Fault::failed(what(), error))?;
        keep_name(directory).map_err(|error| Fault::failed(what(), error))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename it does not exist.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Flushes the name of a file or directory to disk; the content already is.
fn keep_name(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match fs::File::open(parent)?.sync_all() {
        // Some file systems do not support or need this.
        Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) => Ok(()),
        kept => kept,
    }
}
