//! Copying the log into the database file.
//!
//! SQLite makes the commit that fills the log copy it, and all writes wait for that copy and its disk sync. Here a thread
//! copies the log while writes continue. Because they append to it meanwhile, the log is never copied to its end this way, and
//! SQLite reuses it only from there: once little is left, the writer copies the rest between two commits.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use sea_orm::DbErr;

use super::{Connection, Mode};
use crate::store::kind::column;

/// When the log is copied. In pages.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    /// What is left to copy when the thread makes a pass. Many pages at once keep the disk from syncing the log for long.
    pub pass: u32,
    /// The length at which the log is to be used from its start again. In a longer log that is rarer, but a start after a crash reads
    /// all of it.
    pub reuse: u32,
    /// What the writer copies itself, so that the log can be used again.
    pub few: u32,
    /// How much longer the log may get before the writer copies all that is left, and waits for the thread to do so: a log must not
    /// grow because the disk is slower than the writes.
    pub over: u32,
}

impl Default for Marks {
    fn default() -> Self {
        Self { pass: 1_000, reuse: 16_000, few: 300, over: 16_000 }
    }
}

/// The thread, and what it and the writer know of the log.
pub struct Checkpoints {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    path: PathBuf,
    /// How long a pass waits for another process.
    timeout: Duration,
    marks: Marks,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Pages in the log after the last commit.
    pages: u32,
    /// How many of them are in the database file.
    copied: u32,
    /// The length at which they were last copied. A read transaction may be in the way of some of them.
    tried: u32,
    /// How much longer than [`Marks::reuse`] the log must be until the writer tries again.
    delay: u32,
    /// The thread is at work, or is about to be.
    busy: bool,
    closed: bool,
}

/// What is due after a commit.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    /// A pass of the thread.
    Pass,
    /// A copy by the writer.
    Rest,
}

