//! Google's REST compliance suite, over connections of the loopback.

mod bench;
mod driver;
mod facts;
mod negative;
mod positive;

pub use positive::run;
