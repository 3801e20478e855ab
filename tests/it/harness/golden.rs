//! Golden files: output that must not change by accident.

use std::{env, fs, path::PathBuf};

use similar::TextDiff;

/// Compares a text with `tests/golden/<name>`, or writes the file if `UPDATE_GOLDEN=1` is set in the environment.
#[track_caller]
pub fn check(name: &str, found: &str) {
    let path = path(name);
    if env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, found).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; `UPDATE_GOLDEN=1 scripts/test` writes it", path.display());
    });
    assert!(expected == found, "{name} is not what was found:\n{}", diff(&expected, found));
}

/// The differing lines of two texts, with three lines of context.
pub fn diff(expected: &str, found: &str) -> String {
    TextDiff::from_lines(expected, found).unified_diff().context_radius(3).header("expected", "found").to_string()
}

fn path(name: &str) -> PathBuf {
    super::root().join("tests/golden").join(name)
}
