//! Whether a start can use the places in which it keeps its data. Nothing is made to find that out.

use std::{
    fs,
    io::{self, Read},
    path::{Path, absolute},
};

use super::{
    config::{Config, Problem},
    dev_kek_file, dev_key_file,
    material::{Purpose, read_kek},
};
use crate::{auth::authn::keys::Keys, base::Secret, store};

/// What is wrong with the places that a configuration names.
pub(super) fn problems(config: &Config, purpose: Purpose) -> Vec<Problem> {
    let mut problems = Vec::new();
    // A URL that cannot be read is told where the settings are.
    let file = config.database_url.as_ref().and_then(|url| store::check_url(url).ok().flatten());
    if let Some(Err(error)) = file.map(|file| check_file(&file)) {
        problems.push(Problem::of("database_url", format_args!("names a file that cannot be used: {error}")));
    }
    // `serve` has a database and a key elsewhere, and does not use the directory.
    let is_used = purpose == Purpose::Any && (config.database_url.is_none() || config.jwt_key.is_none());
    if is_used && let Err(error) = check_data_dir(config) {
        problems.push(Problem::of("data_dir", format_args!("is not usable: {error}")));
    }
    problems
}

/// Fails unless a database file is there, or could be made.
fn check_file(file: &Path) -> Result<(), String> {
    match fs::metadata(file) {
        Ok(found) if found.is_dir() => Err("it is a directory".to_owned()),
        Ok(found) if !found.is_file() => Err("it is not a regular file".to_owned()),
        Ok(_) => {
            check_writable(file)?;
            // Its log is made beside it.
            file.parent().map_or(Ok(()), check_directory)?;
            check_is_database(file)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => match file.parent() {
            Some(parent) => check_directory(parent),
            None => Err(error.to_string()),
        },
        Err(error) => Err(error.to_string()),
    }
}

/// Fails if a file has content that is not SQLite's (https://sqlite.org/fileformat2.html, section 1.3).
fn check_is_database(file: &Path) -> Result<(), String> {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let mut head = Vec::new();
    let opened = fs::File::open(file).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head));
    opened.map_err(|error| format!("{}: {error}", file.display()))?;
    match head.is_empty() || head == MAGIC {
        true => Ok(()),
        false => Err(format!("{} is not an SQLite database", file.display())),
    }
}

/// Fails unless the data directory is there, or could be made, and `dev` can use the keys that it finds in it.
fn check_data_dir(config: &Config) -> Result<(), String> {
    let path = absolute(&config.data_dir).map_err(|error| error.to_string())?;
    let is_there = |path: &&Path| fs::symlink_metadata(path).is_ok();
    path.ancestors().find(is_there).map_or(Ok(()), check_directory)?;
    let (key, kek) = (dev_key_file(&config.data_dir), dev_kek_file(&config.data_dir));
    if config.jwt_key.is_none() && key.exists() {
        Keys::load(&key, None).map_err(|error| format!("the key in it cannot be used: {error}"))?;
    }
    if config.kek.is_none() && kek.exists() {
        let kek = Secret::new(kek.to_string_lossy().into_owned());
        read_kek(&kek).map_err(|error| format!("the key-encryption key in it {error}"))?;
    }
    Ok(())
}

/// Fails unless this is a directory in which files can be made.
fn check_directory(path: &Path) -> Result<(), String> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => check_writable(path),
        Ok(_) => Err(format!("{} is not a directory", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Fails if it is certain that nothing can be written here.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn check_writable(path: &Path) -> Result<(), String> {
    use rustix::fs::{Access, access};
    access(path, Access::WRITE_OK).map_err(|error| format!("{}: {}", path.display(), io::Error::from(error)))?;
    match is_of_the_kernel(path) {
        true => Err(format!("{} keeps no files: it shows the state of the system", path.display())),
        false => Ok(()),
    }
}

/// There the first write finds out.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn check_writable(_: &Path) -> Result<(), String> {
    Ok(())
}

/// Whether a path is in `/proc` or `/sys`, where the superuser is allowed to write and yet cannot make files.
#[cfg(target_os = "linux")]
fn is_of_the_kernel(path: &Path) -> bool {
    const SYSFS: rustix::fs::FsWord = 0x6265_6572;
    let found = rustix::fs::statfs(path);
    found.is_ok_and(|found| [rustix::fs::PROC_SUPER_MAGIC, SYSFS].contains(&found.f_type))
}

#[cfg(any(target_os = "android", target_vendor = "apple"))]
fn is_of_the_kernel(_: &Path) -> bool {
    false
}
