//! An RPC without an authorization rule does not build: our own protos, with one rule removed at a time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tenantry::proto::permissions;
use transcoder_build::{Builder, Error};

use crate::harness::{grpc, root};

/// The beginning of a rule in the protos.
const RULE: &str = "option (tenantry.options.v1.auth) = ";

fn build(protos: &Path) -> Result<(), Error> {
    Builder::new(protos).options_package("tenantry.options.v1").permissions(permissions::names()).check().map(|_| ())
}

#[test]
fn the_build_fails_without_the_rule_of_any_rpc() {
    let dir = tempfile::tempdir().unwrap();
    let files = copy(&root().join("proto"), dir.path());
    build(dir.path()).expect("a build of the unchanged protos");
    let mut removed = 0;
    for file in files {
        let whole = fs::read_to_string(&file).unwrap();
        for (at, _) in whole.match_indices(RULE) {
            fs::write(&file, without_statement(&whole, at)).unwrap();
            let rpc = rpc_before(&whole, at);
            match build(dir.path()) {
                Err(Error::Rule { at, why }) => {
                    assert!(at.ends_with(&format!(".{rpc}")), "{at} is blamed, not {rpc}");
                    assert!(why.contains("no authorization rule"), "{why}");
                }
                other => panic!("{rpc} builds without its rule: {other:?}"),
            }
            removed += 1;
        }
        fs::write(&file, &whole).unwrap();
    }
    assert_eq!(removed, grpc::methods().len(), "every RPC must have a rule, written as `{RULE}`");
}

#[test]
fn the_build_fails_for_an_unknown_permission() {
    let dir = tempfile::tempdir().unwrap();
    copy(&root().join("proto"), dir.path());
    let built = Builder::new(dir.path()).options_package("tenantry.options.v1").permissions([]).check();
    assert!(built.unwrap_err().to_string().contains("unknown permission"));
}

/// Removes the statement at `at`, which ends with `;` after its braces.
fn without_statement(text: &str, at: usize) -> String {
    let mut depth = 0;
    for (offset, c) in text[at..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return format!("{}{}", &text[..at], &text[at + offset + 1..]),
            _ => {}
        }
    }
    panic!("a statement without an end");
}

/// The name of the RPC at a position.
fn rpc_before(text: &str, at: usize) -> &str {
    let start = text[..at].rfind("rpc ").unwrap() + "rpc ".len();
    text[start..].split('(').next().unwrap()
}

/// Copies a folder; returns the files.
fn copy(from: &Path, to: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            files.extend(copy(&path, &target));
        } else {
            fs::copy(&path, &target).unwrap();
            files.push(target);
        }
    }
    files
}
