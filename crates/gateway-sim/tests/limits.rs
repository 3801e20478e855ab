//! The program under a limit for the size of files.

use std::{fs::OpenOptions, process::Command};

#[test]
fn output_to_a_file_at_its_limit_does_not_end_the_program_by_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let full = OpenOptions::new().create(true).append(true).open(dir.path().join("output")).unwrap();
    full.set_len(1).unwrap();
    let mut program = Command::new("prlimit");
    program.args(["--fsize=1:", env!("CARGO_BIN_EXE_tenantry-gateway-sim"), "--help"]);
    let status = program.stdout(full).status().unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
}
