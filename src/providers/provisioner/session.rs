//! Statements on the database server, with limits on their time.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Row, error::SqlState, types::ToSql};

use super::{
    Limits,
    fault::{self, Right},
};
use crate::{
    base::Result,
    store::{Remote, Session},
};

/// The version of PostgreSQL from which on a member of a role needs the options SET and INHERIT.
const OPTIONS_OF_MEMBERS: i32 = 160_000;

/// A connection in use.
pub(super) struct Work {
    session: Session,
    limit: Duration,
    /// The version of the server, such as 150018.
    version: i32,
    /// Whether the provisioner role has CREATEDB.
    pub creates_databases: bool,
    /// Whether it has CREATEROLE.
    pub creates_roles: bool,
}

/// The failure of a statement, with its SQLSTATE.
pub(super) struct Failed {
    pub code: Option<SqlState>,
    pub error: crate::base::Error,
}

impl From<Failed> for crate::base::Error {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

impl Work {
    pub async fn begin(remote: &Remote, limits: Limits) -> Result<Self> {
        let opened = timeout(limits.connect, remote.connect()).await.map_err(|_| fault::slow())?;
        let session = opened.map_err(|error| fault::of_connecting(&error))?;
        let mut work =
            Self { session, limit: limits.statement, version: 0, creates_databases: false, creates_roles: false };
        // The server gives up shortly before this side does. So it does not continue for a connection that was abandoned.
        let millis = limits.statement.as_millis() * 9 / 10;
        work.batch(&format!("SET statement_timeout = {millis}; SET lock_timeout = {}", millis / 2), "".into()).await?;
        let facts = "SELECT current_setting('server_version_num')::int, rolcreatedb, rolcreaterole \
                     FROM pg_roles WHERE rolname = current_user";
        let row = work.rows(facts, &[]).await?.pop();
        let row = row.ok_or_else(|| crate::base::Error::internal("the provisioner role is not in pg_roles"))?;
        (work.version, work.creates_databases, work.creates_roles) = (row.get(0), row.get(1), row.get(2));
        Ok(work)
    }

    /// Whether a member of a role needs the options SET and INHERIT.
    pub fn has_options_of_members(&self) -> bool {
        self.version >= OPTIONS_OF_MEMBERS
    }

    /// The rows of a query of the catalog.
    pub async fn rows(&mut self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let rows = timeout(self.limit, self.session.query(sql, values)).await.map_err(|_| fault::slow())?;
        rows.map_err(|error| fault::of_statement(&error, &Right::default()))
    }

    /// Runs a statement with names and texts in it, which the server quotes: `%I` is a name, `%L` a text. A refusal for lack of
    /// rights names `right`.
    pub async fn run(&mut self, template: &str, values: &[&str], right: impl Into<Right>) -> Result<(), Failed> {
        let sql = self.quoted(template, values).await?;
        self.batch(&sql, right.into()).await
    }

    /// As [`run`](Self::run), several statements in one transaction.
    pub async fn run_all(&mut self, statements: &[(&str, &[&str])], right: impl Into<Right>) -> Result<(), Failed> {
        let mut sql = "BEGIN".to_owned();
        for (template, values) in statements {
            sql.push_str("; ");
            sql.push_str(&self.quoted(template, values).await?);
        }
        sql.push_str("; COMMIT");
        let done = self.batch(&sql, right.into()).await;
        if done.is_err() {
            // The first error is the one to report; a connection that cannot roll back is closed with its transaction.
            let _ = self.batch("ROLLBACK", Right::default()).await;
        }
        done
    }

    async fn quoted(&mut self, template: &str, values: &[&str]) -> Result<String> {
        let rows = self.rows("SELECT format($1::text, VARIADIC $2::text[])", &[&template, &values]).await?;
        let row = rows.first().ok_or_else(|| crate::base::Error::internal("format returned no row"))?;
        Ok(row.get(0))
    }

    async fn batch(&mut self, sql: &str, right: Right) -> Result<(), Failed> {
        match timeout(self.limit, self.session.batch_execute(sql)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failed { code: error.code().cloned(), error: fault::of_statement(&error, &right) }),
            Err(_) => Err(fault::slow().into()),
        }
    }
}

impl From<crate::base::Error> for Failed {
    fn from(error: crate::base::Error) -> Self {
        Self { code: None, error }
    }
}
