//! People and programs that log in: identities, accounts, their passwords and second factors, and revoked tokens.

mod account;
pub mod accounts;
pub mod domains;
mod email;
pub mod grants;
pub mod identities;
pub mod login;
pub mod passwords;
pub mod places;
pub mod revoked;
pub mod throttle;
pub mod totp;

pub use account::{Account, AccountStatus, TotpState};
pub use accounts::{AccountChange, NewAccount, create_account, set_password};
pub use email::{Email, domain};
pub use grants::{Grant, GrantRole};
pub use identities::Identity;
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
