//! Files that settings name: certificates, keys, the configuration itself.

use std::{
    ffi::OsStr,
    fs, io,
    io::{ErrorKind, Read},
    path::{Component, Path},
};

/// Marks keys that `tenantry dev` created, in the line before the key. PEM parsers skip that line (RFC 7468, section
/// 2).
pub const DEV_MARK: &str = "Made by `tenantry dev`, for development only";
/// Maximum size of a file, in bytes.
const MAX: u64 = 1 << 20;

/// Extensions of the files that settings and flags name: certificates, keys, databases, configurations, passwords and
/// documents.
const EXTENSIONS: [&str; 15] = [
    "cer", "cert", "conf", "crt", "db", "der", "json", "kek", "key", "pem", "sqlite", "sqlite3", "toml", "txt", "yaml",
];
/// What URLs with passwords, connection strings, padded base64 and PEM contain, and names of files rarely do.
const OF_SECRETS: [&str; 5] = ["://", "@", ";", "=", "-----"];
/// Maximum number of letters of a word in a name, and of digits after them: those of a year.
const LETTERS: usize = 16;
const DIGITS: usize = 4;
/// Minimum length of a top-level directory that proves a path. Shorter ones may be the beginning of a key in base64.
const TOP: usize = 3;
/// In place of a text that may be a secret.
const HIDDEN: &str = "(not shown: it does not have the form of a path)";

/// A path for a message. A text that was given in place of a path may be a secret, so only a path is repeated; see
/// [`is_path`].
pub fn shown(path: &Path) -> String {
    if is_path(path) { path.display().to_string() } else { HIDDEN.to_owned() }
}

/// The same for a directory; see [`is_directory`].
pub fn shown_directory(path: &Path) -> String {
    if is_directory(path) { path.display().to_string() } else { HIDDEN.to_owned() }
}

/// Whether a text is a path for certain: it exists, or has the form of a path. Why a file cannot be read does not
/// matter: in a working directory that cannot be searched, every relative text fails like an existing file.
///
/// A name with a known extension has this form, below a directory that does not look like a part of a key: one that
/// exists, or whose names are words. So has an absolute path in an existing directory, below an existing top-level one
/// (`/run/secrets/tls_key` before the mount) or of words, and a relative one of words in an existing directory
/// (`keys/tls_key`). Keys in base64 may contain slashes, but they mix cases and digits, and words do not; the chance
/// that a random text begins with an existing top-level directory is one in millions.
pub fn is_path(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok() || has_form(path)
}

/// Whether a text is a path for certain, or consists of words, as the names of directories that a start creates do.
pub fn is_directory(path: &Path) -> bool {
    is_path(path) || is_plain(path) && of_words(path)
}

fn has_form(path: &Path) -> bool {
    let directory = path.parent().filter(|directory| !matches!(directory.to_str(), Some("" | "/")));
    let exists = directory.is_some_and(Path::is_dir);
    let is_below = path.is_absolute() && (exists || is_below_existing(path));
    let is_known = path
        .extension()
        .and_then(OsStr::to_str)
        .is_some_and(|extension| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)));
    is_plain(path)
        && match is_known {
            true => is_below || exists || directory.is_none_or(of_words),
            false => is_below || of_words(path) && (exists || path.is_absolute()),
        }
}

/// Whether a text is not a part of a URL, a connection string or PEM.
fn is_plain(path: &Path) -> bool {
    path.to_str().is_some_and(|text| {
        !text.contains(char::is_control) && !text.is_empty() && !OF_SECRETS.iter().any(|part| text.contains(part))
    })
}

/// Whether the top-level directory of a path with further components exists.
fn is_below_existing(path: &Path) -> bool {
    let mut components = path.components().filter(|component| matches!(component, Component::Normal(_)));
    let (Some(top), Some(_)) = (components.next(), components.next()) else { return false };
    top.as_os_str().len() >= TOP && Path::new("/").join(top).is_dir()
}

/// Whether every component consists of short words, as names that people choose do.
fn of_words(path: &Path) -> bool {
    path.components().all(|component| match component {
        Component::Normal(name) => name.to_str().is_some_and(|name| name.split(['.', '_', '-']).all(is_word)),
        _ => true,
    })
}

/// Letters in one case, except for the first, then a number.
fn is_word(text: &str) -> bool {
    let letters = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let rest = letters.get(1..).unwrap_or_default();
    let has_one_case = letters.bytes().all(|letter| letter.is_ascii_lowercase())
        || letters.bytes().all(|letter| letter.is_ascii_uppercase())
        || letters.starts_with(|c: char| c.is_ascii_uppercase())
            && rest.bytes().all(|letter| letter.is_ascii_lowercase());
    has_one_case && letters.len() <= LETTERS && text.len() - letters.len() <= DIGITS
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
        let below = |name: &str| dir.path().join(name).display().to_string();
        fs::write(dir.path().join("QmFzZTY0S2V5"), "x").unwrap();
        let (missing, existing) = (below("MISSING2key"), below("QmFzZTY0S2V5"));
        for path in [
            missing.as_str(),
            existing.as_str(),
            "cert.pem",
            "priv/key.pem",
            "../Secrets/tls.KEY",
            "/nowhere/key.pem",
            "/nowhere",
            "/keys/tls_key",
            "/etc/tenantry-2024/tls_key",
            "/run/secrets/tls_key",
            "/usr/Xk39dP2/tls_key",
            "src/tls_key",
            "./tls_key",
            "tenantry.db",
        ] {
            assert_eq!(shown(Path::new(path)), path);
        }
        let long = "MC4CAQAwBQYDK2VwBCIEIGVhY2hTZWNyZXQ".repeat(9);
        for secret in [
            "",
            "hunter2",
            "hunter/two",
            "hunter2Secret.2024",
            "https://ci:hunter2Secret@vault/tls/key.pem",
            "postgres://app:pw@db.corp",
            "/srv/postgres://app:pw@db/key.pem",
            "AccountName=x;AccountKey=abc==;EndpointSuffix=core.windows.net",
            "host=db password=hunter2 sslkey=key.pem",
            "ci@vault.key",
            "-----BEGIN PRIVATE KEY-----\nMC4CAQ/Aw",
            "-----BEGIN PRIVATE KEY----- MC4CAQ/Aw",
            "MC4CAQAwBQYDK2VwBCIEIGVhY2hTZWNyZXQ",
            "MC4CAQAwBQYDK2VwBCIEIGVhY2hTZWNyZXQ/tenantry.db",
            "src/MC4CAQAwBQYDK2VwBCI",
            "/MC4CAQAwBQYDK2VwBCI",
            "/MC4CAQ/Aw",
            "/k9Zr/bq3/xw81",
            "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl",
            "/0191f3a47c107b2e9d315a6b7c8d9e0f/0191f3a4",
            &long,
        ] {
            assert_eq!(shown(Path::new(secret)), HIDDEN, "{secret}");
        }
    }

    #[test]
    fn a_directory_that_a_start_creates_may_have_any_words_as_its_name() {
        for path in [".tenantry", "data", "deep/below/it", "/srv/data"] {
            assert_eq!(shown_directory(Path::new(path)), path);
        }
        for secret in ["", "MC4CAQAwBQYDK2VwBCI", "postgres://app:pw@db/x", "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl"] {
            assert_eq!(shown_directory(Path::new(secret)), HIDDEN, "{secret}");
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
