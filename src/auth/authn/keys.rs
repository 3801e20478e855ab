//! Signing keys of our tokens: Ed25519 in PKCS#8 PEM files.
//!
//! One key signs; an optional previous one still verifies, so that keys can be rotated without refusing valid
//! tokens. A key's `kid` is its RFC 7638 thumbprint, as RFC 8037 defines it for this curve.

use std::{fmt, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding},
};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::jws;
use crate::base::{
    private_file,
    setting_file::{self, DEV_MARK},
};

/// The keys in use. `Debug` output contains no key material.
pub struct Keys {
    signing: Key,
    previous: Option<Key>,
}

struct Key {
    kid: String,
    x: String,
    signing: SigningKey,
    verifying: jws::Key,
    /// The derived key for CSRF tokens.
    csrf: Hmac<Sha256>,
}

/// The label of the derivation, so that no other derivation yields the same key.
const CSRF_LABEL: &[u8] = b"tenantry csrf token 1";

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("key file {path} cannot be read or written")]
    File { path: String, source: std::io::Error },
    /// The error does not reveal the contents.
    #[error("key file {path} holds no Ed25519 private key in PKCS#8 PEM")]
    Format { path: String },
    #[error("key file {path} was made by `tenantry dev` and is for development only")]
    Development { path: String },
    #[error("no key file is configured")]
    Missing,
    #[error("key file {path} is readable by other users: chmod 600 it")]
    Exposed { path: String },
}

impl Keys {
    /// Loads the signing key and the previous key, if configured.
    pub fn load(signing: &Path, previous: Option<&Path>) -> Result<Self, KeyError> {
        Ok(Self { signing: read(signing)?, previous: previous.map(read).transpose()? })
    }

    /// Loads the signing key, or creates a development key with mode 0600 if the file does not exist. Of concurrent
    /// processes one creates the key and all load it.
    pub fn load_or_create(signing: &Path, previous: Option<&Path>) -> Result<Self, KeyError> {
        if !signing.exists() {
            create(signing)?;
        }
        Self::load(signing, previous)
    }

    /// As [`Keys::load`], but refuses keys created by `dev` and files that users other than the owner can read.
    pub fn load_strict(signing: &Path, previous: Option<&Path>) -> Result<Self, KeyError> {
        std::iter::once(signing).chain(previous).try_for_each(check_strict)?;
        Self::load(signing, previous)
    }

    /// Keys that exist only in memory.
    pub fn ephemeral() -> Self {
        Self { signing: Key::of(generate()), previous: None }
    }

    /// The keys after a rotation: `next` signs, the current signing key still verifies, the previous one does not.
    pub fn rotated(self, next: Keys) -> Self {
        Self { signing: next.signing, previous: Some(self.signing) }
    }

    pub fn kid(&self) -> &str {
        &self.signing.kid
    }

    pub(in crate::auth) fn signing(&self) -> &SigningKey {
        &self.signing.signing
    }

    pub(in crate::auth) fn verifying(&self, kid: &str) -> Option<&jws::Key> {
        self.all().find(|key| key.kid == kid).map(|key| &key.verifying)
    }

    /// HMACs for CSRF tokens, keyed for the signing key and then for the previous one.
    pub(in crate::auth) fn csrf(&self) -> impl Iterator<Item = Hmac<Sha256>> {
        self.all().map(|key| key.csrf.clone())
    }

    /// The public keys as a JSON Web Key Set (RFC 7517).
    pub fn jwks(&self) -> Value {
        let keys: Vec<Value> = self
            .all()
            .map(
                |key| json!({"kty": "OKP", "crv": "Ed25519", "x": key.x, "kid": key.kid, "alg": "EdDSA", "use": "sig"}),
            )
            .collect();
        json!({ "keys": keys })
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.signing).chain(&self.previous)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all().map(|key| &key.kid)).finish()
    }
}

