//! Public keys of callers, and the signatures that they verify: what signing requests, key proofs, DPoP proofs and
//! certificates share.

mod der;
mod jwk;
mod jws;
mod spki;
#[cfg(test)]
pub mod testing;
mod verify;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

pub use self::{jwk::Jwk, jws::Compact};
use super::error::{Error, Reason};

/// A public key of an accepted type and size. Two keys are equal if they are the same key, however they were encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    /// What verifies signatures: a point (uncompressed, or that of Ed25519), or the DER of an `RSAPublicKey`.
    material: Vec<u8>,
    /// DER of the `SubjectPublicKeyInfo` (RFC 5280).
    spki: Vec<u8>,
    thumbprint: String,
}

/// The types of keys, each with its curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    P256,
    P384,
    Ed25519,
    /// RSA with 3072 to 8192 bits.
    Rsa,
}

impl KeyAlgorithm {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::Ed25519 => "Ed25519",
            Self::Rsa => "RSA",
        }
    }
}

/// Why a key is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    #[error("the key must be EC with the curve P-256 or P-384, Ed25519, or RSA")]
    Type,
    #[error("an RSA key must have 3072 to 8192 bits, and a public exponent of at least 65537")]
    Weak,
    #[error("the public key is malformed")]
    Malformed,
    #[error("the key must be public: remove its private members")]
    Private,
}

impl KeyProblem {
    /// The error of a request whose field contains the key.
    pub fn of_field(self, field: &str) -> Error {
        Error::invalid(Reason::PublicKeyRefused, field, self.to_string())
    }
}

impl PublicKey {
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// DER of the `SubjectPublicKeyInfo`; every key has exactly one.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The thumbprint of RFC 7638: SHA-256 in base64url.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }
}

/// SHA-256 in base64url without padding, as thumbprints and the hashes of tokens in proofs are written.
pub fn sha256_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(bytes))
}
