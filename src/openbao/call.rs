//! The calls that the product makes.

use std::fmt;

/// A call of OpenBAO's API, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    CheckHealth,
    FindEngine,
    WriteConnection,
    FindConnection,
    AllowRoles,
    DeleteConnection,
    WriteRole,
    FindRole,
    DeleteRole,
    LeaseCredentials,
    RenewLease,
    RevokeLease,
    RevokeLeases,
    FindLease,
    FindToken,
    RenewToken,
    LogIn,
    Unwrap,
    EncryptKey,
    DecryptKey,
}

impl Call {
    /// What the call does, after "cannot".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CheckHealth => "check the health of OpenBAO",
            Self::FindEngine => "find the database secrets engine",
            Self::WriteConnection => "write the database connection",
            Self::FindConnection => "find the database connection",
            Self::AllowRoles => "change the roles that the database connection allows",
            Self::DeleteConnection => "delete the database connection",
            Self::WriteRole => "write the database role",
            Self::FindRole => "find the database role",
            Self::DeleteRole => "delete the database role",
            Self::LeaseCredentials => "lease database credentials",
            Self::RenewLease => "renew the lease",
            Self::RevokeLease => "revoke the lease",
            Self::RevokeLeases => "revoke the leases of the database role",
            Self::FindLease => "find the lease",
            Self::FindToken => "look up the token",
            Self::RenewToken => "renew the token",
            Self::LogIn => "log in to OpenBAO",
            Self::Unwrap => "unwrap the secret id",
            Self::EncryptKey => "encrypt a data key",
            Self::DecryptKey => "decrypt a data key",
        }
    }

    /// Whether a repeated call does no harm if the outcome of the first is not known. A wrapped secret id can be unwrapped only
    /// once, and a login may use up a secret id. (A login to a database that nobody received ends with its lease.)
    pub(super) fn is_repeatable(self) -> bool {
        !matches!(self, Self::Unwrap | Self::LogIn)
    }

    /// Whether the call reaches the database server of a connection.
    pub(super) fn reaches_database(self) -> bool {
        matches!(
            self,
            Self::WriteConnection | Self::LeaseCredentials | Self::RenewLease | Self::RevokeLease | Self::RevokeLeases
        )
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
