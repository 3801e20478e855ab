//! The keys that a rotation replaces: of a tenant, or of the installation.

use uuid::Uuid;

use crate::{
    base::{Error, Result, TenantId, TenantRef, TenantScope},
    store::{
        Stamp, Tx,
        columns::{KeyState, KeyUse},
        tables::{SignerRow, installation_keys},
    },
    tenants,
};

/// Whose keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Tenant(TenantScope),
    Installation,
}

/// A key of either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Signer(SignerRow),
    Installation(installation_keys::Model),
}

/// Locks the keys for a use in this write, and returns their owner and the keys, oldest first.
pub(super) async fn lock(tx: &Tx, tenant: Option<&TenantRef>, key_use: KeyUse) -> Result<(Owner, Vec<Key>)> {
    let Some(tenant) = tenant else {
        installation_keys::locked(tx.conn(), key_use).await?;
        // Again: what another write inserted while this one waited for the locks.
        let all = installation_keys::locked(tx.conn(), key_use).await?;
        return Ok((Owner::Installation, all.into_iter().map(Key::Installation).collect()));
    };
    let (_, scope) = tenants::resolve_locked(tx, tenant).await?;
    let all = tx.tenant(scope).signers().all().await?;
    let of_use = all.into_iter().filter(|row| row.key_use == key_use);
    Ok((Owner::Tenant(scope), of_use.map(Key::Signer).collect()))
}

impl Owner {
    pub(super) fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Tenant(scope) => Some(scope.tenant()),
            Self::Installation => None,
        }
    }

    pub(super) async fn insert(self, tx: &Tx, key: Key) -> Result<()> {
        match (self, key) {
            (Self::Tenant(scope), Key::Signer(row)) => tx.tenant(scope).signers().insert(vec![row]).await,
            (Self::Installation, Key::Installation(row)) => installation_keys::insert(tx.conn(), row).await,
            _ => Err(foreign()),
        }
    }

    /// Stores a key that was changed.
    pub(super) async fn update(self, tx: &Tx, key: &Key) -> Result<()> {
        match (self, key) {
            (Self::Tenant(scope), Key::Signer(row)) => tx.tenant(scope).signers().update(row).await,
            (Self::Installation, Key::Installation(row)) => installation_keys::update(tx.conn(), row).await,
            _ => Err(foreign()),
        }
    }
}

impl Key {
    pub(super) fn id(&self) -> Uuid {
        match self {
            Self::Signer(row) => row.id,
            Self::Installation(row) => row.id,
        }
    }

    pub(super) fn key_id(&self) -> &str {
        match self {
            Self::Signer(row) => &row.key_id,
            Self::Installation(row) => &row.key_id,
        }
    }

    pub(super) fn state(&self) -> KeyState {
        match self {
            Self::Signer(row) => row.state,
            Self::Installation(row) => row.state,
        }
    }

    /// The key in another state since `now`.
    pub(super) fn in_state(mut self, state: KeyState, now: Stamp) -> Self {
        let (to, activated_at, retired_at) = match &mut self {
            Self::Signer(row) => (&mut row.state, &mut row.activated_at, &mut row.retired_at),
            Self::Installation(row) => (&mut row.state, &mut row.activated_at, &mut row.retired_at),
        };
        *to = state;
        match state {
            KeyState::Active => *activated_at = Some(now),
            KeyState::Retired | KeyState::Revoked => *retired_at = retired_at.or(Some(now)),
            KeyState::Pending | KeyState::Retiring => {}
        }
        self
    }

    /// The key whose artifacts have been replaced since `now`.
    pub(super) fn replaced(mut self, now: Stamp) -> Self {
        match &mut self {
            Self::Signer(row) => row.retired_at = Some(now),
            Self::Installation(row) => row.retired_at = Some(now),
        }
        self
    }
}

/// The key with the id of a row.
pub(super) fn find(keys: &[Key], id: Uuid) -> Result<Key> {
    let found = keys.iter().find(|key| key.id() == id).cloned();
    found.ok_or_else(|| Error::internal("a rotation has no key"))
}

/// The key in use.
pub(super) fn active(keys: &[Key]) -> Result<Key> {
    let found = keys.iter().rev().find(|key| key.state() == KeyState::Active).cloned();
    found.ok_or_else(|| Error::internal("no key is active"))
}

fn foreign() -> Error {
    Error::internal("the key has another owner")
}
