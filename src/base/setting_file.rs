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

/// A path for the error of reading it. If there is no such file, the setting may be a secret in the wrong place; then only what has the form
/// of a path is repeated: with a short extension, or in an existing directory. No key in base64 or PEM has it, and no token.
pub fn shown(path: &Path, error: &io::Error) -> String {
    let is_missing = matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename | ErrorKind::InvalidInput
    );
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_named = extension.is_some_and(|extension| (1..=5).contains(&extension.len()));
    // Not the root, in which every text that begins with a slash would be.
    let directory = path.parent().filter(|directory| directory.parent().is_some() && path.is_absolute());
    if !is_missing || is_named || directory.is_some_and(Path::is_dir) || path.exists() {
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
        let (missing, nowhere) = (dir.path().join("key"), Path::new("/nowhere/key.pem"));
        let read_error = |path: &Path| read(path).unwrap_err();
        for named in [&missing, nowhere, Path::new("cert.pem"), dir.path()] {
            assert_eq!(shown(named, &read_error(named)), named.display().to_string());
        }
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQ/Aw";
        for hidden in [
            pem,
            "MC4CAQAwBQYDK2VwBCIEIGVhY2hTZWNyZXQ",
            "/MC4CAQAwBQYDK2VwBCI",
            "/MC4CAQ/Aw",
            "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl",
            "",
        ] {
            let hidden = Path::new(hidden);
            assert_eq!(shown(hidden, &read_error(hidden)), "(which does not exist)");
        }
        let denied = io::Error::from(ErrorKind::PermissionDenied);
        assert_eq!(shown(Path::new("priv/key.pem"), &denied), "priv/key.pem");
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
