//! The format of sealed values: AES-256-GCM (NIST SP 800-38D) with random nonces. The purpose is authenticated
//! as associated data, so that a sealed secret cannot be moved to another place.
//!
//! `v1:` and the base64 of nonce and ciphertext is sealed under the owner's first data key, or under a
//! key-encryption key; `v2:N:` and the same, under the owner's data key of version N.

use aes_gcm::{
    Aes256Gcm, Key, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

use crate::base::{Error, Result, Secret};

/// In bytes.
pub(in crate::store) const KEY: usize = 32;
/// In bytes.
const NONCE: usize = 12;
/// The prefixes of texts sealed under a first key, and under a later one.
const FIRST: &str = "v1:";
const LATER: &str = "v2:";

pub(in crate::store) fn cipher(key: &[u8; KEY]) -> Aes256Gcm {
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key))
}

/// Seals a secret under an owner's first key.
pub(in crate::store) fn seal(cipher: &Aes256Gcm, purpose: &str, secret: &[u8]) -> Result<String> {
    seal_under(1, cipher, purpose, secret)
}

/// Seals a secret under the key of a version.
pub(in crate::store) fn seal_under(version: i64, cipher: &Aes256Gcm, purpose: &str, secret: &[u8]) -> Result<String> {
    let nonce: [u8; NONCE] = rand::random();
    let payload = Payload { msg: secret, aad: purpose.as_bytes() };
    let sealed = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| Error::internal("sealing failed"))?;
    let text = STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat());
    Ok(if version == 1 { format!("{FIRST}{text}") } else { format!("{LATER}{version}:{text}") })
}

/// The version of the data key that a text is sealed under; `None` if it is not a sealed text.
pub(in crate::store) fn version(sealed: &str) -> Option<i64> {
    if sealed.starts_with(FIRST) {
        return Some(1);
    }
    let (version, _) = sealed.strip_prefix(LATER)?.split_once(':')?;
    version.parse().ok().filter(|version| *version > 1)
}

/// Opens a text with the key of its version.
pub(in crate::store) fn open(cipher: &Aes256Gcm, purpose: &str, sealed: &str) -> Result<Secret<Vec<u8>>> {
    let failed = || Error::internal("cannot open a sealed secret: it was modified or sealed under another key");
    let text = version(sealed).and_then(|_| sealed.rsplit_once(':')).map(|(_, text)| text).ok_or_else(failed)?;
    let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| failed())?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or_else(failed)?;
    let payload = Payload { msg: sealed, aad: purpose.as_bytes() };
    cipher.decrypt(&Nonce::from(*nonce), payload).map(Secret::new).map_err(|_| failed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_for_its_purpose() {
        let key = cipher(&rand::random());
        for version in [1, 2, 40] {
            let sealed = seal_under(version, &key, "totp", b"secret").unwrap();
            assert_eq!(super::version(&sealed), Some(version));
            assert_eq!(open(&key, "totp", &sealed).unwrap().expose(), b"secret");
            assert!(open(&key, "other", &sealed).is_err());
            assert!(open(&cipher(&rand::random()), "totp", &sealed).is_err());
            assert_ne!(seal_under(version, &key, "totp", b"secret").unwrap(), sealed, "a nonce is used once");
        }
        for text in ["", "v1", "v2:", "v2:1:AA", "v2:-1:AA", "v2:x:AA", "v3:AA", "AA", "v1:AA", "v1:!"] {
            assert!(open(&key, "totp", text).is_err(), "{text}");
        }
    }
}
