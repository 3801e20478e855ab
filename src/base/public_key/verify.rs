//! Signatures of JSON Web Signatures (RFC 7518, RFC 8037) and of X.509 (RFC 5758, RFC 4055, RFC 8410).
//!
//! ring verifies, which TLS uses already, except for Ed25519: only ed25519-dalek, which signs our tokens, refuses keys
//! and signatures of small order.

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use super::{KeyAlgorithm, PublicKey};

/// The algorithms of signatures in X.509, by the content of their object identifiers.
mod oid {
    pub const ECDSA_SHA256: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03\x02";
    pub const ECDSA_SHA384: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03\x03";
    pub const ED25519: &[u8] = b"\x2b\x65\x70";
    pub const RSA_SHA256: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
    pub const RSA_SHA384: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c";
    pub const RSA_SHA512: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d";
}

impl PublicKey {
    /// Whether a signature of JWS is valid. The algorithm, from the header, must be one for this type of key.
    pub fn verifies_jws(&self, algorithm: &str, message: &[u8], signed: &[u8]) -> bool {
        let with: &'static dyn VerificationAlgorithm = match (self.algorithm, algorithm) {
            (KeyAlgorithm::Ed25519, "EdDSA" | "Ed25519") => return self.verifies_ed25519(message, signed),
            (KeyAlgorithm::P256, "ES256") => &signature::ECDSA_P256_SHA256_FIXED,
            (KeyAlgorithm::P384, "ES384") => &signature::ECDSA_P384_SHA384_FIXED,
            (KeyAlgorithm::Rsa, "RS256") => &signature::RSA_PKCS1_2048_8192_SHA256,
            (KeyAlgorithm::Rsa, "RS384") => &signature::RSA_PKCS1_2048_8192_SHA384,
            (KeyAlgorithm::Rsa, "RS512") => &signature::RSA_PKCS1_2048_8192_SHA512,
            (KeyAlgorithm::Rsa, "PS256") => &signature::RSA_PSS_2048_8192_SHA256,
            (KeyAlgorithm::Rsa, "PS384") => &signature::RSA_PSS_2048_8192_SHA384,
            (KeyAlgorithm::Rsa, "PS512") => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return false,
        };
        UnparsedPublicKey::new(with, &self.material).verify(message, signed).is_ok()
    }

    /// Whether a signature of a certificate or of a signing request is valid; `algorithm` is the content of its object
    /// identifier. A curve may be used with either hash, because OpenSSL uses SHA-256 also with P-384.
    pub fn verifies_x509(&self, algorithm: &[u8], message: &[u8], signed: &[u8]) -> bool {
        let with: &'static dyn VerificationAlgorithm = match (self.algorithm, algorithm) {
            (KeyAlgorithm::Ed25519, oid::ED25519) => return self.verifies_ed25519(message, signed),
            (KeyAlgorithm::P256, oid::ECDSA_SHA256) => &signature::ECDSA_P256_SHA256_ASN1,
            (KeyAlgorithm::P256, oid::ECDSA_SHA384) => &signature::ECDSA_P256_SHA384_ASN1,
            (KeyAlgorithm::P384, oid::ECDSA_SHA256) => &signature::ECDSA_P384_SHA256_ASN1,
            (KeyAlgorithm::P384, oid::ECDSA_SHA384) => &signature::ECDSA_P384_SHA384_ASN1,
            (KeyAlgorithm::Rsa, oid::RSA_SHA256) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (KeyAlgorithm::Rsa, oid::RSA_SHA384) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (KeyAlgorithm::Rsa, oid::RSA_SHA512) => &signature::RSA_PKCS1_2048_8192_SHA512,
            _ => return false,
        };
        UnparsedPublicKey::new(with, &self.material).verify(message, signed).is_ok()
    }

    fn verifies_ed25519(&self, message: &[u8], signed: &[u8]) -> bool {
        let key = self.material.as_slice().try_into().ok();
        let key = key.and_then(|key| ed25519_dalek::VerifyingKey::from_bytes(key).ok());
        let signature = ed25519_dalek::Signature::from_slice(signed).ok();
        key.zip(signature).is_some_and(|(key, signature)| key.verify_strict(message, &signature).is_ok())
    }
}
