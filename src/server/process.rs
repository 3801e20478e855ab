//! The system's metrics of this process, with the usual names of Prometheus clients. Only on Linux.

use std::{fmt::Write, fs, sync::LazyLock, time::SystemTime};

/// Ticks per second in `/proc/self/stat`. The kernel reports a fixed rate to programs, independent of its own clock.
const TICKS: f64 = 100.0;

/// When the metrics were first read or [`mark_start`] was called: approximately the start of the process.
static START: LazyLock<f64> =
    LazyLock::new(|| SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64()));

/// Records the start of the process.
pub fn mark_start() {
    LazyLock::force(&START);
}

/// Appends the process metrics in the text format.
pub fn render(text: &mut String) {
    let metrics = [
        ("process_cpu_seconds_total", "counter", cpu_seconds()),
        ("process_open_fds", "gauge", open_files()),
        ("process_resident_memory_bytes", "gauge", resident_bytes()),
        ("process_start_time_seconds", "gauge", Some(*START)),
        ("process_threads", "gauge", status_field("Threads:")),
    ];
    for (name, kind, value) in metrics {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}\n");
        }
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may contain spaces; user and system time are fields 14
    // and 15 of the line, 12 and 13 after the name.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

fn open_files() -> Option<f64> {
    // The directory itself is open while it is counted.
    fs::read_dir("/proc/self/fd").ok().map(|files| files.count().saturating_sub(1) as f64)
}

fn resident_bytes() -> Option<f64> {
    status_field("VmRSS:").map(|kilobytes| kilobytes * 1024.0)
}

fn status_field(name: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn every_process_metric_is_available() {
        let mut text = String::new();
        render(&mut text);
        for name in ["cpu_seconds_total", "open_fds", "resident_memory_bytes", "start_time_seconds", "threads"] {
            assert!(text.contains(&format!("\nprocess_{name} ")), "{name}: {text}");
        }
        assert!(resident_bytes().unwrap() > 1e6);
    }
}
