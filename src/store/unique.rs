//! Unique indexes. Each table declares its own, with the error for a violation.

use crate::base::error::Reason;

/// A unique index and the error for its violation.
pub(super) struct Unique {
    /// The index name, which PostgreSQL reports.
    pub index: &'static str,
    /// The columns, which SQLite reports.
    pub columns: &'static str,
    pub reason: Reason,
    pub message: &'static str,
}