impl Key {
    fn of(key: SigningKey) -> Self {
        let x = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
        Self {
            kid: thumbprint(&x),
            x,
            csrf: derived(&key, CSRF_LABEL),
            verifying: jws::Key::EdDsa(key.verifying_key()),
            signing: key,
        }
    }
}

/// An HMAC under a key derived from the private key for one purpose. The derived key reveals nothing about the
/// private one.
fn derived(key: &SigningKey, label: &[u8]) -> Hmac<Sha256> {
    let derived = keyed(key.as_bytes()).chain_update(label).finalize().into_bytes();
    keyed(&derived.into())
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // HMAC pads a key shorter than the block with zeros (RFC 2104, 2).
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    Hmac::new(&block.into())
}

/// RFC 7638: SHA-256 over the required members in lexicographic order, without white space.
fn thumbprint(x: &str) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(canonical.as_bytes()))
}

fn generate() -> SigningKey {
    SigningKey::from_bytes(&rand::random())
}

fn read(path: &Path) -> Result<Key, KeyError> {
    let pem = setting_file::read_text(path).map_err(|source| file_error(path, source))?;
    let key = SigningKey::from_pkcs8_pem(&pem).map_err(|_| KeyError::Format { path: setting_file::shown(path) })?;
    Ok(Key::of(key))
}

fn check_strict(path: &Path) -> Result<(), KeyError> {
    let named = || setting_file::shown(path);
    if private_file::is_exposed(path).map_err(|source| file_error(path, source))? {
        return Err(KeyError::Exposed { path: named() });
    }
    let pem = setting_file::read_text(path).map_err(|source| file_error(path, source))?;
    if pem.contains(DEV_MARK) { Err(KeyError::Development { path: named() }) } else { Ok(()) }
}

fn create(path: &Path) -> Result<(), KeyError> {
    let pem =
        generate().to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Format { path: setting_file::shown(path) })?;
    let made = private_file::create(path, format!("{DEV_MARK}\n{}", *pem).as_bytes());
    made.map(drop).map_err(|source| file_error(path, source))
}

fn file_error(path: &Path, source: std::io::Error) -> KeyError {
    KeyError::File { path: setting_file::shown(path), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_matches_rfc_8037() {
        // RFC 8037, appendix A.3.
        assert_eq!(
            thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn a_created_key_is_private_and_can_be_loaded_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwt.pem");
        let made = Keys::load_or_create(&path, None).unwrap();
        let read = Keys::load_or_create(&path, None).unwrap();
        assert_eq!(made.kid(), read.kid());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[cfg(unix)]
    #[test]
    fn production_refuses_development_keys_and_readable_files() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (made, own) = (dir.path().join("dev.pem"), dir.path().join("own.pem"));
        Keys::load_or_create(&made, None).unwrap();
        assert!(matches!(Keys::load_strict(&made, None), Err(KeyError::Development { .. })));
        private_file::write(&own, generate().to_pkcs8_pem(LineEnding::LF).unwrap().as_bytes()).unwrap();
        assert!(Keys::load_strict(&own, None).is_ok());
        assert!(matches!(Keys::load_strict(&own, Some(&made)), Err(KeyError::Development { .. })));
        for mode in [0o640, 0o604] {
            std::fs::set_permissions(&own, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(Keys::load_strict(&own, None), Err(KeyError::Exposed { .. })), "{mode:o}");
        }
    }

    #[test]
    fn an_invalid_key_file_is_refused_without_revealing_its_contents() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwt.pem");
        std::fs::write(&path, "hunter2").unwrap();
        let error = Keys::load(&path, None).unwrap_err().to_string();
        assert!(error.contains("no Ed25519 private key") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn the_key_set_has_both_public_keys_and_no_private_key() {
        let keys = Keys::ephemeral().rotated(Keys::ephemeral());
        let set = keys.jwks();
        assert_eq!(set["keys"].as_array().unwrap().len(), 2);
        assert_eq!(set["keys"][0]["kid"], keys.kid());
        assert!(set["keys"][0].get("d").is_none());
    }
}
