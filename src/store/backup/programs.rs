//! The programs of PostgreSQL: finding and running them.

use std::{
    env,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use super::fault::Fault;
use crate::base::private_file;

/// Where Debian has the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// How much of what a program says is shown, in bytes.
const MOST: usize = 2000;

/// The path of a program for a server of this version: of those in PATH and in the directories of Debian the oldest that is not older than
/// the server, because what a newer one writes may not suit it.
pub(super) fn find(name: &str, server: u32) -> Result<PathBuf, Fault> {
    let candidates = directories().into_iter().map(|directory| directory.join(name)).filter(|path| path.is_file());
    let known: Vec<_> = candidates.filter_map(|path| version(&path).map(|version| (version, path))).collect();
    choose(name, server, &known)
}

fn choose(name: &str, server: u32, known: &[(u32, PathBuf)]) -> Result<PathBuf, Fault> {
    if let Some((_, path)) = known.iter().filter(|(version, _)| *version >= server).min_by_key(|(version, _)| *version)
    {
        return Ok(path.clone());
    }
    let install = format!("install the client programs of PostgreSQL {server}");
    Err(Fault::refused(match known.iter().map(|(version, _)| version).max() {
        None => format!("{name} was not found in PATH or in {DEBIAN}/*/bin: {install}"),
        Some(newest) => format!("{name} of version {newest} is too old for the database server: {install}"),
    }))
}

fn directories() -> Vec<PathBuf> {
    let of_path = env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let mut debian: Vec<_> = fs::read_dir(DEBIAN)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect())
        .unwrap_or_default();
    debian.sort();
    of_path.into_iter().filter(|directory| directory.is_absolute()).chain(debian).collect()
}

/// The major version of a program, as in `pg_dump (PostgreSQL) 15.18`.
fn version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    of_text(&String::from_utf8_lossy(&output.stdout))
}

fn of_text(text: &str) -> Option<u32> {
    let number = text.split_once("(PostgreSQL) ")?.1;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

/// Runs a program and writes its output to a new file. If this process ends, the program cannot write and ends, too.
pub(super) fn run_into(name: &str, mut command: Command, into: &Path) -> Result<(), Fault> {
    let cannot = |error: io::Error| Fault::failed(format!("cannot write what {name} reads"), error);
    private_file::create(into, b"").map_err(cannot)?;
    let mut file = File::options().write(true).open(into).map_err(cannot)?;
    let mut child = start(name, command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let output = child.stdout.take();
    let (said, copied) = thread::scope(|scope| {
        let said = scope.spawn(|| said(&mut child));
        let copied = output.map_or(Ok(0), |mut output| io::copy(&mut output, &mut file));
        (said.join().unwrap_or_default(), copied)
    });
    ended(name, child, &said)?;
    copied.and_then(|_| file.sync_all()).map_err(cannot)
}

/// Runs a program whose input is a file. If this process ends, so does the input, and the program undoes what it did.
pub(super) fn run_from(name: &str, mut command: Command, from: &Path) -> Result<(), Fault> {
    let cannot = |error: io::Error| Fault::failed(format!("cannot read the file for {name}"), error);
    let mut file = File::open(from).map_err(cannot)?;
    let mut child = start(name, command.stdin(Stdio::piped()).stdout(Stdio::null()))?;
    let input = child.stdin.take();
    let (said, copied) = thread::scope(|scope| {
        let said = scope.spawn(|| said(&mut child));
        // Dropping the input ends it.
        let copied = input.map_or(Ok(0), |mut input| io::copy(&mut file, &mut input));
        (said.join().unwrap_or_default(), copied)
    });
    // A program that fails stops reading, and says why.
    ended(name, child, &said)?;
    copied.map(drop).map_err(cannot)
}

fn start(name: &str, command: &mut Command) -> Result<Child, Fault> {
    command.stderr(Stdio::piped()).spawn().map_err(|error| Fault::failed(format!("cannot start {name}"), error))
}

/// What a program writes to standard error.
fn said(child: &mut Child) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        // What was read before a failure is shown.
        let _ = stderr.read_to_end(&mut bytes);
    }
    bytes.truncate(MOST);
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

fn ended(name: &str, mut child: Child, said: &str) -> Result<(), Fault> {
    let status = child.wait().map_err(|error| Fault::failed(format!("cannot wait for {name}"), error))?;
    match status.success() {
        true => Ok(()),
        false => Err(Fault::failed(format!("{name} failed ({status})"), said)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_program_is_that_of_its_text() {
        for (text, version) in [
            ("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("pg_restore (PostgreSQL) 18beta1\n", Some(18)),
            ("pg_dump (PostgreSQL) 9", Some(9)),
            ("something else 15.1", None),
            ("pg_dump (PostgreSQL) x", None),
        ] {
            assert_eq!(of_text(text), version, "{text}");
        }
    }

    #[test]
    fn the_oldest_program_that_suits_the_server_is_chosen() {
        let of = |versions: &[u32]| {
            versions.iter().map(|v| (*v, PathBuf::from(format!("/{v}/pg_dump")))).collect::<Vec<_>>()
        };
        for (versions, server, chosen) in [(&[14, 17, 16][..], 15, "/16/pg_dump"), (&[17, 15], 15, "/15/pg_dump")] {
            assert_eq!(choose("pg_dump", server, &of(versions)).unwrap(), Path::new(chosen));
        }
        let refused = |versions: &[u32]| choose("pg_dump", 17, &of(versions)).unwrap_err().to_string();
        assert_eq!(
            refused(&[]),
            "pg_dump was not found in PATH or in /usr/lib/postgresql/*/bin: install the client programs of PostgreSQL 17"
        );
        assert_eq!(
            refused(&[15, 16]),
            "pg_dump of version 16 is too old for the database server: install the client programs of PostgreSQL 17"
        );
    }

    #[test]
    fn a_program_that_fails_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let into = dir.path().join("out");
        run_into("sh", shell("echo hello"), &into).unwrap();
        assert_eq!(fs::read_to_string(&into).unwrap(), "hello\n");
        let other = dir.path().join("other");
        let Fault::Failed { what, cause } = run_into("sh", shell("echo why >&2; exit 3"), &other).unwrap_err() else {
            panic!("not a failure of the program")
        };
        assert_eq!((what.as_str(), cause.to_string().as_str()), ("sh failed (exit status: 3)", "why"));
        run_from("sh", shell("test \"$(cat)\" = hello"), &into).unwrap();
        // One that does not read its input.
        let large = dir.path().join("large");
        fs::write(&large, vec![0; 1 << 20]).unwrap();
        let error = run_from("sh", shell("echo no >&2; exit 1"), &large).unwrap_err();
        assert!(error.to_string().starts_with("sh failed"), "{error}");
    }
}
