//! Runs SeaORM's queries on a connection of the store: to PostgreSQL, or SQLite on the calling thread.
//!
//! - [`Db`] is a connection, for reads ([`Reads`]) or in a write ([`TxConn`]);
//! - [`Fetch`], [`Count`], [`Exec`], [`UpdateRow`] and [`FetchUpdated`] run queries and changes;
//! - [`submit`] and [`submit_rows`] run changes whose result nothing waits for;
//! - [`Kept`] and [`insert_rows`] keep the texts of frequent statements;
//! - [`Decode`] reads rows by position, [`Record`] those that no entity describes.

mod db;
mod decode;
mod delete_some;
mod exec;
mod fetch;
mod kept;
mod record;
mod rows;

pub use db::{Db, Reads, TxConn};
pub use decode::{Decode, Table, Tuple};
pub use delete_some::delete_some;
pub use exec::{Exec, FetchUpdated, UpdateRow, execute, submit};
pub use fetch::{Count, Fetch};
pub use kept::{Kept, insert_rows, submit_rows};
pub use record::{Record, fetch_each, fetch_raw, records};
