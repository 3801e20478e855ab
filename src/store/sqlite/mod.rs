//! SQLite on the calling thread, with SeaORM's queries and entities.
//!
//! The driver under SeaORM runs each statement on a thread of its own. A read of a row takes a few microseconds, and the way to
//! that thread and back takes ten times as long. Here a statement runs where it is awaited:
//!
//! - [`Connection`] runs statements and maps errors to those that SeaORM's driver reports;
//! - [`Readers`] are the connections for reads, with a bound on the time that a read keeps its thread;
//! - [`Writing`] is the connection for writes, with a thread that copies the log into the file;
//! - [`DatabaseFile`] notices that the file was replaced;
//! - [`value`] converts the values of parameters and columns. Columns are read by position and by their declared type.

mod checkpoint;
mod connection;
mod fault;
mod file;
mod held_read;
mod new_file;
mod readers;
pub mod value;
mod writer;

pub use connection::{Connection, Mode};
pub use file::DatabaseFile;
pub(in crate::store) use new_file::create as create_file;
pub use readers::{Readers, Settings};
pub use writer::Writing;
