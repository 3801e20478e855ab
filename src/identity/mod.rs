//! People and programs that log in: identities, accounts, their passwords and second factors, and revoked tokens.

pub mod accounts;
pub mod api_keys;
pub mod backoff;
pub mod factor_attempts;
pub mod grants;
pub mod group_deletion;
pub mod groups;
pub mod jobs;
pub mod login;
pub mod passwords;
pub mod reseal;
pub mod roles;
pub mod second_factor;
pub mod sessions;
pub mod totp;
pub mod users;

pub use accounts::account::{Account, AccountStatus, TotpState};
pub use accounts::email::{Email, domain};
pub use accounts::identities::Identity;
pub use accounts::{AccountChange, NewAccount, create_account, set_password};
pub use api_keys::ApiKey;
pub use backoff::Throttle;
pub use grants::{Grant, GrantRole};
pub use login::{Credentials, Login, NewSession, login};
pub use passwords::{Password, Passwords};
pub use users::rules::{display_name, reason, shown_email};
pub use users::user::{RoleGrant, RoleScope, User, UserRef};

use crate::store::{Sealer, Store};

/// Dependencies of the functions in this module. Cheap to clone.
#[derive(Clone)]
pub struct People {
    pub store: Store,
    pub passwords: Passwords,
    /// Delays attempts after failures.
    pub throttle: Throttle,
    /// Seals the secrets of second factors.
    pub sealer: Sealer,
}

impl People {
    pub fn new(store: Store, passwords: Passwords, sealer: Sealer) -> Self {
        Self { store, passwords, throttle: Throttle::default(), sealer }
    }
}
