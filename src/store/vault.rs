//! Secrets at rest: sealed with a data key for each tenant, which is sealed with the one key-encryption key.
//!
//! AES-256-GCM (NIST SP 800-38D) with random nonces. What a text is for is authenticated with it, so that a sealed secret
//! cannot be put into another place. A tenant's key goes with the tenant, and with it all that it sealed.

use std::sync::Arc;

use aes_gcm::{
    Aes256Gcm, Key, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use moka::sync::Cache;
use sea_orm::{EntityTrait, IntoActiveModel, sea_query::OnConflict};

use super::{Stamp, Store, entities::data_keys};
use crate::base::{Error, Result, Secret, TenantId, error::Reason};

/// The form of what is sealed: the version of the scheme.
const VERSION: &str = "v1:";
/// Length of a key, in bytes.
const KEY: usize = 32;
/// Length of a nonce, in bytes.
const NONCE: usize = 12;
/// Whose the platform's key is.
const PLATFORM: &str = "platform";
/// Most data keys that are kept in memory.
const KEPT: u64 = 1024;

/// The key-encryption key: `TENANTRY_KEK`.
#[derive(Clone)]
pub struct Kek(Aes256Gcm);

/// The text is no key-encryption key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key-encryption key is 32 bytes in base64")]
pub struct NotAKek;

impl Kek {
    /// Reads a key: 32 bytes in base64, padded or not.
    pub fn from_base64(text: &Secret<String>) -> Result<Self, NotAKek> {
        let bytes = STANDARD_NO_PAD.decode(text.expose().trim().trim_end_matches('=')).map_err(|_| NotAKek)?;
        let key: [u8; KEY] = bytes.try_into().map_err(|_| NotAKek)?;
        Ok(Self(cipher(&key)))
    }

    /// A new key, as [`from_base64`](Self::from_base64) reads it.
    pub fn generate() -> Secret<String> {
        Secret::new(STANDARD_NO_PAD.encode(rand::random::<[u8; KEY]>()))
    }
}

impl std::fmt::Debug for Kek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kek(***)")
    }
}

/// Seals and opens secrets. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    store: Store,
    kek: Option<Kek>,
    keys: Cache<String, Arc<Aes256Gcm>>,
}

impl Vault {
    /// A vault on a store. Without a key it seals nothing, and says which setting is missing.
    pub fn new(store: Store, kek: Option<Kek>) -> Self {
        Self(Arc::new(Inner { store, kek, keys: Cache::new(KEPT) }))
    }

    /// Seals a secret of a tenant, or of the platform, for a purpose. Not inside of a write: the first secret of a tenant
    /// makes its key.
    pub async fn seal(&self, tenant: Option<TenantId>, purpose: &str, secret: &[u8]) -> Result<String> {
        seal(self.key(tenant).await?.as_ref(), purpose, secret)
    }

    /// Opens what was sealed for the same tenant and purpose.
    pub async fn open(&self, tenant: Option<TenantId>, purpose: &str, sealed: &str) -> Result<Secret<Vec<u8>>> {
        open(self.key(tenant).await?.as_ref(), purpose, sealed)
    }

    async fn key(&self, tenant: Option<TenantId>) -> Result<Arc<Aes256Gcm>> {
        let kek = self.0.kek.as_ref().ok_or_else(missing)?;
        let owner = tenant.map_or_else(|| PLATFORM.to_owned(), TenantId::dashed);
        if let Some(key) = self.0.keys.get(&owner) {
            return Ok(key);
        }
        let wrapped = match data_keys::Entity::find_by_id(&owner).one(self.0.store.read()).await? {
            Some(row) => row.wrapped,
            None => self.make(kek, &owner, tenant).await?,
        };
        let key = open(&kek.0, &owner, &wrapped)?;
        let key: &[u8; KEY] = key.expose().as_slice().try_into().map_err(Error::internal)?;
        let key = Arc::new(cipher(key));
        self.0.keys.insert(owner, key.clone());
        Ok(key)
    }

    /// Makes the key of an owner, unless another call is first, and returns the one that is stored.
    async fn make(&self, kek: &Kek, owner: &str, tenant: Option<TenantId>) -> Result<String> {
        let wrapped = seal(&kek.0, owner, &rand::random::<[u8; KEY]>())?;
        let owner = owner.to_owned();
        self.0
            .store
            .maintain("vault.key", move |tx| {
                let row = data_keys::Model {
                    owner: owner.clone(),
                    tenant_id: tenant.map(TenantId::uuid),
                    wrapped: wrapped.clone(),
                    created_at: Stamp::from(tx.now()),
                };
                Box::pin(async move {
                    let (owner, made) = (row.owner.clone(), row.wrapped.clone());
                    let first = OnConflict::column(data_keys::Column::Owner).do_nothing().to_owned();
                    let insert = data_keys::Entity::insert(row.into_active_model()).on_conflict(first);
                    if insert.exec_without_returning(tx.conn()).await? == 1 {
                        return Ok(made);
                    }
                    let row = data_keys::Entity::find_by_id(owner).one(tx.conn()).await?;
                    Ok(row.map_or(made, |row| row.wrapped))
                })
            })
            .await
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

fn cipher(key: &[u8; KEY]) -> Aes256Gcm {
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key))
}

fn seal(cipher: &Aes256Gcm, purpose: &str, secret: &[u8]) -> Result<String> {
    let nonce: [u8; NONCE] = rand::random();
    let payload = Payload { msg: secret, aad: purpose.as_bytes() };
    let sealed = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| Error::internal("sealing failed"))?;
    Ok(format!("{VERSION}{}", STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat())))
}

fn open(cipher: &Aes256Gcm, purpose: &str, sealed: &str) -> Result<Secret<Vec<u8>>> {
    let failed = || Error::internal("a sealed secret does not open: is TENANTRY_KEK the key that sealed it?");
    let bytes = sealed.strip_prefix(VERSION).and_then(|text| STANDARD_NO_PAD.decode(text).ok()).ok_or_else(failed)?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or_else(failed)?;
    let payload = Payload { msg: sealed, aad: purpose.as_bytes() };
    cipher.decrypt(&Nonce::from(*nonce), payload).map(Secret::new).map_err(|_| failed())
}

fn missing() -> Error {
    let message = "this needs a key that seals secrets, and none is configured: set TENANTRY_KEK";
    Error::precondition(Reason::KekMissing, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_purpose_alone() {
        let kek = Kek::from_base64(&Kek::generate()).unwrap();
        let sealed = seal(&kek.0, "totp", b"secret").unwrap();
        assert_eq!(open(&kek.0, "totp", &sealed).unwrap().expose(), b"secret");
        assert!(open(&kek.0, "other", &sealed).is_err());
        let other = Kek::from_base64(&Kek::generate()).unwrap();
        assert!(open(&other.0, "totp", &sealed).is_err());
        assert_ne!(seal(&kek.0, "totp", b"secret").unwrap(), sealed, "a nonce is used once");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "c2hvcnQ=", "not base64 at all, but long enough to be a key", &"A".repeat(44)] {
            assert!(Kek::from_base64(&Secret::new(text.to_owned())).is_err(), "{text}");
        }
        assert!(Kek::from_base64(&Secret::new(format!("{}=", "A".repeat(43)))).is_ok());
    }
}
