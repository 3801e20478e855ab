//! People and programs that log in: accounts, their passwords, and revoked tokens.

pub mod accounts;
pub mod passwords;
pub mod revoked;

pub use accounts::{NewAccount, create_account, set_password};
pub use passwords::{Password, Passwords};
