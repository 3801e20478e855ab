//! What the benchmarks of the program share.

#![allow(dead_code, missing_docs, reason = "each benchmark uses its own part")]

mod load;
pub mod program;

pub use load::*;
