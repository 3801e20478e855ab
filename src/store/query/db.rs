//! Where the queries of the store run: connections to PostgreSQL, or SQLite on the calling thread.

use std::borrow::Cow;

use sea_orm::{DbBackend, DbErr, Value};

use crate::store::{
    postgres::{Keep, Pool, Row, Transaction},
    sqlite::{Connection, Readers, Writing},
};

/// A connection that runs the queries of [`Fetch`](super::Fetch).
pub trait Db: Send + Sync {
    fn target(&self) -> Target<'_>;

    fn backend(&self) -> DbBackend {
        match self.target() {
            Target::Postgres(_) => DbBackend::Postgres,
            Target::Sqlite(_) => DbBackend::Sqlite,
        }
    }
}

/// What runs a query.
pub enum Target<'a> {
    Postgres(Postgres<'a>),
    Sqlite(Sqlite<'a>),
}

/// A connection to PostgreSQL.
pub enum Postgres<'a> {
    Pool(&'a Pool),
    Transaction(&'a Transaction),
}

impl Postgres<'_> {
    /// Runs a query.
    pub(in crate::store) async fn query(
        self,
        sql: Cow<'static, str>,
        values: Vec<Value>,
        keep: Keep,
    ) -> Result<Vec<Row>, DbErr> {
        match self {
            Self::Pool(pool) => pool.query(&sql, &values, keep).await,
            Self::Transaction(transaction) => transaction.query(&sql, &values, keep).await,
        }
    }

    /// Runs a change. Returns the number of changed rows.
    pub(in crate::store) async fn execute(self, sql: Cow<'static, str>, values: Vec<Value>) -> Result<u64, DbErr> {
        match self {
            Self::Pool(pool) => pool.execute(&sql, &values).await,
            Self::Transaction(transaction) => transaction.execute(&sql, &values).await,
        }
    }

    /// Runs a change whose result nothing waits for.
    pub(in crate::store) async fn submit(self, sql: Cow<'static, str>, values: Vec<Value>) -> Result<(), DbErr> {
        match self {
            Self::Pool(pool) => pool.execute(&sql, &values).await.map(drop),
            Self::Transaction(transaction) => transaction.submit(sql, values).await,
        }
    }
}

/// A connection to SQLite.
pub enum Sqlite<'a> {
    Readers(&'a Readers),
    Writing(&'a Writing),
}

impl Sqlite<'_> {
    /// Runs a read. It must have no effects but its result, because a long one runs twice.
    pub(in crate::store) async fn read<T, F>(self, work: F) -> Result<T, DbErr>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, DbErr> + Send + 'static,
    {
        match self {
            Self::Readers(readers) => readers.read(work).await,
            Self::Writing(writing) => writing.run(work),
        }
    }

    /// Runs a change.
    pub(in crate::store) fn write<T>(self, work: impl FnOnce(&Connection) -> Result<T, DbErr>) -> Result<T, DbErr> {
        match self {
            Self::Readers(_) => {
                let ctx = "writing on a connection for reads";
                Err(DbErr::BackendNotSupported { db: DbBackend::Sqlite.as_str(), ctx })
            }
            Self::Writing(writing) => writing.run(work),
        }
    }
}

/// The connections for reads.
#[derive(Clone, Debug)]
pub enum Reads {
    Postgres(Pool),
    Sqlite(Readers),
}

impl Reads {
    /// Fails if the database does not respond.
    pub(in crate::store) async fn ping(&self) -> Result<(), DbErr> {
        match self {
            Self::Postgres(pool) => pool.ping().await,
            Self::Sqlite(readers) => readers.ping().await,
        }
    }
}

impl Db for Reads {
    fn target(&self) -> Target<'_> {
        match self {
            Self::Postgres(pool) => Target::Postgres(Postgres::Pool(pool)),
            Self::Sqlite(readers) => Target::Sqlite(Sqlite::Readers(readers)),
        }
    }
}

/// The transaction of a write. On SQLite it belongs to the writer, and several writes share it.
#[derive(Debug)]
pub enum TxConn {
    Postgres(Transaction),
    Sqlite(Writing),
}

impl TxConn {
    /// Runs statements without parameters, such as those of tests.
    pub async fn execute_unprepared(&self, sql: &str) -> Result<(), DbErr> {
        match self {
            Self::Postgres(tx) => tx.execute_unprepared(sql).await,
            Self::Sqlite(writing) => writing.run(|connection| connection.execute_unprepared(sql)),
        }
    }

    pub(in crate::store) async fn commit(self) -> Result<(), DbErr> {
        match self {
            Self::Postgres(tx) => tx.commit().await,
            Self::Sqlite(writing) => writing.commit(),
        }
    }

    pub(in crate::store) async fn rollback(self) -> Result<(), DbErr> {
        match self {
            Self::Postgres(tx) => tx.rollback().await,
            Self::Sqlite(writing) => writing.rollback(),
        }
    }
}

impl Db for TxConn {
    fn target(&self) -> Target<'_> {
        match self {
            Self::Postgres(tx) => Target::Postgres(Postgres::Transaction(tx)),
            Self::Sqlite(writing) => Target::Sqlite(Sqlite::Writing(writing)),
        }
    }
}
