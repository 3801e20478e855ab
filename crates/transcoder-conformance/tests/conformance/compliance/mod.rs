//! Google's REST compliance suite, through HTTP.

mod driver;
mod negative;
mod positive;
