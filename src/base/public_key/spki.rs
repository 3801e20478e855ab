//! Public keys as `SubjectPublicKeyInfo` (RFC 5280, RFC 5480, RFC 8410), and their thumbprints.
//!
//! The keys on curves have only one encoding each, which is compared as bytes; those of RSA are encoded again and
//! compared. So a key cannot be presented as two different ones.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    KeyAlgorithm, KeyProblem, PublicKey,
    der::{self, BIT_STRING, Reader, SEQUENCE},
    sha256_base64url,
};

/// What is before an uncompressed point of P-256: the lengths, `id-ecPublicKey`, the curve.
const P256: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
const P384: &[u8] = b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00";
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// `rsaEncryption` with its parameter, NULL.
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
/// The first byte of an uncompressed point (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;
/// Bits of RSA keys.
const MIN_RSA_BITS: usize = 3072;
const MAX_RSA_BITS: usize = 8192;
/// The least public exponent, 65537.
const MIN_EXPONENT: &[u8] = &[1, 0, 1];
/// The longest public exponent that the library verifies with, in bytes.
const MAX_EXPONENT_LEN: usize = 4;

impl PublicKey {
    /// Reads the DER of a `SubjectPublicKeyInfo`.
    pub fn from_spki(spki: &[u8]) -> Result<Self, KeyProblem> {
        if let Some(point) = spki.strip_prefix(P256) {
            return Self::from_point(KeyAlgorithm::P256, point);
        }
        if let Some(point) = spki.strip_prefix(P384) {
            return Self::from_point(KeyAlgorithm::P384, point);
        }
        if let Some(key) = spki.strip_prefix(ED25519) {
            return Self::ed25519(key);
        }
        let mut reader = Reader(spki);
        let parts = Reader(reader.take(SEQUENCE).filter(|_| reader.is_done()).ok_or(KeyProblem::Malformed)?);
        let Some(bits) = parts.0.strip_prefix(RSA) else { return Err(KeyProblem::Type) };
        let key = rsa_of(bits).ok_or(KeyProblem::Malformed)??;
        if key.spki == spki { Ok(key) } else { Err(KeyProblem::Malformed) }
    }

    fn from_point(algorithm: KeyAlgorithm, point: &[u8]) -> Result<Self, KeyProblem> {
        let (first, coordinates) = point.split_first().ok_or(KeyProblem::Malformed)?;
        if *first != UNCOMPRESSED || !coordinates.len().is_multiple_of(2) {
            return Err(KeyProblem::Malformed);
        }
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        Self::ec(algorithm, x, y)
    }

    /// A key on a curve of NIST, by its coordinates. A point that is not on the curve verifies no signature.
    pub(super) fn ec(algorithm: KeyAlgorithm, x: &[u8], y: &[u8]) -> Result<Self, KeyProblem> {
        let (prefix, length) = if algorithm == KeyAlgorithm::P384 { (P384, 48) } else { (P256, 32) };
        if x.len() != length || y.len() != length {
            return Err(KeyProblem::Malformed);
        }
        let material = [&[UNCOMPRESSED][..], x, y].concat();
        let [shown_x, shown_y] = [x, y].map(|number| URL_SAFE_NO_PAD.encode(number));
        let canonical = format!(r#"{{"crv":"{}","kty":"EC","x":"{shown_x}","y":"{shown_y}"}}"#, algorithm.as_str());
        Ok(Self::of(algorithm, [prefix, &material].concat(), material, &canonical))
    }

    /// An Ed25519 key. Keys of small order, for which one signature is valid for many messages, are refused.
    pub(super) fn ed25519(key: &[u8]) -> Result<Self, KeyProblem> {
        let bytes = key.try_into().map_err(|_| KeyProblem::Malformed)?;
        let point = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyProblem::Malformed)?;
        if point.is_weak() {
            return Err(KeyProblem::Malformed);
        }
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(key));
        Ok(Self::of(KeyAlgorithm::Ed25519, [ED25519, key].concat(), key.to_vec(), &canonical))
    }

    /// An RSA key, by its numbers without leading zeros.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyProblem> {
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        if [modulus, exponent].iter().any(|number| number.first().is_none_or(|first| *first == 0)) || !is_odd(modulus) {
            return Err(KeyProblem::Malformed);
        }
        let leading = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
        let bits = modulus.len().saturating_mul(8).saturating_sub(leading);
        let is_great = (exponent.len(), exponent) >= (MIN_EXPONENT.len(), MIN_EXPONENT);
        let fits = is_great && exponent.len() <= MAX_EXPONENT_LEN && is_odd(exponent);
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) || !fits {
            return Err(KeyProblem::Weak);
        }
        let material = der::value(SEQUENCE, &[der::unsigned(modulus), der::unsigned(exponent)].concat());
        let bit_string = der::value(BIT_STRING, &[&[0][..], &material].concat());
        let spki = der::value(SEQUENCE, &[RSA, &bit_string].concat());
        let [n, e] = [modulus, exponent].map(|number| URL_SAFE_NO_PAD.encode(number));
        Ok(Self::of(KeyAlgorithm::Rsa, spki, material, &format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)))
    }

    /// `canonical` has the required members of the JWK in lexicographic order, without white space (RFC 7638, 3.2).
    fn of(algorithm: KeyAlgorithm, spki: Vec<u8>, material: Vec<u8>, canonical: &str) -> Self {
        Self { algorithm, material, spki, thumbprint: sha256_base64url(canonical.as_bytes()) }
    }
}

