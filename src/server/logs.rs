//! The log: human-readable on a terminal, otherwise one JSON object per line. It goes to standard error; standard
//! output belongs to the output of commands.
//!
//! Logging is best effort: a problem with standard error loses lines and nothing else. Callers append a line to a
//! buffer in memory and continue. A separate thread writes the buffer, ten times a second and whenever it fills up, and
//! only this thread can be blocked by a full disk, a closed pipe or a slow reader. Lines that do not fit into the
//! buffer, or cannot be written, are lost; they are counted, and the log reports the number as soon as it can be
//! written again.

use std::{
    io::{self, IsTerminal, Write, stderr},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use tracing_subscriber::{
    EnvFilter,
    filter::{LevelFilter, ParseError},
};

use super::log_format::JsonLines;

/// The number of buffered bytes at which the writer is woken.
const MUCH: usize = 64 * 1024;
/// Maximum number of buffered bytes; a line beyond that is lost.
const MOST: usize = 1 << 20;
/// The maximum delay of a line while the writer is free.
const WAIT: Duration = Duration::from_millis(100);
/// How long the end of the process waits for the last lines.
const LAST: Duration = Duration::from_secs(1);

/// Writes the buffered lines on drop: keep it until the end of the process.
#[must_use = "lines that wait are lost without it"]
#[derive(Debug)]
pub struct Log {
    lines: Lines,
    written: Receiver<()>,
}

/// Libraries that handle untrusted connections. Strangers could make them log as often as they like.
const STRANGERS: [&str; 5] = ["h2", "hyper", "hyper_util", "rustls", "tokio_rustls"];

/// The filter without these libraries, except for those that it names.
fn quiet(filter: &str) -> String {
    let named =
        |library: &str| filter.split(',').any(|part| part.trim().split(['=', '[', ':']).next() == Some(library));
    STRANGERS.into_iter().filter(|library| !named(library)).fold(filter.to_owned(), |filter, library| {
        let comma = if filter.trim().is_empty() { "" } else { "," };
        format!("{filter}{comma}{library}=off")
    })
}

/// Whether a text is a filter. A single word that is not a level, with or without `=` after it, would be read as a
/// module to log completely, and is most likely a misspelt level, or a key in base64.
pub fn is_filter(text: &str) -> bool {
    let has_level = |directive: &str| {
        let is_level = directive.is_empty() || directive.parse::<LevelFilter>().is_ok();
        is_level || directive.contains('[') || directive.split_once('=').is_some_and(|(_, level)| !level.is_empty())
    };
    EnvFilter::builder().parse(quiet(text)).is_ok() && text.split(',').all(|directive| has_level(directive.trim()))
}

/// Starts logging with the filter, including panics. Only once in a process; later calls have no effect.
pub fn init(filter: &str) -> Result<Log, ParseError> {
    let filter = EnvFilter::builder().parse(quiet(filter))?;
    let terminal = stderr().is_terminal();
    let (lines, written) = Lines::start(stderr(), if terminal { Pace::Line } else { Pace::Buffer });
    let writer = lines.clone();
    // By default the subscriber reports its own failures with a macro that panics.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    // A second subscriber is refused; the first one stays.
    let _ = if terminal {
        builder.with_writer(move || writer.clone()).with_target(false).try_init()
    } else {
        builder.event_format(JsonLines).with_writer(move || writer.clone()).try_init()
    };
    // The default hook writes panics directly to standard error, which may block.
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(panic = text, location = panic.location().map(tracing::field::display), "a thread panicked");
    }));
    Ok(Log { lines, written })
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.waiting().ended = true;
        self.lines.0.call.notify_one();
        // A blocked reader of the log must not block the end of the process.
        let _ = self.written.recv_timeout(LAST);
    }
}

/// When the writer writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// After each line.
    Line,
    /// When the buffer fills up, and after a while.
    Buffer,
}

