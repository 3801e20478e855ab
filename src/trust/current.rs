//! Whether a key that was read is still the one in use, checked in the write that stores what it signed.

use std::time::Duration;

use super::Trust;
use crate::{
    base::{Error, Kind, Result, TenantScope, error::Reason},
    store::{
        Tx,
        columns::{KeyState, KeyUse},
        tables::installation_keys,
    },
};

/// How often something is signed again whose key was replaced meanwhile.
const ATTEMPTS: usize = 4;
const RETRY: Duration = Duration::from_secs(1);

impl Trust {
    /// Does something that fails with the error of a replaced key, again with the current keys.
    pub async fn with_current_keys<T, F>(&self, work: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        for _ in 1..ATTEMPTS {
            match work().await {
                Err(error) if error.reason == Reason::SigningKeyReplaced => self.forget_installation().await,
                outcome => return outcome,
            }
        }
        work().await
    }
}

/// Fails unless the key of a tenant with this id is the one in use. Lock the tenant first.
pub async fn require_active(tx: &Tx, scope: TenantScope, key_use: KeyUse, key_id: &str) -> Result<()> {
    let signers = tx.tenant(scope).signers().all().await?;
    let is_active = |row: &&crate::store::tables::SignerRow| row.key_use == key_use && row.state == KeyState::Active;
    let active = signers.iter().filter(is_active).any(|row| row.key_id == key_id);
    if active { Ok(()) } else { Err(replaced()) }
}

/// Fails unless the authority whose key has this id issues certificates.
pub async fn require_issuer(tx: &Tx, key_id: &str) -> Result<()> {
    if installation_keys::is_active(tx.conn(), key_id).await? { Ok(()) } else { Err(replaced()) }
}

/// The error for something that was signed with a key which was replaced meanwhile.
pub(super) fn replaced() -> Error {
    let message = "the key was replaced in this moment; try again";
    Error::new(Kind::Unavailable, Reason::SigningKeyReplaced, message).retry_after(RETRY)
}
