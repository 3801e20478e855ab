//! The log: pretty on a terminal, one JSON object a line otherwise. It goes to stderr; stdout belongs to what a command
//! prints.
//!
//! The log is best effort: whatever becomes of stderr costs lines and nothing else. Who logs puts a line into a buffer in
//! memory and goes on; a thread of its own writes the buffer, ten times a second and whenever much waits, and is the only
//! one that a full disk, a reader that is gone or a pipe that nobody empties can hold up. Lines that find the buffer full,
//! or that cannot be written, are lost; they are counted, and the log tells how many as soon as it can be written again.

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

/// Bytes that wait before the writer is called.
const MUCH: usize = 64 * 1024;
/// Most bytes that wait; a line beyond is lost.
const MOST: usize = 1 << 20;
/// How long a line waits at most for a writer that is free.
const WAIT: Duration = Duration::from_millis(100);
/// How long the end of the process waits for the last lines.
const LAST: Duration = Duration::from_secs(1);

/// Writes the lines that wait when it goes: whoever starts the log holds it to the end.
#[must_use = "lines that wait are lost without it"]
#[derive(Debug)]
pub struct Log {
    lines: Lines,
    written: Receiver<()>,
}

/// The libraries that speak with whoever connects. What they say of it a stranger has them say as often as wanted.
const STRANGERS: [&str; 5] = ["h2", "hyper", "hyper_util", "rustls", "tokio_rustls"];

/// The filter without those libraries, but for those that it names.
fn quiet(filter: &str) -> String {
    let named =
        |library: &str| filter.split(',').any(|part| part.trim().split(['=', '[', ':']).next() == Some(library));
    STRANGERS.into_iter().filter(|library| !named(library)).fold(filter.to_owned(), |filter, library| {
        let comma = if filter.trim().is_empty() { "" } else { "," };
        format!("{filter}{comma}{library}=off")
    })
}

/// Whether a text is a filter. A word alone that is no level would be taken for a part of the program, all of which is to be
/// logged, and is most likely a level that was misspelt.
pub fn is_filter(text: &str) -> bool {
    let has_level = |directive: &str| {
        directive.is_empty() || directive.contains(['=', '[']) || directive.parse::<LevelFilter>().is_ok()
    };
    EnvFilter::builder().parse(quiet(text)).is_ok() && text.split(',').all(|directive| has_level(directive.trim()))
}

/// Begins to log what the filter lets through, panics included. Once a process; later calls change nothing.
pub fn init(filter: &str) -> Result<Log, ParseError> {
    let filter = EnvFilter::builder().parse(quiet(filter))?;
    let terminal = stderr().is_terminal();
    let (lines, written) = Lines::start(stderr(), if terminal { Pace::Line } else { Pace::Buffer });
    let writer = lines.clone();
    // The subscriber would tell its own failures with a macro that panics.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    // A second subscriber is refused; the first goes on.
    let _ = if terminal {
        builder.with_writer(move || writer.clone()).with_target(false).try_init()
    } else {
        let builder = builder.json().flatten_event(true).with_current_span(false).with_span_list(false);
        builder.with_writer(move || writer.clone()).try_init()
    };
    // What the standard library prints of a panic would wait for whoever reads stderr.
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
        // Whoever does not read the log does not hold up the end.
        let _ = self.written.recv_timeout(LAST);
    }
}

/// When the writer writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// After each line.
    Line,
    /// When much waits, and after a while.
    Buffer,
}

/// The lines that wait, which all threads add to. Cheap to clone.
#[derive(Clone, Debug)]
struct Lines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Calls the writer.
    call: Condvar,
    /// The buffer at which it is called.
    much: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Lines that were lost and not told yet.
    lost: u64,
    /// The process ends.
    ended: bool,
}

impl Lines {
    /// Starts the thread that writes; its end is told when the last lines are written.
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
        // Nothing that could panic is done under the lock.
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
    /// Takes a line, or loses it. Never fails, and waits for nobody.
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

/// The thread that writes.
struct Writer<W> {
    lines: Lines,
    out: W,
    /// The last line was written in part.
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

    /// Waits for lines and takes them all, with the number of those that were lost.
    fn take(&self, lines: &mut Vec<u8>) -> (u64, bool) {
        let much = self.lines.0.much;
        let idle = |waiting: &mut Waiting| !waiting.ended && waiting.lines.len() < much;
        let waited = self.lines.0.call.wait_timeout_while(self.lines.waiting(), WAIT, idle);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(lines, &mut waiting.lines);
        let lost = if lines.is_empty() { 0 } else { std::mem::take(&mut waiting.lost) };
        (lost, waiting.ended)
    }

    /// Writes lines as far as they can be written, after word of those that were lost.
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

    /// Lines that were lost, and counted, and could not be told of.
    fn keep_to_tell(&self, lost: u64) {
        self.lines.waiting().lost += lost;
    }

    /// Writes what can be written, and tells how much that was.
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

/// The line that tells of lines that were lost.
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
