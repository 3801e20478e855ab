//! People and programs that log in: identities, accounts, their passwords and second factors, and revoked tokens.

mod account;
pub mod accounts;
mod address_gate;
mod admins;
pub mod api_keys;
mod attempts;
pub mod domains;
mod email;
pub mod grants;
mod group_rules;
pub mod groups;
pub mod identities;
mod label;
pub mod live_sessions;
pub mod login;
mod members;
pub mod named;
pub mod password_rules;
pub mod passwords;
pub mod places;
mod rank;
pub mod reseal;
pub mod revoked;
pub mod role_grants;
pub mod second_factor;
pub mod throttle;
pub mod totp;
mod user;
pub mod user_changes;
pub mod user_password;
mod user_rules;
pub mod user_suspension;
pub mod users;

pub use account::{Account, AccountStatus, TotpState};
pub use accounts::{AccountChange, NewAccount, create_account, set_password};
pub use api_keys::ApiKey;
pub use attempts::Attempts;
pub use email::{Email, domain};
pub use grants::{Grant, GrantRole};
pub use identities::Identity;
pub use login::{Credentials, Login, NewSession, login};
pub use passwords::{Password, Passwords};
pub use throttle::Throttle;
pub use user::{Reach, RoleGrant, RoleScope, User, UserRef};
pub use user_rules::{name_for_people, reason, shown_email};

use crate::store::{Store, Vault};

/// What the verbs about people work with. Cheap to clone.
#[derive(Clone)]
pub struct People {
    /// The store.
    pub store: Store,
    /// Hashes and verifies passwords.
    pub passwords: Passwords,
    /// Slows failed attempts down.
    pub throttle: Throttle,
    /// Bounds attempts to confirm a second factor.
    pub factors: Attempts,
    /// Seals second factors.
    pub vault: Vault,
}

impl People {
    /// The people of a store.
    pub fn new(store: Store, passwords: Passwords, vault: Vault) -> Self {
        Self { store, passwords, throttle: Throttle::default(), factors: Attempts::default(), vault }
    }
}
