//! What the benchmarks of the program share.

mod load;
pub mod program;

pub use load::*;
