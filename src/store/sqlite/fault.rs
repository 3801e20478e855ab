//! Errors of SQLite in the form in which SeaORM's driver reports them.

use std::{borrow::Cow, error::Error, fmt, sync::Arc};

use rusqlite::ffi;
use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{
        self,
        error::{DatabaseError, ErrorKind},
    },
};

/// A failed statement: the extended result code and SQLite's text.
#[derive(Debug)]
struct Fault {
    code: i32,
    message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(code: {}) {}", self.code, self.message)
    }
}

impl Error for Fault {}

impl DatabaseError for Fault {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.code.to_string().into())
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
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => ErrorKind::UniqueViolation,
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ErrorKind::ForeignKeyViolation,
            ffi::SQLITE_CONSTRAINT_NOTNULL => ErrorKind::NotNullViolation,
            ffi::SQLITE_CONSTRAINT_CHECK => ErrorKind::CheckViolation,
            _ => ErrorKind::Other,
        }
    }
}

/// The error of a statement.
pub(super) fn of_statement(error: rusqlite::Error) -> DbErr {
    DbErr::Query(runtime(error))
}

/// The error of opening a file.
pub(super) fn of_opening(error: rusqlite::Error) -> DbErr {
    DbErr::Conn(runtime(error))
}

fn runtime(error: rusqlite::Error) -> RuntimeErr {
    match error.sqlite_error() {
        Some(known) => {
            let fault = Fault { code: known.extended_code, message: error.to_string() };
            RuntimeErr::SqlxError(Arc::new(sqlx::Error::Database(Box::new(fault))))
        }
        None => RuntimeErr::Internal(error.to_string()),
    }
}
