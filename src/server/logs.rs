//! The log: pretty on a terminal, one JSON object a line otherwise. It goes to stderr; stdout belongs to what a command
//! prints.
//!
//! A call does not wait for whoever reads its line, and wakes no other thread to write it: lines gather in a buffer that
//! is written when it is full, and ten times a second. On a terminal each line is written at once.

use std::{
    io::{self, BufWriter, IsTerminal, Stderr, Write, stderr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use tracing_subscriber::{EnvFilter, filter::ParseError};

/// Bytes that gather before they are written.
const BUFFER: usize = 64 * 1024;
/// How long a line waits at most.
const WAIT: Duration = Duration::from_millis(100);

/// Writes the lines that wait when it goes: whoever starts the log holds it to the end.
#[must_use = "lines that wait are lost without it"]
#[derive(Debug)]
pub struct Log(Option<(Sender<()>, JoinHandle<()>)>);

/// Checks a filter without using it.
pub fn check(filter: &str) -> Result<(), ParseError> {
    EnvFilter::builder().parse(filter).map(drop)
}

/// Begins to log what the filter lets through. Once a process; later calls change nothing.
pub fn init(filter: &str) -> Result<Log, ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    if stderr().is_terminal() {
        // A second subscriber is refused; the first goes on.
        let _ = builder.with_writer(stderr).with_target(false).try_init();
        return Ok(Log(None));
    }
    let lines = Lines::new();
    let writer = lines.clone();
    let builder = builder.json().flatten_event(true).with_current_span(false).with_span_list(false);
    let _ = builder.with_writer(move || writer.clone()).try_init();
    let (stop, stopped) = channel();
    let flusher = std::thread::spawn(move || {
        while stopped.recv_timeout(WAIT) == Err(RecvTimeoutError::Timeout) {
            lines.flush_quietly();
        }
        // What is left running at the end of the process may still have a word.
        lines.ended.store(true, Ordering::Release);
        lines.flush_quietly();
    });
    Ok(Log(Some((stop, flusher))))
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some((stop, flusher)) = self.0.take() {
            drop(stop);
            // A flusher that panicked has nothing left to write.
            let _ = flusher.join();
        }
    }
}

/// The buffer that all threads write their lines to.
#[derive(Clone)]
struct Lines {
    buffer: Arc<Mutex<BufWriter<Stderr>>>,
    /// Nobody comes any more for lines that wait.
    ended: Arc<AtomicBool>,
}

impl Lines {
    fn new() -> Self {
        let buffer = Arc::new(Mutex::new(BufWriter::with_capacity(BUFFER, stderr())));
        Self { buffer, ended: Arc::default() }
    }

    fn flush_quietly(&self) {
        // Nobody is left to tell that the log cannot be written.
        let _ = self.buffer.lock().unwrap_or_else(PoisonError::into_inner).flush();
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let written = buffer.write(line)?;
        if self.ended.load(Ordering::Acquire) {
            buffer.flush()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}
