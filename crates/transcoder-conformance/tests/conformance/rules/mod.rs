//! Services whose options say everything that options can say.

mod answers;
mod bench;
mod faults;
mod forms;
mod guard;
mod habits;
mod masks;
mod required;
mod routing;
