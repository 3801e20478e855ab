//! Google's REST compliance suite, over loopback connections.

mod driver;
mod facts;
mod fixture;
mod negative;
mod positive;

pub use positive::run;
