//! Output of commands. Nothing here panics: the reader may be gone, and a disk may be full.
//!
//! A text is either the *product* of a command (a token, a document), and the command fails if it cannot be written; or
//! it *reports* what the command did or found. The command has succeeded even if the report cannot be written: the exit
//! status stays 0, and the text goes to standard error instead.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};

use anyhow::Context;

/// Writes the product of a command to standard output. A closed pipe, as with `head`, is not an error.
pub(super) fn product(text: &[u8]) -> anyhow::Result<()> {
    written(write(text))
}

/// The result of writing a product elsewhere.
pub(super) fn written(outcome: io::Result<()>) -> anyhow::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("cannot write to standard output"),
    }
}

/// Reports on standard output, in one or more lines. If that fails, the text goes to standard error.
pub(super) fn tell(text: impl Display) {
    let text = text.to_string();
    if let Err(error) = told(&text) {
        complain(format_args!("warning: cannot write to standard output ({error}): {text}"));
    }
}

/// Like [`tell`], for a text with a secret, which must not go to standard error, which may be a log.
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

/// Writes a line to standard error, if possible.
pub(super) fn complain(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn write(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}
