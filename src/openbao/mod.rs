//! The client of OpenBAO, a server for secrets that leases logins for the databases of tenants.
//!
//! [`OpenBao`] makes the calls, with the token that [`identity`] obtains and keeps valid. Failures are an [`OpenBaoError`]: the
//! call, and a cause in our own words. A call is repeated within its time limit if the cause can pass ([`Cause::can_pass`]),
//! which the status alone does not say (`refusal.rs`).
//!
//! Facts about the server were observed with OpenBAO 2.7.2; `tests/it/openbao/` checks them with the real server.

mod address;
mod call;
mod client;
mod database;
mod error;
mod health;
pub mod identity;
pub mod jobs;
pub mod keeper;
mod leases;
mod link;
mod refusal;
mod settings;
pub mod tenant_role;
pub mod transit;

pub use address::{Address, InvalidName, Name, Namespace};
pub use call::Call;
pub use client::OpenBao;
pub use database::{Connection, Credentials, DatabaseRole, FoundConnection, FoundRole, SslMode};
pub use error::{Cause, OpenBaoError, Result};
pub use health::Health;
pub use keeper::LeaseKeeper;
pub use leases::{FoundLease, Lease};
pub use settings::{Credential, OpenBaoSettings, SecretId};