impl Checkpoints {
    /// Starts the thread, which opens its connection for its first pass.
    pub fn start(path: PathBuf, timeout: Duration, marks: Marks) -> io::Result<Self> {
        let shared = Arc::new(Shared { path, timeout, marks, state: Mutex::default(), changed: Condvar::new() });
        let copying = Arc::clone(&shared);
        let thread = thread::Builder::new().name("checkpoints".to_owned()).spawn(move || copying.run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// To be called after a commit, with the number of pages in the log. `rest` copies with the connection of the writer.
    pub fn committed(&self, pages: u32, rest: impl FnOnce() -> Result<u32, DbErr>) {
        let mut state = self.shared.state();
        let marks = self.shared.marks;
        state.grown(pages);
        if state.is_too_long(marks) {
            let waiting = self.shared.changed.wait_while(state, |state| state.busy && !state.closed);
            state = waiting.unwrap_or_else(PoisonError::into_inner);
        }
        match state.due(marks) {
            Due::Nothing => {}
            Due::Pass => self.shared.wake(&mut state),
            Due::Rest => {
                // A failure, as of a full disk, leaves the log as it is: it is copied later.
                let copied = rest().unwrap_or(state.copied);
                state.copied = copied;
                state.tried = pages;
                state.delay = pages.saturating_sub(marks.reuse) + marks.pass;
            }
        }
    }

    /// To be called while nothing is written: then a whole copy is possible, after which the log is used again.
    pub fn idle(&self) {
        let mut state = self.shared.state();
        if state.is_due_when_idle(self.shared.marks) {
            self.shared.wake(&mut state);
        }
    }

    /// Ends the thread and closes its connection, so that the last connection to the file can remove the log.
    pub fn close(&self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn run(&self) {
        let mut connection = None;
        let mut state = self.state();
        loop {
            let waiting = self.changed.wait_while(state, |state| !state.busy && !state.closed);
            state = waiting.unwrap_or_else(PoisonError::into_inner);
            if state.closed {
                return;
            }
            drop(state);
            if connection.is_none() {
                connection = Connection::open(&self.path, Mode::Write, self.timeout, None).ok();
            }
            let copied = connection.as_ref().and_then(|connection| copy(connection).ok());
            state = self.state();
            state.busy = false;
            state.copied = copied.unwrap_or(state.copied);
            self.changed.notify_all();
        }
    }

    /// Has the thread make a pass.
    fn wake(&self, state: &mut State) {
        (state.busy, state.tried) = (true, state.pages);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Pages that are not in the database file.
    fn left(&self) -> u32 {
        self.pages.saturating_sub(self.copied)
    }

    /// A commit left this many pages in the log.
    fn grown(&mut self, pages: u32) {
        if pages < self.pages {
            // The log began anew.
            (self.copied, self.tried, self.delay) = (0, 0, 0);
        }
        self.pages = pages;
    }

    fn is_too_long(&self, marks: Marks) -> bool {
        self.pages >= marks.reuse + self.delay + marks.over
    }

    fn is_due_when_idle(&self, marks: Marks) -> bool {
        !self.busy && self.pages >= marks.pass && self.left() > 0
    }

    fn due(&self, marks: Marks) -> Due {
        let ends = self.pages >= marks.reuse + self.delay;
        let step = if ends { marks.few } else { marks.pass };
        match () {
            () if self.busy => Due::Nothing,
            () if ends && (self.left() <= marks.few || self.is_too_long(marks)) => Due::Rest,
            () if self.pages >= self.tried + step => Due::Pass,
            () => Due::Nothing,
        }
    }
}

/// Copies what no read transaction is in the way of. Returns how many pages of the log are in the file.
pub fn copy(connection: &Connection) -> Result<u32, DbErr> {
    let mut copied = 0;
    connection.query("PRAGMA wal_checkpoint(PASSIVE)", &[], |row| {
        copied = column::<i64>(row, 2)?;
        Ok(true)
    })?;
    Ok(u32::try_from(copied).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks { pass: 100, reuse: 1000, few: 30, over: 1000 };

    fn after(state: &mut State, pages: u32) -> Due {
        state.grown(pages);
        state.due(MARKS)
    }

    /// A state after a pass at `tried` pages, which copied some.
    fn passed(tried: u32, copied: u32) -> State {
        State { pages: tried, tried, copied, ..State::default() }
    }

    #[test]
    fn the_thread_copies_the_log_step_by_step_and_the_writer_the_rest() {
        assert_eq!(after(&mut State::default(), 99), Due::Nothing);
        assert_eq!(after(&mut State::default(), 100), Due::Pass);
        assert_eq!(after(&mut State { busy: true, ..passed(100, 0) }, 300), Due::Nothing);
        assert_eq!(after(&mut passed(100, 100), 199), Due::Nothing);
        assert_eq!(after(&mut passed(100, 100), 200), Due::Pass);
        assert_eq!(after(&mut passed(980, 980), 1011), Due::Pass);
        assert_eq!(after(&mut passed(980, 980), 1010), Due::Rest);
    }

    #[test]
    fn a_log_that_grows_faster_than_it_is_copied_is_copied_by_the_writer() {
        assert_eq!(after(&mut passed(1900, 1000), 1999), Due::Pass);
        assert_eq!(after(&mut passed(1900, 1000), 2000), Due::Rest);
    }

    #[test]
    fn a_log_that_began_anew_is_not_copied_before_it_is_long_enough() {
        let mut state = passed(1000, 1000);
        assert_eq!(after(&mut state, 10), Due::Nothing);
        assert_eq!((state.tried, state.copied), (0, 0));
    }

    #[test]
    fn the_end_of_the_log_is_copied_when_nothing_is_written() {
        assert!(passed(130, 100).is_due_when_idle(MARKS));
        assert!(!passed(130, 130).is_due_when_idle(MARKS));
        assert!(!passed(90, 0).is_due_when_idle(MARKS), "a short log stays");
        assert!(!State { busy: true, ..passed(130, 100) }.is_due_when_idle(MARKS));
    }

    #[test]
    fn a_log_that_a_reader_keeps_is_tried_again_when_it_has_grown() {
        let mut state = State { delay: 1100, ..passed(2000, 500) };
        assert_eq!(after(&mut state, 2099), Due::Nothing);
        assert_eq!(after(&mut state, 2100), Due::Pass);
        assert_eq!(after(&mut State { delay: 1100, ..passed(3000, 500) }, 3100), Due::Rest);
    }
}
