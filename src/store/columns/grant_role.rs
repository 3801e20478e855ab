//! The roles of grants.

use std::str::FromStr;

use super::text::text_column;
use crate::base::{Error, Result, Role, error::Reason};

/// The role of an identity in a tenant, as the control-plane surface spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantRole {
    /// Uses the services of the tenant.
    Member,
    /// Administers the tenant.
    Admin,
    /// Reads the tenant, for a limited time.
    Support,
}

impl GrantRole {
    pub const ALL: [Self; 3] = [Self::Member, Self::Admin, Self::Support];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Support => "support",
        }
    }

    /// The role that the grant gives in the tenant.
    pub fn role(self) -> Role {
        match self {
            Self::Member => Role::User,
            Self::Admin => Role::Admin,
            Self::Support => Role::ReadOnly,
        }
    }
}

impl FromStr for GrantRole {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word).ok_or_else(|| {
            Error::invalid(Reason::GrantRoleUnknown, "role", "the role must be 'member', 'admin' or 'support'")
        })
    }
}

text_column!(GrantRole, GrantRole::as_str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_names() {
        for role in GrantRole::ALL {
            assert_eq!(role.as_str().parse::<GrantRole>().unwrap(), role);
        }
        assert!("owner".parse::<GrantRole>().is_err() && "Admin".parse::<GrantRole>().is_err());
    }
}
