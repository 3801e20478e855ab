//! Services whose options say everything that options can say.

mod answers;
mod bench;
mod guard;
mod habits;
mod masks;
mod routing;
