//! Shared by the benchmarks of the program.

#![allow(dead_code, missing_docs, reason = "each benchmark uses its own part")]

pub mod by_hand;
pub mod inline;
pub mod list_client;
mod load;
#[path = "../../tests/it/harness/openbao.rs"]
pub mod openbao;
#[path = "../../tests/it/harness/postgres.rs"]
pub mod postgres;
pub mod program;

use std::{
    path::Path,
    time::{Duration, Instant},
};

pub use load::*;

/// How long something may take that should happen immediately.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Polls until `probe` returns something.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < until, "timed out waiting for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
