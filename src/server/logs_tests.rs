use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use super::*;

/// The output of a log; writing to it can be blocked.
#[derive(Clone, Default)]
struct Disk {
    full: Arc<AtomicBool>,
    /// Writers wait here.
    gate: Arc<Mutex<()>>,
    /// How much of the next text is written before it fails.
    room: Arc<Mutex<Option<usize>>>,
    text: Arc<Mutex<Vec<u8>>>,
}

impl Disk {
    fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Disk {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let _open = self.gate.lock().unwrap();
        if self.full.load(Ordering::Acquire) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut taken = text.len();
        if let Some(room) = self.room.lock().unwrap().take() {
            taken = taken.min(room);
            self.full.store(true, Ordering::Release);
        }
        self.text.lock().unwrap().extend_from_slice(&text[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log(disk: &Disk) -> Log {
    let (lines, written) = Lines::start(disk.clone(), Pace::Line);
    Log { lines, written }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "timed out waiting for {what}");
        std::thread::yield_now();
    }
}

#[test]
fn an_unwritable_log_loses_lines_and_reports_their_number() {
    let disk = Disk::default();
    let log = log(&disk);
    let mut lines = log.lines.clone();
    disk.full.store(true, Ordering::Release);
    for line in ["one\n", "two\n"] {
        lines.write_all(line.as_bytes()).expect("the log never fails");
    }
    until("the lines to be lost", || log.lines.waiting().lost == 2);
    disk.full.store(false, Ordering::Release);
    lines.write_all(b"three\n").unwrap();
    drop(log);
    let text = disk.text();
    let told: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&told["level"], &told["lost"]), (&"WARN".into(), &2.into()), "{text}");
    assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), ["three"]);
}

#[test]
fn a_log_without_a_reader_delays_no_call() {
    let disk = Disk::default();
    let log = log(&disk);
    let mut lines = log.lines.clone();
    let closed = disk.gate.lock().unwrap();
    let line = format!("{}\n", "x".repeat(1023));
    lines.write_all(line.as_bytes()).unwrap();
    until("the writer to wait with the first line", || log.lines.waiting().lines.is_empty());
    for _ in 0..3 * MOST / line.len() {
        lines.write_all(line.as_bytes()).unwrap();
    }
    assert!(log.lines.waiting().lines.len() <= MOST, "what waits is bounded");
    let lost = log.lines.waiting().lost;
    assert_eq!(lost, (2 * MOST / line.len()) as u64);
    drop(closed);
    drop(log);
    let told = format!("\"lost\":{lost},");
    assert!(disk.text().contains(&told), "the number of lost lines must be logged");
}

#[test]
fn the_end_does_not_wait_for_a_blocked_reader() {
    let disk = Disk::default();
    let log = log(&disk);
    let _closed = disk.gate.lock().unwrap();
    log.lines.clone().write_all(b"last\n").unwrap();
    let begun = Instant::now();
    drop(log);
    assert!(begun.elapsed() < LAST + Duration::from_secs(10));
}

#[test]
fn a_partially_written_line_affects_no_other_line() {
    let disk = Disk::default();
    let log = log(&disk);
    let mut lines = log.lines.clone();
    *disk.room.lock().unwrap() = Some(2);
    lines.write_all(b"one\n").unwrap();
    until("the line to be torn", || log.lines.waiting().lost == 1);
    disk.full.store(false, Ordering::Release);
    lines.write_all(b"two\n").unwrap();
    drop(log);
    let text = disk.text();
    let all: Vec<_> = text.lines().collect();
    assert_eq!((all[0], all[2]), ("on", "two"), "{text}");
    assert!(all[1].contains("\"lost\":1,"), "{text}");
}

#[test]
fn lines_of_protocol_libraries_must_be_enabled_by_name() {
    assert_eq!(quiet("info"), "info,h2=off,hyper=off,hyper_util=off,rustls=off,tokio_rustls=off");
    assert_eq!(
        quiet("warn, h2=debug,hyper::proto=info"),
        "warn, h2=debug,hyper::proto=info,hyper_util=off,rustls=off,tokio_rustls=off"
    );
    assert!(EnvFilter::builder().parse(quiet("")).is_ok());
}
