//! Services whose options say everything that options can say.

mod answers;
mod bench;
mod faults;
mod forms;
mod guard;
mod habits;
mod masks;
mod odd;
mod required;
mod routing;
