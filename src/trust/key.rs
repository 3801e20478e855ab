//! Private keys: made, sealed and opened.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, SigningKey};

use crate::base::{Error, Result, Secret};

/// A key that signs artifacts.
#[derive(Clone)]
pub struct ArtifactKey {
    id: String,
    key: SigningKey,
}

impl ArtifactKey {
    pub fn generate() -> Self {
        Self::of(SigningKey::from_bytes(&rand::random()))
    }

    /// A key that was stored.
    pub fn from_secret(secret: &Secret<Vec<u8>>) -> Result<Self> {
        let seed = secret.expose().as_slice().try_into().map_err(Error::internal)?;
        Ok(Self::of(SigningKey::from_bytes(seed)))
    }

    fn of(key: SigningKey) -> Self {
        Self { id: bundle_verify::key_id(&spki(&key)), key }
    }

    /// What is sealed.
    pub fn secret(&self) -> Secret<Vec<u8>> {
        Secret::new(self.key.to_bytes().to_vec())
    }

    /// The first 16 bytes of the SHA-256 of the public key, in hex.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// SubjectPublicKeyInfo: DER, in base64.
    pub fn public_key(&self) -> String {
        STANDARD.encode(spki(&self.key))
    }

    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for ArtifactKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ArtifactKey").field(&self.id).finish()
    }
}

fn spki(key: &SigningKey) -> Vec<u8> {
    bundle_verify::spki(key.verifying_key().as_bytes())
}
