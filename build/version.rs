//! Tells the program what it was built from: commit and date, for `/version`.
//!
//! Release builds only: a development build would be made again after every commit for it. The date is that of
//! `SOURCE_DATE_EPOCH`, else of the commit, so that one source always makes one program. Outside a git repository, such
//! as in a container build, `GIT_COMMIT` may name the commit; what nobody knows is left out.

use std::{env, process::Command};

/// Sets `TENANTRY_BUILD_COMMIT` and `TENANTRY_BUILD_DATE` for the compilation, as far as they are known.
pub fn emit() {
    for variable in ["SOURCE_DATE_EPOCH", "GIT_COMMIT"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    if env::var("PROFILE").is_ok_and(|profile| profile != "release") {
        return;
    }
    // The log of HEAD grows with each commit and checkout.
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    if let Some(commit) = env::var("GIT_COMMIT").ok().or_else(|| git(&["rev-parse", "HEAD"])) {
        println!("cargo:rustc-env=TENANTRY_BUILD_COMMIT={commit}");
    }
    let seconds = env::var("SOURCE_DATE_EPOCH").ok().or_else(|| git(&["log", "-1", "--format=%ct"]));
    if let Some(seconds) = seconds.and_then(|seconds| seconds.parse().ok()) {
        println!("cargo:rustc-env=TENANTRY_BUILD_DATE={}", rfc3339(seconds));
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// A moment in UTC. The calendar is Howard Hinnant's `civil_from_days`, in whose years March comes first.
fn rfc3339(seconds: i64) -> String {
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", time / 3600, time / 60 % 60, time % 60)
}
