//! Files that their owner alone may read: keys and tokens.

use std::{
    fs, io,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

/// Writes a file, whole or not at all, in the place of one that is there.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = Draft::make(path, content)?;
    fs::rename(&draft.0, path)
}

/// Makes a file, whole or not at all. Returns whether it was made; one that is there stays as it is, also if it came
/// into being a moment ago.
pub fn create(path: &Path, content: &[u8]) -> io::Result<bool> {
    let draft = Draft::make(path, content)?;
    // A link appears with all of the content at once, and never in the place of another file.
    match fs::hard_link(&draft.0, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        // Some file systems have no links.
        Err(_) => match write_new(path, content) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            written => written.map(|()| true),
        },
    }
}

/// A file on its way to another name; it goes with its value.
struct Draft(PathBuf);

impl Draft {
    fn make(path: &Path, content: &[u8]) -> io::Result<Self> {
        // Beside its place, because a name moves within a file system only. Processes in containers share numbers, so
        // the name is random.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", uuid::Uuid::new_v4().simple()));
        let draft = Self(path.with_file_name(name));
        write_new(&draft.0, content)?;
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename there is none.
        let _ = fs::remove_file(&self.0);
    }
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_who_make_a_file_one_does_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8)
                .map(|n| {
                    (
                        n,
                        scope.spawn({
                            let path = &path;
                            move || create(path, &[b'0' + n; 64]).unwrap()
                        }),
                    )
                })
                .collect();
            makers.into_iter().filter_map(|(n, maker)| maker.join().unwrap().then_some(n)).collect::<Vec<_>>()
        });
        let [winner] = made.as_slice() else { panic!("{made:?}") };
        assert_eq!(fs::read(&path).unwrap(), [b'0' + winner; 64]);
        write(&path, b"next").unwrap();
        assert!(!create(&path, b"late").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"next");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(create(&dir.path().join("none/key"), b"x").is_err());
    }
}
