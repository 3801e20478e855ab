//! The log: pretty on a terminal, one JSON object a line otherwise. It goes to stderr; stdout belongs to what a command
//! prints.
//!
//! A thread of its own writes the lines, so that a call does not wait for whoever reads them. If that reader stalls and
//! [`WAITING`] lines wait, further ones are dropped rather than kept in memory without end.

use std::io::{IsTerminal, stderr};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, filter::ParseError};

/// Most lines that wait to be written.
const WAITING: usize = 16_384;

/// Writes the lines that wait when it goes: whoever starts the log holds it to the end.
#[must_use = "lines that wait are lost without it"]
#[derive(Debug)]
pub struct Log(#[expect(dead_code, reason = "held for its end alone")] WorkerGuard);

/// Begins to log what the filter lets through. Once a process; later calls change nothing.
pub fn init(filter: &str) -> Result<Log, ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(WAITING).lossy(true).finish(stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // A second subscriber is refused; the first goes on.
    let _ = if stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    Ok(Log(guard))
}
