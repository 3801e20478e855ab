//! Key-encryption keys: a key of this process, or one that another system has and does not give away.

use std::sync::{Arc, Mutex, PoisonError};

use aes_gcm::Aes256Gcm;
use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

use super::sealed::{self, KEY};
use crate::base::{Error, Kind, Result, Secret, digest::sha256_hex, error::Reason};

/// Length of an id of a key of this process, in hex digits.
const ID: usize = 16;
/// Prefix of the digest that an id is taken from.
const ID_LABEL: &[u8] = b"tenantry key-encryption key id 1\n";
/// The purpose of a proof.
const PROOF: &str = "tenantry key-encryption key";

/// A key of another system, which seals and opens data keys there.
#[async_trait]
pub trait RemoteKek: Send + Sync + 'static {
    /// Seals a data key for a purpose, under the newest version of the key. The result is `VERSION:TEXT`, where the last colon ends
    /// the version.
    async fn wrap(&self, purpose: &str, key: &[u8]) -> Result<String>;

    /// Opens what [`wrap`](Self::wrap) returned. `None` if this key did not seal it, or not for this purpose. It is an error if that
    /// is not known, because the system cannot be reached or refuses to say.
    async fn unwrap(&self, purpose: &str, wrapped: &str) -> Result<Option<Secret<Vec<u8>>>>;
}

/// A key-encryption key.
#[derive(Clone)]
pub struct Kek {
    id: String,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Here(Box<Aes256Gcm>),
    Elsewhere {
        key: Arc<dyn RemoteKek>,
        /// The proof that the key has sealed or opened last.
        proven: Arc<Mutex<Option<String>>>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key-encryption key must be 32 bytes in base64")]
pub struct InvalidKek;

impl Kek {
    /// Parses a key: 32 bytes in base64, with or without padding.
    pub fn from_base64(text: &Secret<String>) -> Result<Self, InvalidKek> {
        let bytes = STANDARD_NO_PAD.decode(text.expose().trim().trim_end_matches('=')).map_err(|_| InvalidKek)?;
        let key: [u8; KEY] = bytes.try_into().map_err(|_| InvalidKek)?;
        let mut id = sha256_hex([ID_LABEL, &key]);
        id.truncate(ID);
        Ok(Self { id, place: Place::Here(Box::new(sealed::cipher(&key))) })
    }

    /// A key of another system. The id names the system and the key, and is none that a key of this process can have.
    pub fn remote(id: String, key: Arc<dyn RemoteKek>) -> Self {
        Self { id, place: Place::Elsewhere { key, proven: Arc::default() } }
    }

    /// Generates a key in the format of [`from_base64`](Self::from_base64).
    pub fn generate() -> Secret<String> {
        Secret::new(STANDARD_NO_PAD.encode(rand::random::<[u8; KEY]>()))
    }

    /// The id of the key: the beginning of its digest, in hex, or the name of a key of another system. Not secret, because
    /// it reveals nothing about a random key.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn is_remote(&self) -> bool {
        matches!(self.place, Place::Elsewhere { .. })
    }

    /// Seals a data key. A key of another system cannot be used inside a write.
    pub(super) async fn wrap(&self, purpose: &str, key: &[u8]) -> Result<String> {
        match &self.place {
            Place::Here(cipher) => sealed::seal(cipher, purpose, key),
            Place::Elsewhere { key: remote, .. } => remote.wrap(purpose, key).await,
        }
    }

    /// Opens a data key; `None` if this key did not seal it, or not for this purpose. As [`wrap`](Self::wrap), not inside a write.
    pub(super) async fn unwrap(&self, purpose: &str, wrapped: &str) -> Result<Option<Secret<Vec<u8>>>> {
        match &self.place {
            Place::Here(cipher) => Ok(sealed::open(cipher, purpose, wrapped).ok()),
            Place::Elsewhere { key, .. } => key.unwrap(purpose, wrapped).await,
        }
    }

    /// What proves later that a key of another system is still the same one; `None` for a key of this process, which its id
    /// identifies.
    pub(super) async fn proof(&self) -> Result<Option<String>> {
        let Place::Elsewhere { key, proven } = &self.place else { return Ok(None) };
        let proof = key.wrap(PROOF, &rand::random::<[u8; KEY]>()).await?;
        *proven.lock().unwrap_or_else(PoisonError::into_inner) = Some(proof.clone());
        Ok(Some(proof))
    }

    /// Fails unless the key is the one of a proof. A proof that was opened before is not opened again.
    pub(super) async fn prove(&self, proof: Option<&str>) -> Result<()> {
        let Place::Elsewhere { key, proven } = &self.place else { return Ok(()) };
        let proof = proof.ok_or_else(|| Error::internal("a key of another system has no proof"))?;
        let lock = || proven.lock().unwrap_or_else(PoisonError::into_inner);
        if lock().as_deref() == Some(proof) {
            return Ok(());
        }
        key.unwrap(PROOF, proof).await?.ok_or_else(|| self.other())?;
        *lock() = Some(proof.to_owned());
        Ok(())
    }

    /// Fails if the key cannot be used, such as a key of another system whose rights are missing.
    pub(super) async fn check(&self) -> Result<()> {
        let Some(proof) = self.proof().await? else { return Ok(()) };
        self.unwrap(PROOF, &proof).await?.map(drop).ok_or_else(|| self.other())
    }

    fn other(&self) -> Error {
        let message =
            format!("the key-encryption key {} is not the one that seals the secrets of this database", self.id);
        Error::new(Kind::Unavailable, Reason::KekMissing, message)
    }
}

/// The version of a key of another system that sealed a text, with the colon after it.
pub(super) fn version(wrapped: &str) -> &str {
    wrapped.rfind(':').map_or("", |colon| &wrapped[..=colon])
}

impl std::fmt::Debug for Kek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kek({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_keys_are_refused() {
        for text in ["", "c2hvcnQ=", "not base64 at all, but long enough to be a key", &"A".repeat(44)] {
            assert!(Kek::from_base64(&Secret::new(text.to_owned())).is_err(), "{text}");
        }
        assert!(Kek::from_base64(&Secret::new(format!("{}=", "A".repeat(43)))).is_ok());
    }

    #[test]
    fn an_id_identifies_a_key_and_reveals_nothing_of_it() {
        let key = Kek::generate();
        let (kek, same) = (Kek::from_base64(&key).unwrap(), Kek::from_base64(&key).unwrap());
        let other = Kek::from_base64(&Kek::generate()).unwrap();
        assert!(kek.id() == same.id() && kek.id() != other.id() && kek.id().len() == ID);
        assert!(!format!("{kek:?}").contains(key.expose().as_str()));
    }

    #[test]
    fn the_version_of_a_remote_key_ends_with_the_last_colon() {
        assert_eq!((version("vault:v12:AbC+/="), version("none")), ("vault:v12:", ""));
    }

    #[tokio::test]
    async fn a_key_opens_what_it_sealed_for_the_purpose() {
        let [kek, other] = [(); 2].map(|()| Kek::from_base64(&Kek::generate()).unwrap());
        let wrapped = kek.wrap("acme", b"data key").await.unwrap();
        assert_eq!(kek.unwrap("acme", &wrapped).await.unwrap().unwrap().expose(), b"data key");
        assert!(kek.unwrap("beta", &wrapped).await.unwrap().is_none());
        assert!(other.unwrap("acme", &wrapped).await.unwrap().is_none());
        assert!(kek.proof().await.unwrap().is_none() && kek.prove(None).await.is_ok());
    }
}
