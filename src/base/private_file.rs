//! Files that only their owner may read: keys and tokens.

use std::{
    fs, io,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

/// Writes a file atomically, replacing an existing one.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = Draft::make(path, content, true)?;
    fs::rename(&draft.0, path)?;
    keep_name(path)
}

/// Like [`write`], but does not wait for the disk. After a crash of the machine, the file may be empty, missing or as it was before.
pub fn write_unsynced(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = Draft::make(path, content, false)?;
    fs::rename(&draft.0, path)
}

/// Creates a file atomically. Returns whether it was created; an existing one is left as it is, even if it was created
/// concurrently.
pub fn create(path: &Path, content: &[u8]) -> io::Result<bool> {
    let draft = Draft::make(path, content, true)?;
    // Not every file system supports the first two.
    let made = rename_new(&draft, path).or_else(|_| link(&draft, path)).or_else(|_| rename_locked(&draft, path))?;
    if made {
        keep_name(path)?;
    }
    Ok(made)
}

/// Whether anyone except its owner may read or change a file.
pub fn is_exposed(path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    return Ok(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path)?.permissions()) & 0o077 != 0);
    #[cfg(not(unix))]
    return fs::metadata(path).map(|_| false);
}

/// Atomically renames a draft unless the new name exists.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_new(draft: &Draft, path: &Path) -> io::Result<bool> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    is_new(renameat_with(CWD, &draft.0, CWD, path, RenameFlags::NOREPLACE).map_err(io::Error::from))
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_new(_: &Draft, _: &Path) -> io::Result<bool> {
    Err(ErrorKind::Unsupported.into())
}

/// The same with a hard link, which appears with its complete content; the draft's own name is removed afterwards.
fn link(draft: &Draft, path: &Path) -> io::Result<bool> {
    is_new(fs::hard_link(&draft.0, path))
}

/// The same in two steps, under a lock of the directory that every process takes here. The lock ends with its process
/// at the latest.
fn rename_locked(draft: &Draft, path: &Path) -> io::Result<bool> {
    let directory = fs::File::open(directory(path))?;
    directory.lock()?;
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => fs::rename(&draft.0, path).map(|()| true),
        Err(error) => Err(error),
    }
}

/// Whether a name was created; an existing one is not an error.
fn is_new(named: io::Result<()>) -> io::Result<bool> {
    match named {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        named => named.map(|()| true),
    }
}

/// Flushes the directory entry to disk; the content already is.
fn keep_name(path: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match fs::File::open(directory(path))?.sync_all() {
        // Some file systems do not support or need this.
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput) => Ok(()),
        kept => kept,
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file that has not been renamed yet; deleted on drop.
struct Draft(PathBuf);

impl Draft {
    fn make(path: &Path, content: &[u8], sync: bool) -> io::Result<Self> {
        // In the same directory, because renames work only within a file system. Containers share process ids, so the
        // name is random.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", uuid::Uuid::new_v4().simple()));
        let draft = Self(path.with_file_name(name));
        write_new(&draft.0, content, sync)?;
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename it does not exist.
        let _ = fs::remove_file(&self.0);
    }
}

fn write_new(path: &Path, content: &[u8], sync: bool) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    if sync { file.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many concurrent creators: exactly one succeeds, the file is complete at any time, and no drafts are left.
    fn race(name: impl Fn(&Draft, &Path) -> io::Result<bool> + Sync) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let make = |n: u8| name(&Draft::make(&path, &[b'0' + n; 64], true).unwrap(), &path).unwrap();
        let made = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|n| (n, scope.spawn(move || make(n)))).collect();
            while !path.exists() {
                std::thread::yield_now();
            }
            let seen = fs::read(&path).unwrap();
            assert!(seen.len() == 64 && seen.iter().all(|byte| *byte == seen[0]), "{seen:?}");
            makers.into_iter().filter_map(|(n, maker)| maker.join().unwrap().then_some(n)).collect::<Vec<_>>()
        });
        let [winner] = made.as_slice() else { panic!("{made:?}") };
        assert_eq!(fs::read(&path).unwrap(), [b'0' + winner; 64]);
        assert!(!make(9), "nor is one replaced that was there before");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn one_of_concurrent_creations_succeeds_and_leaves_no_temporary_file() {
        race(|draft, path| rename_new(draft, path).or_else(|_| link(draft, path)));
    }

    #[test]
    fn fallbacks_for_limited_file_systems_are_atomic() {
        race(link);
        race(rename_locked);
    }

    #[test]
    fn a_file_is_created_once_and_can_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(create(&path, b"first").unwrap());
        write(&path, b"next").unwrap();
        assert!(!create(&path, b"late").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"next");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(create(&dir.path().join("none/key"), b"x").is_err());
        assert!(cfg!(not(unix)) || !is_exposed(&path).unwrap());
    }
}
