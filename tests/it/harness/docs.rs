//! Runs the commands of the documents.
//!
//! All ```` ```sh ```` blocks of a document run in order, in one shell, next to a server. A `text` or `json` block
//! directly below is the expected output; `...` in it matches anything within a line. Blocks marked
//! ```` ```sh norun ```` are skipped, each for a reason in the test.

use std::{fmt::Write as _, fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use tokio::process::Command;

use super::{
    golden, root,
    server::{Server, unconfigured},
};

#[derive(Debug)]
pub struct Block {
    /// The line of its fence in the document.
    pub line: usize,
    /// Whether it is marked `norun`.
    pub norun: bool,
    pub commands: String,
    /// The expected output, if the document has it.
    pub prints: Option<String>,
    /// Whether the output is JSON, which is compared by value.
    pub json: bool,
}

/// The command blocks of a Markdown text.
pub fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = markdown.lines().enumerate();
    // Whether only empty lines have followed the last command block.
    let mut right_below = false;
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            right_below &= line.trim().is_empty();
            continue;
        };
        let text: String = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").fold(
            String::new(),
            |mut text, line| {
                writeln!(text, "{line}").unwrap();
                text
            },
        );
        match info {
            "sh" | "sh norun" => {
                blocks.push(Block { line: number + 1, norun: info != "sh", commands: text, prints: None, json: false });
                right_below = true;
                continue;
            }
            "text" | "json" if right_below => {
                let block = blocks.last_mut().expect("an output block follows a block of commands");
                (block.prints, block.json) = (Some(text), info == "json");
            }
            "bash" | "shell" | "console" | "" => {
                panic!("line {}: the language of a block must be `sh` or that of its contents", number + 1)
            }
            _ => {}
        }
        right_below = false;
    }
    blocks
}

/// Runs the blocks of a document against a server and compares their output with the document.
pub async fn run(document: &str, server: &Server, blocks: &[Block]) {
    let home = server.setup().home();
    prepare_home(home, server.address(), &mutual(server));
    let mut script = String::from("set -euo pipefail\n");
    for block in blocks.iter().filter(|block| !block.norun) {
        writeln!(script, "printf '\\036%s\\036' {}\n{}", block.line, block.commands).unwrap();
    }
    let path = format!("{}:{}", home.join(".bin").display(), std::env::var("PATH").unwrap());
    let output = unconfigured(Command::new("bash"))
        .args(["-c", &script])
        .current_dir(home)
        .env("PATH", path)
        .env("HOME", home)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(4 * super::PATIENCE, output).await.expect("a command does not end").unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    let mut parts = printed.split('\u{1e}').skip(1);
    while let (Some(line), Some(found)) = (parts.next(), parts.next()) {
        let block = blocks.iter().find(|block| block.line.to_string() == line).expect("the line of a block");
        let Some(expected) = &block.prints else { continue };
        if block.json && same_json(expected, found) {
            continue;
        }
        let expected = fill(expected.trim(), found.trim());
        let differs = golden::diff(&expected, found.trim());
        assert!(expected == found.trim(), "{document}:{line} prints something else:\n{differs}\n{complaints}");
    }
    assert!(output.status.success(), "{document}: {}\n{printed}\n{complaints}", output.status);
}

/// Whether two texts are the same JSON value, regardless of formatting.
fn same_json(one: &str, other: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    read(one).is_some_and(|value| read(other) == Some(value))
}

/// The expected output, with the `...` of each line filled from the actual line.
fn fill(expected: &str, found: &str) -> String {
    let mut found = found.lines();
    let lines = expected.lines().map(|line| {
        let found = found.next().unwrap_or_default();
        if matches(line, found) { found } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a line matches a pattern in which each `...` matches anything.
fn matches(pattern: &str, line: &str) -> bool {
    let parts: Vec<_> = pattern.split("...").collect();
    let [first, middle @ .., last] = parts.as_slice() else { return pattern == line };
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The address of the listener that asks for certificates; empty if there is none.
fn mutual(server: &Server) -> String {
    let log = server.log();
    let line = log.lines().find_map(|line| line.strip_prefix("mTLS     https://")).unwrap_or_default();
    line.split(',').next().unwrap_or_default().to_owned()
}

/// Prepares a directory in which the documents' commands work: the repository's files, the program on the PATH,
/// and clients that connect to the test's server instead of port 8080, 18080, 20900 or 18443 of this machine.
fn prepare_home(home: &Path, server: SocketAddr, mutual: &str) {
    for entry in fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        let kept_out = [".git", ".tenantry", "target"].iter().any(|name| entry.file_name() == *name);
        // A server with peers has a link to the cache.
        let is_linked = home.join(entry.file_name()).symlink_metadata().is_ok();
        if !kept_out && !is_linked {
            std::os::unix::fs::symlink(entry.path(), home.join(entry.file_name())).unwrap();
        }
    }
    let bin = home.join(".bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(super::server::program(), bin.join("tenantry")).unwrap();
    let curlrc: String = ["8080", "18080", "20900"].iter().fold("silent\n".to_owned(), |mut text, port| {
        writeln!(text, "connect-to = \"localhost:{port}:{server}\"").unwrap();
        text
    });
    fs::write(home.join(".curlrc"), curlrc).unwrap();
    let grpcurl = bin.join("grpcurl");
    let shim = include_str!("grpcurl.sh").replace("@buf@", &super::buf().to_string_lossy());
    let shim = shim.replace("@server@", &server.to_string()).replace("@mutual@", mutual);
    fs::write(&grpcurl, shim).unwrap();
    fs::set_permissions(&grpcurl, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn blocks_are_found_with_what_they_print() {
    let text = "a\n```sh\nx\ny\n```\n\n```text\n1\n```\n```sh norun\nz\n```\nwords\n```json\n{}\n```\n";
    let blocks = blocks(text);
    assert_eq!(blocks.len(), 2);
    assert_eq!((blocks[0].line, blocks[0].norun, blocks[0].commands.as_str()), (2, false, "x\ny\n"));
    assert_eq!(blocks[0].prints.as_deref(), Some("1\n"));
    assert_eq!((blocks[1].line, blocks[1].norun, blocks[1].prints.as_deref()), (10, true, None));
}

#[test]
fn dots_match_anything_within_a_line() {
    assert!(matches("a...c", "abbc") && matches("...", "") && matches("x", "x") && matches("a...b...c", "a1b2c"));
    assert!(!matches("a...c", "abb") && !matches("x", "xy") && !matches("a...b...b", "ab"));
    assert_eq!(fill("a\nb...", "x\nbc"), "a\nbc");
}
