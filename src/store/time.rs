//! The database's time, for irreversible decisions such as expiry, which must not depend on the clock of one server.

use sea_orm::{DatabaseBackend, DbErr, Statement};
use time::OffsetDateTime;

use super::{Db, Stamp, Store, query::fetch_raw};
use crate::base::{Clock, Result};

/// The time of PostgreSQL, in microseconds since the Unix epoch.
pub(super) const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

impl Store {
    /// The time by the database's clock, which all servers share. On SQLite it is the clock of the only server.
    pub async fn time(&self) -> Result<OffsetDateTime> {
        Ok(of(self.read(), self.clock()).await?)
    }
}

pub(super) async fn of(conn: &impl Db, clock: &Clock) -> Result<OffsetDateTime, DbErr> {
    if conn.backend() != DatabaseBackend::Postgres {
        return Ok(clock.now());
    }
    let query = Statement::from_string(DatabaseBackend::Postgres, format!("SELECT {NOW}"));
    let now: Option<Stamp> = fetch_raw(conn, query).await?;
    Ok(now.ok_or_else(|| DbErr::RecordNotFound("the time".to_owned()))?.time())
}
