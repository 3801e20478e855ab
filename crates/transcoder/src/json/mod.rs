//! proto3 JSON.

mod habits;

pub use habits::{Habits, Names, Timestamps};
