//! Checks whether a start can use the places of its data, without creating anything.

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
use crate::{
    auth::authn::keys::Keys,
    base::{
        Secret,
        setting_file::{shown, shown_directory},
    },
    store,
};

/// The problems with the places in a configuration.
pub(super) fn problems(config: &Config, purpose: Purpose) -> Vec<Problem> {
    let mut problems = Vec::new();
    // A URL that cannot be parsed is reported with the settings.
    let file = config.database_url.as_ref().and_then(|url| store::check_url(url).ok().flatten());
    if let Some(Err(error)) = file.map(|file| check_file(&file)) {
        problems.push(Problem::of("database_url", format_args!("names a file that cannot be used: {error}")));
    }
    // With a database and a key elsewhere, `serve` does not use the directory.
    let is_used = purpose == Purpose::Any && (config.database_url.is_none() || config.jwt_key.is_none());
    if is_used && let Err(error) = check_data_dir(config) {
        problems.push(Problem::of("data_dir", format_args!("is not usable: {error}")));
    }
    problems
}

/// Fails unless a database file exists or can be created.
fn check_file(file: &Path) -> Result<(), String> {
    match fs::metadata(file) {
        Ok(found) if found.is_dir() => Err("it is a directory".to_owned()),
        Ok(found) if !found.is_file() => Err("it is not a regular file".to_owned()),
        Ok(_) => {
            check_writable(file)?;
            // Its log is created in the same directory.
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

/// Fails if a file exists and is not an SQLite database (https://sqlite.org/fileformat2.html, section 1.3).
fn check_is_database(file: &Path) -> Result<(), String> {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let mut head = Vec::new();
    let opened = fs::File::open(file).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head));
    opened.map_err(|error| format!("{}: {error}", shown(file)))?;
    match head.is_empty() || head == MAGIC {
        true => Ok(()),
        false => Err(format!("{} is not an SQLite database", shown(file))),
    }
}

/// Fails unless the data directory exists or can be created, and `dev` can use the keys in it.
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

/// Fails unless this is a directory in which files can be created.
fn check_directory(path: &Path) -> Result<(), String> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => check_writable(path),
        Ok(_) => Err(format!("{} is not a directory", shown_directory(path))),
        Err(error) => Err(format!("{}: {error}", shown_directory(path))),
    }
}

/// Fails if this is certainly not writable.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn check_writable(path: &Path) -> Result<(), String> {
    use rustix::fs::{Access, access};
    access(path, Access::WRITE_OK).map_err(|error| format!("{}: {}", shown_directory(path), io::Error::from(error)))?;
    match is_of_the_kernel(path) {
        true => Err(format!("{} keeps no files: it shows the state of the system", shown_directory(path))),
        false => Ok(()),
    }
}

/// On other systems the first write fails.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn check_writable(_: &Path) -> Result<(), String> {
    Ok(())
}

/// Whether a path is in `/proc` or `/sys`, where even the superuser cannot create files.
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
