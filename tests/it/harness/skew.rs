//! A server whose clock is wrong: a library that the system loads first changes what the system's clock says.

use std::path::{Path, PathBuf};

use tokio::{process::Command, sync::OnceCell};

use super::server::Setup;

/// Adds `AHEAD` seconds to the wall clock. The monotonic clock stays as it is.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, now);
    const char *ahead = getenv("AHEAD");
    if (result == 0 && id == CLOCK_REALTIME && ahead)
        now->tv_sec += atol(ahead);
    return result;
}
"#;

/// The compiled library.
static LIBRARY: OnceCell<PathBuf> = OnceCell::const_new();

/// The same server with a clock that is ahead by this number of seconds, or behind.
pub async fn skewed(setup: Setup, seconds: i64) -> Setup {
    let library = LIBRARY.get_or_init(compile).await;
    setup.env("LD_PRELOAD", library.to_str().unwrap()).env("AHEAD", seconds.to_string())
}

/// With the C compiler that the linker of Rust is, too.
async fn compile() -> PathBuf {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = tempfile::tempdir_in(kept).unwrap();
    let (source, library) = (dir.path().join("clock.c"), dir.path().join("clock.so"));
    std::fs::write(&source, SOURCE).unwrap();
    let arguments = ["-shared", "-fPIC", "-O1", "-o"];
    let compiled = Command::new("cc").args(arguments).arg(&library).arg(&source).arg("-ldl").output().await.unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    // Another run of the tests may use the one before.
    let kept = kept.join("clock.so");
    std::fs::rename(library, &kept).unwrap();
    kept
}
