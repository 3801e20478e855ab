//! Shared test support: the program as a child process, HTTP, golden files, the documents' commands.

pub mod cases;
pub mod conversation;
pub mod docs;
pub mod enroll;
pub mod fleet;
pub mod forward;
pub mod golden;
pub mod grpc;
pub mod http;
pub mod json;
pub mod line;
pub mod mask;
pub mod modules;
pub mod openbao;
pub mod operations;
pub mod postgres;
pub mod rotations;
pub mod rpc;
pub mod server;
pub mod skew;
pub mod stream;
pub mod talk;
pub mod tls;
pub mod totp;
pub mod tripwire;
pub mod wire;

use std::{
    env,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long a test waits for something that should happen immediately. Long, because a busy machine must not
/// make it fail.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Polls until `probe` returns something; panics with `what` after [`PATIENCE`].
pub async fn eventually<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, probe).await
}

/// The same, with another time limit.
pub async fn within<T>(limit: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    let mut poll = tokio::time::interval(Duration::from_millis(5));
    loop {
        poll.tick().await;
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
    }
}

/// The pinned buf, which `scripts/test` installs, and which is the gRPC client in the documents' commands.
pub fn buf() -> PathBuf {
    if let Some(path) = env::var_os("TENANTRY_TEST_BUF") {
        return path.into();
    }
    let run = std::process::Command::new(root().join("scripts/buf")).arg("--install").output();
    match run {
        Ok(run) if run.status.success() => PathBuf::from(String::from_utf8_lossy(&run.stdout).trim()),
        other => panic!("no buf: run scripts/test, which installs it ({other:?})"),
    }
}
