//! Maps database errors to domain errors. The only module that inspects them.

use sea_orm::{
    DbErr, RuntimeErr, SqlErr,
    sqlx::{self, error::ErrorKind},
};

use super::tables;
use crate::base::{
    Error,
    error::{Kind, Reason},
};

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match violation(&error) {
            Some(SqlErr::UniqueConstraintViolation(text)) => unique_violation(error, &text),
            Some(SqlErr::ForeignKeyConstraintViolation(text)) => foreign_key_violation(error, &text),
            _ if is_unavailable(&error) => match &error {
                DbErr::Conn(RuntimeErr::SqlxError(cause)) if quotes_files(cause) => unavailable(TLS_FAILED, "use"),
                _ => unavailable(error, "use"),
            },
            _ => Error::internal(error),
        }
    }
}

/// The violated constraint. SeaORM only knows the errors of its own drivers.
fn violation(error: &DbErr) -> Option<SqlErr> {
    error.sql_err().or_else(|| {
        let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) = error else {
            return None;
        };
        let cause = cause.as_database_error()?;
        match cause.kind() {
            ErrorKind::UniqueViolation => Some(SqlErr::UniqueConstraintViolation(cause.message().to_owned())),
            ErrorKind::ForeignKeyViolation => Some(SqlErr::ForeignKeyConstraintViolation(cause.message().to_owned())),
            _ => None,
        }
    })
}

fn unique_violation(error: DbErr, text: &str) -> Error {
    // SQLite: `UNIQUE constraint failed: <columns>`. PostgreSQL: `... violates unique constraint "<index>"`.
    let told = text.rsplit_once(": ").map_or(text, |(_, columns)| columns);
    match tables::unique().find(|unique| told == unique.columns || text.contains(&format!("\"{}\"", unique.index))) {
        Some(unique) => Error::exists(unique.reason, unique.message).caused_by(error),
        None => Error::internal(error),
    }
}

/// Either the tenant, account or group of a new row is gone, or a deleted tenant still has rows. SQLite does not report
/// which; it has a single writer. Most writes check for the parent first there, so only the second can occur; those that
/// do not, such as attempts at second factors, map both.
fn foreign_key_violation(error: DbErr, text: &str) -> Error {
    if text.starts_with("insert or update") {
        Error::not_found(Reason::TenantNotFound, "tenant not found").caused_by(error)
    } else {
        Error::precondition(Reason::TenantInUse, "the tenant is still in use").caused_by(error)
    }
}

/// The database is unreachable or temporarily unable to work.
pub(super) fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>, doing: &'static str) -> Error {
    let cause = cause.into();
    tracing::debug!(error = %cause, "cannot {doing} the database");
    let message = "the database is unavailable; retry later";
    Error::new(Kind::Unavailable, Reason::DatabaseUnavailable, message).caused_by(cause)
}

/// The cause in place of an error that quotes files.
const TLS_FAILED: &str = "the certificates or the key of its URL cannot be used";

/// The same for an error of SeaORM's driver.
pub(super) fn unconnected(error: sqlx::Error) -> Error {
    if quotes_files(&error) { unavailable(TLS_FAILED, "connect to") } else { unavailable(error, "connect to") }
}

/// Whether the text of an error of SeaORM's driver may quote a file with certificates or a key.
fn quotes_files(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Tls(_) | sqlx::Error::Configuration(_))
}

/// Whether another process has locked the SQLite file.
pub(super) fn is_locked(error: &DbErr) -> bool {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => is_locked_file(error),
        _ => false,
    }
}

/// The same for a driver error: SQLITE_BUSY, 5, and its extended codes.
pub(super) fn is_locked_file(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

fn is_unavailable(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => match &**error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed
            | sqlx::Error::InvalidSavePointStatement => true,
            sqlx::Error::Database(error) => error.code().is_some_and(|code| is_outage(&code)),
            _ => false,
        },
        _ => false,
    }
}

/// PostgreSQL: connection failures, insufficient resources, shutdown, cancellation, read-only after a failover.
/// SQLite (numeric): busy, locked, read-only, I/O error, full, cannot open; the low byte is the primary code.
fn is_outage(code: &str) -> bool {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 5 | 6 | 8 | 10 | 13 | 14),
        _ => {
            matches!(code.get(..2), Some("08" | "53" | "58"))
                || matches!(code, "57P01" | "57P02" | "57P03" | "57014" | "25006")
        }
    }
}

/// Whether the same transaction may succeed when it is retried: after a serialization failure or a deadlock.
pub(super) fn is_transient(error: &Error) -> bool {
    has_code(error, &["40001", "40P01"])
}

/// Whether a migration was blocked by others: by a deadlock or the lock timeout.
pub(super) fn is_blocked(error: &Error) -> bool {
    has_code(error, &["40P01", "55P03"])
}

/// Whether the error is a PostgreSQL error with one of these codes.
fn has_code(error: &Error, codes: &[&str]) -> bool {
    let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<DbErr>());
    let Some(DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) = cause else {
        return false;
    };
    let sqlx::Error::Database(cause) = &**cause else { return false };
    cause.code().is_some_and(|code| codes.contains(&code.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_are_distinguished_from_bugs() {
        for code in ["08006", "53300", "57P01", "25006", "5", "261", "266", "13", "14"] {
            assert!(is_outage(code), "{code}");
        }
        for code in ["42P01", "23505", "22001", "1", "19", "2067", "787", "57000"] {
            assert!(!is_outage(code), "{code}");
        }
    }

    #[test]
    fn an_sql_error_reveals_nothing_to_the_caller() {
        let error = Error::from(DbErr::Custom("syntax error near SELECT".to_owned()));
        assert_eq!((error.kind, error.to_string().as_str()), (Kind::Internal, "internal error"));
    }

    #[test]
    fn the_content_of_files_with_keys_is_not_the_cause_of_an_error() {
        let quoting = || sqlx::Error::Configuration("illegal section start: hunter2".into());
        let pooled = DbErr::Conn(RuntimeErr::SqlxError(quoting().into()));
        for error in [unconnected(quoting()), Error::from(pooled)] {
            let cause = error.cause.as_ref().map(ToString::to_string);
            assert_eq!((error.reason, cause.as_deref()), (Reason::DatabaseUnavailable, Some(TLS_FAILED)));
        }
    }

    #[test]
    fn a_closed_pool_is_an_outage() {
        let error = Error::from(DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::Timeout));
        assert_eq!((error.kind, error.reason), (Kind::Unavailable, Reason::DatabaseUnavailable));
        assert_eq!(error.to_string(), "the database is unavailable; retry later");
    }
}
