//! Google's REST compliance suite, over connections of the loopback.

mod driver;
mod facts;
mod fixture;
mod negative;
mod positive;

pub use positive::run;
