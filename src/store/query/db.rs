//! Where the queries of the store run: SeaORM's connections, or SQLite on the calling thread.

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseExecutor, DatabaseTransaction, DbBackend, DbErr};

use crate::store::sqlite::{Connection, Readers, Writing};

/// A connection that runs the queries of [`Fetch`](super::Fetch).
pub trait Db: Send + Sync {
    fn target(&self) -> Target<'_>;

    fn backend(&self) -> DbBackend {
        match self.target() {
            Target::Orm(orm) => orm.get_database_backend(),
            Target::Sqlite(_) => DbBackend::Sqlite,
        }
    }
}

/// What runs a query.
pub enum Target<'a> {
    Orm(DatabaseExecutor<'a>),
    Sqlite(Sqlite<'a>),
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
    Postgres(DatabaseConnection),
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
            Self::Postgres(pool) => Target::Orm(pool.into()),
            Self::Sqlite(readers) => Target::Sqlite(Sqlite::Readers(readers)),
        }
    }
}

/// The transaction of a write. On SQLite it belongs to the writer, and several writes share it.
#[derive(Debug)]
pub enum TxConn {
    Postgres(DatabaseTransaction),
    Sqlite(Writing),
}

impl TxConn {
    /// Runs statements without parameters, such as those of tests.
    pub async fn execute_unprepared(&self, sql: &str) -> Result<(), DbErr> {
        match self {
            Self::Postgres(tx) => tx.execute_unprepared(sql).await.map(drop),
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
            Self::Postgres(tx) => Target::Orm(tx.into()),
            Self::Sqlite(writing) => Target::Sqlite(Sqlite::Writing(writing)),
        }
    }
}
