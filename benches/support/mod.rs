//! Shared by the benchmarks of the program.

#![allow(dead_code, missing_docs, reason = "each benchmark uses its own part")]

pub mod by_hand;
pub mod inline;
pub mod list_client;
mod load;
#[path = "../../tests/it/harness/postgres.rs"]
pub mod postgres;
pub mod program;

pub use load::*;
