//! PostgreSQL, with SeaORM's queries and entities.
//!
//! The driver under SeaORM sends one statement and waits for its result. Here BEGIN is sent together with the first statement of
//! a transaction, and statements whose results nothing waits for together with the next one or with COMMIT:
//!
//! - [`Connection`] sends statements, in flights of one or several, and maps errors to those that SeaORM's driver reports;
//! - [`Pool`] are the connections, and a `Lease` is one in use;
//! - [`Transaction`] is the transaction of a write;
//! - [`Options`] are read from a URL as SeaORM's driver reads it;
//! - `value` converts the values of parameters and columns. Columns are read by position.
//!
//! A connection is driven by the call that uses it, and not by a task of its own: a statement costs no switch of tasks, and
//! what is sent together is known.

mod connection;
mod driver;
mod fault;
mod flight;
mod options;
mod pool;
mod statements;
mod tls;
mod transaction;
mod value;

pub use connection::Connection;
pub use flight::Keep;
pub use options::{Options, TlsMode};
pub use pool::{Pool, Settings};
pub use tokio_postgres::Row;
pub use transaction::Transaction;
