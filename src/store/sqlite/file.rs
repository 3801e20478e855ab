//! The file of the database, which must stay the same one while it is in use.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use sea_orm::{DbErr, RuntimeErr};

/// A file and its identity when it was opened first.
#[derive(Clone, Debug)]
pub struct DatabaseFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl DatabaseFile {
    pub fn new(path: PathBuf) -> io::Result<Self> {
        let identity = identity(&path)?;
        Ok(Self { path, identity })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if the file was deleted or replaced. Open connections would continue with the old file, whose changes are lost,
    /// and new ones would apply the log of the old file to the new one.
    pub fn check(&self) -> Result<(), DbErr> {
        match identity(&self.path) {
            Ok(now) if now == self.identity => Ok(()),
            Ok(_) => Err(missing(
                "the database file was replaced while it was in use; stop the server, delete its -wal and -shm files, and restore the file again",
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing(
                "the database file was deleted while it was in use; stop the server, delete its -wal and -shm files, and restore the file",
            )),
            Err(error) => Err(missing(&format!("the database file cannot be found: {error}"))),
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn missing(text: &str) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_or_replaced_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("test.db"), dir.path().join("other.db"));
        std::fs::write(&path, "a").unwrap();
        let file = DatabaseFile::new(path.clone()).unwrap();
        std::fs::write(&path, "b").unwrap();
        file.check().expect("a changed file is the same one");
        std::fs::write(&other, "b").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(file.check().unwrap_err().to_string().contains("replaced"));
        std::fs::remove_file(&path).unwrap();
        assert!(file.check().unwrap_err().to_string().contains("deleted"));
    }
}
