//! The programs of the peers: where they are, and who runs them.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The oldest supported version of PostgreSQL.
const OLDEST: u32 = 15;
/// Where Debian has the programs of each version of PostgreSQL.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Where `scripts/peers` installs the programs, in the directory of the repository.
const CACHE: &str = ".cache/peers";

/// The programs.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Programs {
    /// The directory of those of PostgreSQL, and their version.
    pub(super) postgres: (PathBuf, u32),
    pub(super) openbao: PathBuf,
}

/// The user that runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runner {
    /// That of this process.
    Own,
    /// `postgres`, if this process is root: PostgreSQL refuses to run as root.
    NotRoot,
}

/// A command that is run by a user, in a directory that every user can read.
pub(super) fn command(runner: Runner, program: impl AsRef<OsStr>) -> Command {
    let mut command = match runner {
        Runner::NotRoot if is_root() => {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        }
        _ => Command::new(program),
    };
    command.current_dir("/");
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

impl Programs {
    /// Finds the programs: in PATH, where Debian has them, and where `scripts/peers` installs them.
    pub(in crate::cli) fn find() -> anyhow::Result<Self> {
        let (path, here) = (env::var_os("PATH").unwrap_or_default(), env::current_dir().unwrap_or_default());
        let path: Vec<_> = env::split_paths(&path).filter(|directory| directory.is_absolute()).collect();
        let caches: Vec<_> = here.ancestors().map(|directory| directory.join(CACHE)).collect();
        match (find_postgres(&path, &caches), find_openbao(&path, &caches)) {
            (Some(postgres), Some(openbao)) => Ok(Self { postgres, openbao }),
            (postgres, openbao) => Err(missing(postgres.is_none(), openbao.is_none(), is_root())),
        }
    }
}

/// What is missing, and how to get it.
fn missing(postgres: bool, openbao: bool, root: bool) -> anyhow::Error {
    let mut text = "--with-peers needs programs that were not found:".to_owned();
    if postgres {
        text.push_str(&format!(
            "\n  PostgreSQL {OLDEST} or newer, in PATH, {DEBIAN} or {CACHE}: install it, on Debian with \
             `apt-get install postgresql`, or run `scripts/peers postgres-18` in the repository"
        ));
        if root {
            text.push_str("; as root, it is run by the user postgres, who must exist and be able to run it");
        }
    }
    if openbao {
        text.push_str(&format!(
            "\n  OpenBAO, as `bao` or `openbao` in PATH, or in {CACHE}: install it from https://openbao.org, or run \
             `scripts/peers openbao` in the repository"
        ));
    }
    anyhow::Error::msg(text)
}

/// The first directory with programs of a supported version that can be run, and the version.
fn find_postgres(path: &[PathBuf], caches: &[PathBuf]) -> Option<(PathBuf, u32)> {
    let mut debian: Vec<_> = fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    debian.sort_by_key(|path| std::cmp::Reverse(number(path)));
    let directories = path
        .iter()
        .cloned()
        .chain(debian.into_iter().map(|path| path.join("bin")))
        .chain(caches.iter().map(|cache| cache.join("postgres-18/postgres/bin")));
    directories.filter_map(|directory| of_postgres(&directory)).find(|(_, version)| *version >= OLDEST)
}

/// The last part of a path as a number.
fn number(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.parse().ok()
}

/// The directory of the programs if they are in this one, perhaps by links, and their version.
fn of_postgres(directory: &Path) -> Option<(PathBuf, u32)> {
    let initdb = directory.join("initdb").canonicalize().ok()?;
    let directory = initdb.parent()?;
    let output =
        command(Runner::NotRoot, directory.join("postgres")).arg("--version").stdin(Stdio::null()).output().ok()?;
    Some((directory.to_owned(), version(&String::from_utf8_lossy(&output.stdout))?))
}

/// The version in a text such as `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn version(text: &str) -> Option<u32> {
    let number = text.split_once("(PostgreSQL) ")?.1;
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}

fn find_openbao(path: &[PathBuf], caches: &[PathBuf]) -> Option<PathBuf> {
    let in_path = path.iter().flat_map(|directory| ["bao", "openbao"].map(|name| directory.join(name)));
    let in_caches = caches.iter().map(|cache| cache.join("openbao/openbao"));
    in_path.chain(in_caches).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_first_number() {
        assert_eq!(version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!((version("something else 15.1"), version("")), (None, None));
    }

    #[test]
    fn what_is_missing_is_named_with_a_way_to_get_it() {
        let text = |postgres, openbao, root| missing(postgres, openbao, root).to_string();
        let both = text(true, true, false);
        assert!(both.contains("scripts/peers postgres-18") && both.contains("scripts/peers openbao"), "{both}");
        assert!(!both.contains("as root"), "{both}");
        assert!(!text(true, false, true).contains("OpenBAO") && text(true, false, true).contains("as root"));
        assert!(!text(false, true, true).contains("PostgreSQL") && !text(false, true, true).contains("as root"));
    }

    #[test]
    fn openbao_is_found_by_each_of_its_names() {
        let home = tempfile::tempdir().unwrap();
        let (first, second, cache) = (home.path().join("a"), home.path().join("b"), home.path().join(CACHE));
        for directory in [&first, &second, &cache.join("openbao")] {
            fs::create_dir_all(directory).unwrap();
        }
        let find = || find_openbao(&[first.clone(), second.clone()], std::slice::from_ref(&cache));
        assert_eq!(find(), None);
        for program in [cache.join("openbao/openbao"), second.join("openbao"), second.join("bao"), first.join("bao")] {
            fs::write(&program, "").unwrap();
            assert_eq!(find(), Some(program));
        }
    }
}