/// The buffered lines, shared by all threads. Cheap to clone.
#[derive(Clone, Debug)]
struct Lines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Wakes the writer.
    call: Condvar,
    /// The size of the buffer at which it is woken.
    much: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Lost lines that were not reported yet.
    lost: u64,
    /// The process ends.
    ended: bool,
}

impl Lines {
    /// Starts the writer thread; the receiver is notified when the last lines are written.
    fn start(out: impl Write + Send + 'static, pace: Pace) -> (Self, Receiver<()>) {
        let much = if pace == Pace::Line { 1 } else { MUCH };
        let shared = Shared { waiting: Mutex::default(), call: Condvar::new(), much };
        let (lines, (end, written)) = (Self(Arc::new(shared)), channel());
        let mut writer = Writer { lines: lines.clone(), out, torn: false };
        std::thread::spawn(move || {
            writer.run();
            drop(end);
        });
        (lines, written)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing under the lock can panic.
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, lines: u64) {
        if lines == 0 {
            return;
        }
        self.waiting().lost += lines;
        metrics::counter!("tenantry_log_lines_lost_total").increment(lines);
    }
}

impl Write for Lines {
    /// Appends a line, or loses it. Never fails or blocks.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.waiting();
        let before = waiting.lines.len();
        if before + line.len() > MOST {
            drop(waiting);
            self.lose(count(line));
            return Ok(line.len());
        }
        waiting.lines.extend_from_slice(line);
        let calls = before < self.0.much && waiting.lines.len() >= self.0.much;
        drop(waiting);
        if calls {
            self.0.call.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The writer thread.
struct Writer<W> {
    lines: Lines,
    out: W,
    /// The last line was written only partially.
    torn: bool,
}

impl<W: Write> Writer<W> {
    fn run(&mut self) {
        let mut lines = Vec::new();
        loop {
            let (lost, ended) = self.take(&mut lines);
            self.write(&lines, lost);
            lines.clear();
            // A burst does not keep its memory.
            lines.shrink_to(MUCH);
            if ended {
                return;
            }
        }
    }

    /// Waits for lines and takes them all, with the number of lost ones.
    fn take(&self, lines: &mut Vec<u8>) -> (u64, bool) {
        let much = self.lines.0.much;
        let idle = |waiting: &mut Waiting| !waiting.ended && waiting.lines.len() < much;
        let waited = self.lines.0.call.wait_timeout_while(self.lines.waiting(), WAIT, idle);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(lines, &mut waiting.lines);
        let lost = if lines.is_empty() { 0 } else { std::mem::take(&mut waiting.lost) };
        (lost, waiting.ended)
    }

    /// Writes as many lines as possible, after reporting lost ones.
    fn write(&mut self, lines: &[u8], lost: u64) {
        if lines.is_empty() {
            return;
        }
        let torn = if self.torn { "\n" } else { "" };
        let told = format!("{torn}{}", if lost > 0 { word_of(lost) } else { String::new() });
        let written = self.write_some(told.as_bytes());
        if written < told.len() {
            self.keep_to_tell(lost);
            return self.lines.lose(count(lines));
        }
        let written = self.write_some(lines);
        self.lines.lose(count(&lines[written..]));
    }

    /// Keeps the number of lost lines that could not be reported.
    fn keep_to_tell(&self, lost: u64) {
        self.lines.waiting().lost += lost;
    }

    /// Writes as much as possible and returns the length.
    fn write_some(&mut self, text: &[u8]) -> usize {
        let mut written = 0;
        while written < text.len() {
            match self.out.write(&text[written..]) {
                Ok(0) => break,
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if let Some(last) = text[..written].last() {
            self.torn = *last != b'\n';
        }
        written
    }
}

/// The line that reports lost lines.
fn word_of(lost: u64) -> String {
    let at = time::OffsetDateTime::now_utc();
    let at = at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
    format!(
        r#"{{"timestamp":"{at}","level":"WARN","message":"log lines were lost","lost":{lost},"target":"tenantry::log"}}"#
    ) + "\n"
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
