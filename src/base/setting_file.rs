//! Files that settings name: certificates, keys, the configuration itself.

use std::{
    fs, io,
    io::{ErrorKind, Read},
    path::Path,
};

/// Marks keys that `tenantry dev` created, in the line before the key. PEM parsers skip that line (RFC 7468, section 2).
pub const DEV_MARK: &str = "Made by `tenantry dev`, for development only";
/// Maximum size of a file, in bytes.
const MAX: u64 = 1 << 20;

/// A path for an error. If there is no such file, the setting may be a secret in the wrong place; then only what has the form of a path is repeated.
/// No key in base64 or PEM does: it has no full stop after its last slash, and is in no directory.
pub fn shown(path: &Path) -> String {
    let is_named = path.extension().is_some() || path.parent().is_some_and(Path::is_dir);
    if path.exists() || path.is_absolute() && is_named {
        path.display().to_string()
    } else {
        "(which does not exist)".to_owned()
    }
}

/// Reads a file. Fails at once for anything but a regular file: opening a pipe would wait for its writer.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut content = Vec::new();
    file.take(MAX + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(content)
}

/// As [`read`], for text in UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| io::Error::new(ErrorKind::InvalidData, "not UTF-8"))
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn open(path: &Path) -> io::Result<fs::File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn open(path: &Path) -> io::Result<fs::File> {
    fs::File::open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_the_place_of_a_path_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let (missing, secret) = (dir.path().join("key.pem"), "-----BEGIN PRIVATE KEY-----\nMC4CAQ/Aw");
        assert_eq!(shown(&missing), missing.display().to_string());
        assert_eq!(shown(Path::new("/nowhere/key.pem")), "/nowhere/key.pem");
        for hidden in [secret, "MC4CAQAwBQYDK2VwBCIEIGVhY2hTZWNyZXQ", "/MC4CAQ/Aw", ""] {
            assert_eq!(shown(Path::new(hidden)), "(which does not exist)");
        }
    }

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("good"), "text").unwrap();
        assert_eq!(read_text(&path("good")).unwrap(), "text");
        fs::write(path("bytes"), [0xff]).unwrap();
        assert_eq!(read_text(&path("bytes")).unwrap_err().kind(), ErrorKind::InvalidData);
        fs::write(path("large"), vec![b'x'; 1 + (1 << 20)]).unwrap();
        assert_eq!(read(&path("large")).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read(&path("none")).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(read(dir.path()).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_and_a_device_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(read(&pipe).unwrap_err().to_string(), "not a regular file");
        assert_eq!(read(Path::new("/dev/zero")).unwrap_err().to_string(), "not a regular file");
    }
}