/// The RSA key in a bit string; `None` if it is malformed.
fn rsa_of(bit_string: &[u8]) -> Option<Result<PublicKey, KeyProblem>> {
    let mut outer = Reader(bit_string);
    let mut inner = Reader(outer.take(BIT_STRING)?.strip_prefix(&[0])?);
    let mut numbers = Reader(inner.take(SEQUENCE)?);
    let (modulus, exponent) = (numbers.unsigned()?, numbers.unsigned()?);
    (outer.is_done() && inner.is_done() && numbers.is_done()).then(|| PublicKey::rsa(modulus, exponent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::public_key::testing::TestKey;

    fn rsa(bits: usize, exponent: &[u8]) -> Result<PublicKey, KeyProblem> {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] >>= (8 - bits % 8) % 8;
        PublicKey::rsa(&modulus, exponent)
    }

    #[test]
    fn every_key_is_read_from_its_own_encoding() {
        for key in [TestKey::p256(), TestKey::p384(), TestKey::ed25519()].map(|key| key.public()) {
            assert_eq!(PublicKey::from_spki(key.spki()), Ok(key));
        }
        let key = rsa(3072, MIN_EXPONENT).unwrap();
        assert_eq!(PublicKey::from_spki(key.spki()), Ok(key));
    }

    #[test]
    fn weak_keys_are_refused() {
        for (bits, exponent) in [(2048, MIN_EXPONENT), (3071, MIN_EXPONENT), (8200, MIN_EXPONENT), (3072, &[3])] {
            assert_eq!(rsa(bits, exponent), Err(KeyProblem::Weak), "{bits} bits, {exponent:?}");
        }
        for exponent in [&[0xff, 0xff][..], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
            assert_eq!(rsa(3072, exponent), Err(KeyProblem::Weak), "{exponent:?}");
        }
        assert!(rsa(3072, &[1, 0, 3]).is_ok() && rsa(8192, MIN_EXPONENT).is_ok());
        // The neutral element, and a point of order two.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(PublicKey::ed25519(&neutral), Err(KeyProblem::Malformed));
        let mut of_order_two = [0xff; 32];
        (of_order_two[0], of_order_two[31]) = (0xec, 0x7f);
        assert_eq!(PublicKey::ed25519(&of_order_two), Err(KeyProblem::Malformed));
    }

    #[test]
    fn other_types_and_encodings_are_refused() {
        let ec = TestKey::p256().public();
        let compressed = [P256, &[2], &ec.material[1..33]].concat();
        let cut = &ec.spki()[..ec.spki().len() - 1];
        for bytes in [&compressed[..], cut, b"", b"\x30\x00x"] {
            assert_eq!(PublicKey::from_spki(bytes), Err(KeyProblem::Malformed), "{bytes:x?}");
        }
        // secp256k1.
        let other = b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x0a";
        assert_eq!(PublicKey::from_spki(&der::value(SEQUENCE, other)), Err(KeyProblem::Type));
        // A modulus with a second leading zero is the same number.
        let key = rsa(3072, MIN_EXPONENT).unwrap();
        let mut modulus = vec![0, 0];
        modulus.extend(vec![0xff; 384]);
        let numbers = [der::value(2, &modulus), der::unsigned(MIN_EXPONENT)].concat();
        let bits = der::value(BIT_STRING, &[&[0][..], &der::value(SEQUENCE, &numbers)].concat());
        let again = der::value(SEQUENCE, &[RSA, &bits].concat());
        assert_eq!(PublicKey::from_spki(&again), Err(KeyProblem::Malformed));
        assert_eq!(PublicKey::from_spki(&[key.spki(), b"x"].concat()), Err(KeyProblem::Malformed));
    }

    #[test]
    fn thumbprints_match_the_standards() {
        let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        // RFC 8037, appendix A.3.
        let key = PublicKey::ed25519(&decoded("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")).unwrap();
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        // RFC 9449, the key of section 4.1 and the thumbprint of section 6.1.
        let x = decoded("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs");
        let y = decoded("9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA");
        let key = PublicKey::ec(KeyAlgorithm::P256, &x, &y).unwrap();
        assert_eq!(key.thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }
}
