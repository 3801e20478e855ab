//! What commands print. Nothing here panics: whoever reads may be gone, and a disk may be full.
//!
//! A text is either the *product* of a command (a token, a document), and then the command fails if it cannot be
//! written, or it *tells* what the command did or found. What was done is done although nobody could be told, so a lost
//! line costs no exit status; the operator learns on standard error what the line would have said.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};

use anyhow::Context;

/// Writes the product of a command to standard output. A reader that has gone, as `head` does, has had enough: no
/// failure.
pub(super) fn product(text: &[u8]) -> anyhow::Result<()> {
    written(write(text))
}

/// What became of a product that somebody else wrote.
pub(super) fn written(outcome: io::Result<()>) -> anyhow::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("cannot write to standard output"),
    }
}

/// Tells something on standard output, one line or several. If that is not to be, the text goes to standard error.
pub(super) fn tell(text: impl Display) {
    let text = text.to_string();
    if let Err(error) = told(&text) {
        complain(format_args!("warning: cannot write to standard output ({error}): {text}"));
    }
}

/// As [`tell`], for a text with a secret in it, which standard error, a log, must not have.
pub(super) fn tell_secret(text: impl Display) {
    if let Err(error) = told(&text.to_string()) {
        complain(format_args!("warning: cannot write to standard output ({error})"));
    }
}

fn told(text: &str) -> io::Result<()> {
    match write(format!("{text}\n").as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a line to standard error, if that can be written.
pub(super) fn complain(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn write(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}
