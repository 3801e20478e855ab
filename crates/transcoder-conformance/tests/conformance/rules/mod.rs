//! Services whose options say everything that options can say.

mod actions;
mod answers;
mod faults;
mod fixture;
mod forms;
mod guard;
mod habits;
mod masks;
mod odd;
mod required;
mod routing;
