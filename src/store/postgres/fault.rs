//! Errors of PostgreSQL in the form in which SeaORM's driver reports them.

use std::{borrow::Cow, error::Error, fmt, io, sync::Arc};

use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{
        self,
        error::{DatabaseError, ErrorKind},
    },
};
use tokio_postgres::error::{DbError, Severity, SqlState};

/// A failed statement: its SQLSTATE and PostgreSQL's text.
#[derive(Debug)]
struct Fault {
    code: SqlState,
    message: String,
}

impl Fault {
    fn new(error: &DbError) -> Self {
        Self { code: error.code().clone(), message: error.message().to_owned() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(code: {}) {}", self.code.code(), self.message)
    }
}

impl Error for Fault {}

impl DatabaseError for Fault {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.code().into())
    }

    fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        match self.code {
            SqlState::UNIQUE_VIOLATION => ErrorKind::UniqueViolation,
            SqlState::FOREIGN_KEY_VIOLATION => ErrorKind::ForeignKeyViolation,
            SqlState::NOT_NULL_VIOLATION => ErrorKind::NotNullViolation,
            SqlState::CHECK_VIOLATION => ErrorKind::CheckViolation,
            _ => ErrorKind::Other,
        }
    }
}

/// The error of a statement.
pub(super) fn of_statement(error: &tokio_postgres::Error) -> DbErr {
    DbErr::Query(runtime(error))
}

/// The error of opening a connection.
pub(super) fn of_connecting(error: &tokio_postgres::Error) -> DbErr {
    DbErr::Conn(runtime(error))
}

/// Whether a connection may succeed shortly: the server starts, or has too many connections.
pub(super) fn is_temporary(error: &tokio_postgres::Error) -> bool {
    if let Some(code) = error.code() {
        return matches!(*code, SqlState::CANNOT_CONNECT_NOW | SqlState::TOO_MANY_CONNECTIONS);
    }
    let kind = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    matches!(
        kind,
        Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
    )
}

/// Whether the connection must not be used again: the server is about to close it, or a prepared statement has become
/// unusable, because a migration has changed its rows or a pooler its connection.
pub(super) fn ends_connection(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error| {
        let unusable = [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::FEATURE_NOT_SUPPORTED];
        matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) || unusable.contains(error.code())
    })
}

fn runtime(error: &tokio_postgres::Error) -> RuntimeErr {
    let cause = if let Some(error) = error.as_db_error() {
        sqlx::Error::Database(Box::new(Fault::new(error)))
    } else if error.is_closed() {
        sqlx::Error::Io(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was closed"))
    } else if let Some(cause) = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
        sqlx::Error::Io(io::Error::new(cause.kind(), format!("{error}: {cause}")))
    } else {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        return RuntimeErr::Internal(format!("{error}{cause}"));
    };
    RuntimeErr::SqlxError(Arc::new(cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Error, Kind, error::Reason};

    fn failed(code: SqlState, message: &str) -> Error {
        let fault = Fault { code, message: message.to_owned() };
        DbErr::Query(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Database(Box::new(fault))))).into()
    }

    #[test]
    fn errors_of_postgres_become_those_of_the_domain() {
        let unique = "duplicate key value violates unique constraint \"tenants_name_key\"";
        let parent = "insert or update on table \"groups\" violates foreign key constraint \"groups_tenant\"";
        for (code, message, kind, reason) in [
            (SqlState::FOREIGN_KEY_VIOLATION, parent, Kind::NotFound, Reason::TenantNotFound),
            (SqlState::ADMIN_SHUTDOWN, "terminating", Kind::Unavailable, Reason::DatabaseUnavailable),
            (SqlState::TOO_MANY_CONNECTIONS, "too many", Kind::Unavailable, Reason::DatabaseUnavailable),
            (SqlState::QUERY_CANCELED, "canceled", Kind::Unavailable, Reason::DatabaseUnavailable),
            (SqlState::READ_ONLY_SQL_TRANSACTION, "standby", Kind::Unavailable, Reason::DatabaseUnavailable),
        ] {
            let error = failed(code, message);
            assert_eq!((error.kind, error.reason), (kind, reason), "{message}");
            assert!(!error.to_string().contains(message), "{error}");
        }
        let error = failed(SqlState::UNIQUE_VIOLATION, unique);
        assert!(!error.to_string().contains("duplicate"), "{error}");
        assert_eq!(failed(SqlState::SYNTAX_ERROR, "near x").kind, Kind::Internal);
    }
}
