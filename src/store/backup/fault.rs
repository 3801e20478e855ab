//! Why a backup or a restoration failed, for the operator who runs it.

/// The failure of a backup or a restoration.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Something that the operator has to change.
    #[error("{0}")]
    Refused(String),
    /// A system call, SQLite, PostgreSQL or one of its programs failed.
    #[error("{what}")]
    Failed {
        what: String,
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Fault {
    pub(super) fn refused(what: impl Into<String>) -> Self {
        Self::Refused(what.into())
    }

    pub(super) fn failed(what: impl Into<String>, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed { what: what.into(), cause: cause.into() }
    }
}
