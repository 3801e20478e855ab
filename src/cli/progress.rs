//! A progress bar on standard error, if that is a terminal.

use std::io::{self, IsTerminal, Write};

/// Width of the bar, in characters.
const WIDTH: usize = 30;
/// Returns to the beginning of the line and clears it (ECMA-48, sections 8.3.15 and 8.3.41).
const CLEAR: &str = "\r\x1b[K";

/// A bar for a number of items. It is removed on drop.
#[derive(Debug)]
pub(super) struct ProgressBar {
    /// Of the items.
    unit: &'static str,
    total: usize,
    done: usize,
    failed: usize,
    is_shown: bool,
}

impl ProgressBar {
    pub(super) fn new(unit: &'static str, total: usize) -> Self {
        let bar = Self { unit, total, done: 0, failed: 0, is_shown: total > 0 && io::stderr().is_terminal() };
        bar.draw();
        bar
    }

    /// Prints what happened with an item, above the bar.
    pub(super) fn item(&mut self, failed: bool, print: impl FnOnce()) {
        self.done += 1;
        self.failed += usize::from(failed);
        self.clear();
        print();
        self.draw();
    }

    fn draw(&self) {
        if self.is_shown {
            write(&text(self.unit, self.done, self.total, self.failed));
        }
    }

    fn clear(&self) {
        if self.is_shown {
            write(CLEAR);
        }
    }
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The line. Nothing is lost if it cannot be written.
fn write(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn text(unit: &str, done: usize, total: usize, failed: usize) -> String {
    let filled = (done * WIDTH).checked_div(total).unwrap_or(WIDTH).min(WIDTH);
    let bar = format!("{}{}", "#".repeat(filled), ".".repeat(WIDTH - filled));
    let failed = if failed == 0 { String::new() } else { format!(", {failed} failed") };
    format!("[{bar}] {done}/{total} {unit}{failed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_with_the_items() {
        let half = format!("[{}{}] 5/10 tenants", "#".repeat(15), ".".repeat(15));
        assert_eq!(text("tenants", 5, 10, 0), half);
        assert_eq!(text("tenants", 0, 3, 0), format!("[{}] 0/3 tenants", ".".repeat(30)));
        assert_eq!(text("tenants", 3, 3, 2), format!("[{}] 3/3 tenants, 2 failed", "#".repeat(30)));
        assert_eq!(text("tenants", 0, 0, 0), format!("[{}] 0/0 tenants", "#".repeat(30)));
    }
}
