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
    /// The length of the log from which the thread copies it while there are writes. The copy delays commits, because the disk
    /// syncs both files; in a larger log it is rarer, and copies pages that change often fewer times. A start after a
    /// crash reads the whole log.
    pub full: u32,
    /// The same when nothing is written.
    pub full_when_idle: u32,
    /// What the writer copies itself. Above it, the thread makes another pass.
    pub few: u32,
    /// The length at which the writer waits for the thread: a log must not grow because the disk is slower than the writes.
    pub most: u32,
}

impl Default for Marks {
    fn default() -> Self {
        Self { full: 16_000, full_when_idle: 1_000, few: 300, most: 32_000 }
    }
}

/// The number of passes after which the writer copies what is left in any case, for the same reason.
const PASSES: u32 = 3;

/// The thread, and what it and the writer know of the log.
pub struct Checkpoints {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    path: PathBuf,
    busy: Duration,
    marks: Marks,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Pages in the log after the last commit.
    pages: u32,
    /// How many of them are in the database file, or were tried last: a read transaction may be in the way.
    copied: u32,
    /// Passes of the thread since the log was last copied by the writer.
    passes: u32,
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
    /// Starts the thread, which opens its connection when the log is first full.
    pub fn start(path: PathBuf, busy: Duration, marks: Marks) -> io::Result<Self> {
        let shared = Arc::new(Shared { path, busy, marks, state: Mutex::default(), changed: Condvar::new() });
        let copying = Arc::clone(&shared);
        let thread = thread::Builder::new().name("checkpoints".to_owned()).spawn(move || copying.run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// To be called after a commit, with the number of pages in the log. `rest` copies with the connection of the writer.
    pub fn committed(&self, pages: u32, rest: impl FnOnce() -> Result<u32, DbErr>) {
        let mut state = self.shared.state();
        state.grown(pages);
        if state.left() >= self.shared.marks.most {
            let waiting = self.shared.changed.wait_while(state, |state| state.busy && !state.closed);
            state = waiting.unwrap_or_else(PoisonError::into_inner);
        }
        match state.due(self.shared.marks) {
            Due::Nothing => {}
            Due::Pass => {
                state.busy = true;
                self.shared.changed.notify_all();
            }
            Due::Rest => {
                // A failure, as of a full disk, leaves the log as it is: it is copied later.
                let _ = rest();
                (state.copied, state.passes) = (pages, 0);
            }
        }
    }

    /// To be called while nothing is written.
    pub fn idle(&self) {
        let mut state = self.shared.state();
        if !state.busy && state.left() >= self.shared.marks.full_when_idle {
            state.busy = true;
            self.shared.changed.notify_all();
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
                connection = Connection::open(&self.path, Mode::Write, self.busy, None).ok();
            }
            let copied = connection.as_ref().and_then(|connection| copy(connection).ok());
            state = self.state();
            state.busy = false;
            state.passes += 1;
            state.copied = copied.unwrap_or(state.copied);
            self.changed.notify_all();
        }
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
            (self.copied, self.passes) = (0, 0);
        }
        self.pages = pages;
    }

    fn due(&self, marks: Marks) -> Due {
        let left = self.left();
        match self.passes {
            _ if self.busy => Due::Nothing,
            0 if left < marks.full => Due::Nothing,
            0 => Due::Pass,
            passes if left > marks.few && passes < PASSES && left < marks.most => Due::Pass,
            _ => Due::Rest,
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

    const MARKS: Marks = Marks { full: 1000, full_when_idle: 100, few: 30, most: 2000 };

    fn after(state: &mut State, pages: u32) -> Due {
        state.grown(pages);
        state.due(MARKS)
    }

    #[test]
    fn the_thread_copies_a_full_log_and_the_writer_the_rest() {
        let mut state = State::default();
        assert_eq!(after(&mut state, 999), Due::Nothing);
        assert_eq!(after(&mut state, 1000), Due::Pass);
        state.busy = true;
        assert_eq!(after(&mut state, 1500), Due::Nothing);
        (state.busy, state.passes, state.copied) = (false, 1, 1000);
        assert_eq!(after(&mut state, 1500), Due::Pass);
        (state.passes, state.copied) = (2, 1500);
        assert_eq!(after(&mut state, 1530), Due::Rest);
    }

    #[test]
    fn a_log_that_grows_faster_than_it_is_copied_is_copied_by_the_writer() {
        let mut state = State { passes: PASSES, copied: 1000, ..State::default() };
        assert_eq!(after(&mut state, 1060), Due::Rest);
        state.passes = 1;
        assert_eq!(after(&mut state, 3000), Due::Rest);
    }

    #[test]
    fn a_log_that_began_anew_is_not_copied_before_it_is_full() {
        let mut state = State { pages: 2000, passes: 1, copied: 2000, ..State::default() };
        assert_eq!(after(&mut state, 10), Due::Nothing);
        assert_eq!((state.passes, state.copied), (0, 0));
    }

    #[test]
    fn a_log_that_a_reader_keeps_is_copied_again_when_it_has_grown() {
        let mut state = State { pages: 2000, copied: 2000, ..State::default() };
        assert_eq!(after(&mut state, 2999), Due::Nothing);
        assert_eq!(after(&mut state, 3000), Due::Pass);
    }
}
