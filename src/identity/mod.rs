//! People and programs that log in: identities, accounts, their passwords and second factors, and revoked tokens.

mod account;
pub mod accounts;
pub mod api_keys;
mod email;
mod group_rules;
pub mod groups;
pub mod identities;
mod label;
pub mod login;
mod members;
pub mod passwords;
pub mod revoked;
pub mod throttle;
pub mod totp;

pub use account::{Account, AccountStatus, TotpState};
pub use accounts::{AccountChange, NewAccount, create_account, set_password};
pub use api_keys::ApiKey;
pub use email::{Email, domain};
pub use login::{Credentials, Login, login};
pub use passwords::{Password, Passwords};
pub use throttle::Throttle;

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
    /// Seals second factors.
    pub vault: Vault,
}

impl People {
    /// The people of a store.
    pub fn new(store: Store, passwords: Passwords, vault: Vault) -> Self {
        Self { store, passwords, throttle: Throttle::default(), vault }
    }
}
