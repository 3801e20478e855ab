//! The other process: requests go in as lines, responses come out as lines.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Command, Stdio},
    thread,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use transcoder_conformance::DESCRIPTORS;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/protobuf-oracle");

/// Sends all requests and returns all responses, in order.
pub fn ask(questions: Vec<String>) -> Vec<String> {
    let mut child = Command::new(SCRIPT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|why| panic!("scripts/protobuf-oracle cannot be started: {why}"));
    let mut input = child.stdin.take().unwrap();
    let (output, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    // Both pipes are small: writing everything before reading would deadlock.
    let writer = thread::spawn(move || {
        let types = format!("types\t{}\t{}", STANDARD.encode(DESCRIPTORS), super::NAME);
        // A process that has ended prints the reason itself.
        std::iter::once(types).chain(questions).try_for_each(|question| writeln!(input, "{question}"))
    });
    let errors = thread::spawn(move || {
        let mut text = String::new();
        BufReader::new(errors).read_to_string(&mut text).map(|_| text)
    });
    let mut answers: Vec<String> = BufReader::new(output).lines().collect::<Result<_, _>>().unwrap();
    let written = writer.join().unwrap();
    ended(child, &errors.join().unwrap().unwrap());
    written.unwrap();
    assert!(answers.first().is_some_and(|first| first.starts_with("types\t7.")), "{:?}", answers.first());
    answers.remove(0);
    answers
}

fn ended(mut child: Child, errors: &str) {
    let status = child.wait().unwrap();
    assert!(status.success(), "scripts/protobuf-oracle: {status}\n{errors}");
}
