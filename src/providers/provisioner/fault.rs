//! The failures of the database server in our words. The texts of the server are only in the log.
//!
//! A failure that can pass, such as a server that is down, is UNAVAILABLE, and the operation tries again. All others are
//! FAILED_PRECONDITION: a person has to change something first.

use std::{borrow::Cow, error::Error as _, io};

use tokio_postgres::error::SqlState;

use crate::base::{Error, Kind, error::Reason};

/// A right of the provisioner role that a statement needs.
pub(super) type Right = Cow<'static, str>;

/// The server cannot be used now.
fn unavailable(message: &'static str) -> Error {
    Error::new(Kind::Unavailable, Reason::ProvisionerUnavailable, message)
}

/// The server will refuse the same again.
fn refused(message: impl Into<Cow<'static, str>>) -> Error {
    Error::precondition(Reason::ProvisionerRefused, message)
}

/// No response in time.
pub(super) fn slow() -> Error {
    unavailable("the database server did not respond in time")
}

/// Sessions that were terminated are still there.
pub(super) fn connected() -> Error {
    unavailable("the sessions on the database do not end")
}

/// A role or a database of the name exists, and was not created for the tenant.
pub(super) fn taken(what: &str, name: &str) -> Error {
    let message = format!("the name is taken: the {what} {name} exists and was not created for this tenant");
    Error::precondition(Reason::DatabaseNameTaken, message)
}

/// Why no connection was opened.
pub(super) fn of_connecting(error: &tokio_postgres::Error) -> Error {
    let known = error.code().map(|code| match *code {
        SqlState::INVALID_PASSWORD => refused("the database server refused the password of the provisioner role"),
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => refused(
            "the database server does not admit the provisioner role; it needs LOGIN, and an entry for it in pg_hba.conf",
        ),
        SqlState::INVALID_CATALOG_NAME => refused("the database of provisioner_url (TENANTRY_PROVISIONER_URL) does not exist"),
        SqlState::INSUFFICIENT_PRIVILEGE => refused(
            "permission denied for the provisioner role, which needs CONNECT on the database of provisioner_url \
             (TENANTRY_PROVISIONER_URL)",
        ),
        _ => of_state(code).unwrap_or_else(|| refused("the database server refused the connection")),
    });
    known.unwrap_or_else(|| of_transport(error, "the database server cannot be reached")).caused_by(described(error))
}

/// Why a statement failed. `right` is what it needs.
pub(super) fn of_statement(error: &tokio_postgres::Error, right: &Right) -> Error {
    let known = error.code().map(|code| match *code {
        SqlState::INSUFFICIENT_PRIVILEGE if right.is_empty() => refused("permission denied for the provisioner role"),
        SqlState::INSUFFICIENT_PRIVILEGE => {
            refused(format!("permission denied for the provisioner role, which needs {right}"))
        }
        SqlState::RESERVED_NAME => refused("the name is reserved by the database server"),
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST => refused("the role still owns something on the database server"),
        _ => of_state(code).unwrap_or_else(|| Error::internal("a statement of the provisioner failed")),
    });
    let lost = "the connection to the database server was lost";
    known.unwrap_or_else(|| of_transport(error, lost)).caused_by(described(error))
}

/// Why a login of a tenant's database could not connect, and whether that is because the server refused the login.
pub(super) fn of_login(error: &tokio_postgres::Error) -> (Error, bool) {
    let mut is_refused = false;
    let known = error.code().map(|code| match *code {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            is_refused = true;
            refused("the database server refused the login for the database of the tenant")
        }
        SqlState::INVALID_CATALOG_NAME => refused("the database does not exist"),
        SqlState::INSUFFICIENT_PRIVILEGE => {
            refused("permission denied for the login, which needs CONNECT on the database")
        }
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => refused("the database is closed (ALLOW_CONNECTIONS false)"),
        _ => of_state(code).unwrap_or_else(|| refused("the database server refused the connection")),
    });
    let error = known
        .unwrap_or_else(|| of_transport(error, "the database server cannot be reached"))
        .caused_by(described(error));
    (error, is_refused)
}

/// Why a statement in the database of a tenant failed; `what` is what it does. What the tenant can change is not a fault of the server.
pub(super) fn of_migration(error: &tokio_postgres::Error, what: &str) -> Error {
    let failed = |message: String| Error::precondition(Reason::TenantMigrationFailed, message);
    let known = error.code().map(|code| match *code {
        SqlState::LOCK_NOT_AVAILABLE => {
            Error::new(Kind::Unavailable, Reason::ProvisionerUnavailable, format!("{what} did not get a lock in time"))
        }
        SqlState::T_R_DEADLOCK_DETECTED | SqlState::T_R_SERIALIZATION_FAILURE | SqlState::OBJECT_IN_USE => {
            unavailable("the database server is busy with the same database")
        }
        SqlState::QUERY_CANCELED => failed(format!("{what} took too long")),
        SqlState::DUPLICATE_OBJECT
        | SqlState::DUPLICATE_DATABASE
        | SqlState::UNIQUE_VIOLATION
        | SqlState::INTERNAL_ERROR => failed(format!("{what} failed (SQLSTATE {})", code.code())),
        _ => of_state(code).unwrap_or_else(|| failed(format!("{what} failed (SQLSTATE {})", code.code()))),
    });
    known
        .unwrap_or_else(|| of_transport(error, "the connection to the database server was lost"))
        .caused_by(described(error))
}

/// States that do not depend on the statement.
fn of_state(code: &SqlState) -> Option<Error> {
    Some(match *code {
        SqlState::TOO_MANY_CONNECTIONS => unavailable("the database server has no free connection"),
        SqlState::CANNOT_CONNECT_NOW => unavailable("the database server is starting or stopping"),
        SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => {
            unavailable("the connection to the database server was lost")
        }
        SqlState::QUERY_CANCELED => slow(),
        // The last one is a catalog row that two statements change at once.
        SqlState::LOCK_NOT_AVAILABLE
        | SqlState::OBJECT_IN_USE
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::DUPLICATE_OBJECT
        | SqlState::DUPLICATE_DATABASE
        | SqlState::UNIQUE_VIOLATION
        | SqlState::INTERNAL_ERROR => unavailable("the database server is busy with the same database"),
        SqlState::DISK_FULL => unavailable("the database server has no space left"),
        SqlState::OUT_OF_MEMORY | SqlState::INSUFFICIENT_RESOURCES | SqlState::CONFIGURATION_LIMIT_EXCEEDED => {
            unavailable("the database server has no resources left")
        }
        SqlState::READ_ONLY_SQL_TRANSACTION => unavailable("the database server accepts no writes; it is a standby"),
        _ => return None,
    })
}

/// Failures without a response of the server. A certificate that cannot be verified will not change by itself.
fn of_transport(error: &tokio_postgres::Error, message: &'static str) -> Error {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::InvalidData) {
            return refused("the certificate of the database server cannot be verified");
        }
        cause = inner.source();
    }
    unavailable(message)
}

/// The texts of an error and its causes, for the log.
fn described(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
