//! Certificate signing requests (PKCS#10, RFC 2986) of devices and gateways. Only the key is used: the requested
//! subject, names and extensions are ignored, because the server decides them (zero-trust contract, section 5.1).

use base64::{Engine, engine::general_purpose::STANDARD};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

use crate::base::{Error, Result, error::Reason, public_key::PublicKey};

/// The field of the request.
const FIELD: &str = "csr_pem";
/// Maximum length, in bytes.
const MAX_LEN: usize = 16 * 1024;
/// The labels of RFC 7468 and of older programs.
const LABELS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];

/// Reads a signing request in PEM, and returns its key, which has signed it.
pub fn read(csr_pem: &str) -> Result<PublicKey> {
    if csr_pem.len() > MAX_LEN {
        return Err(invalid("the signing request must have at most 16384 bytes"));
    }
    let der = der_of(csr_pem.trim()).ok_or_else(|| {
        invalid("the signing request must be one PEM block that begins with -----BEGIN CERTIFICATE REQUEST-----")
    })?;
    read_der(&der)
}

/// Reads a signing request in DER.
pub fn read_der(der: &[u8]) -> Result<PublicKey> {
    let malformed = || invalid("the signing request is not a valid PKCS#10 request");
    let (rest, csr) = X509CertificationRequest::from_der(der).map_err(|_| malformed())?;
    if !rest.is_empty() {
        return Err(invalid("the signing request is followed by other data"));
    }
    let info = &csr.certification_request_info;
    let key = PublicKey::from_spki(info.subject_pki.raw).map_err(|problem| problem.of_field(FIELD))?;
    let (algorithm, signature) = (csr.signature_algorithm.algorithm.as_bytes(), &csr.signature_value);
    if signature.unused_bits != 0 || !key.verifies_x509(algorithm, info.raw, &signature.data) {
        return Err(invalid("the signing request must be signed by its own key, with SHA-256 or a longer hash"));
    }
    Ok(key)
}

/// The content of the only PEM block.
fn der_of(pem: &str) -> Option<Vec<u8>> {
    let body = LABELS.iter().find_map(|label| {
        let body = pem.strip_prefix(&format!("-----BEGIN {label}-----"))?;
        body.strip_suffix(&format!("-----END {label}-----"))
    })?;
    let text: Vec<u8> = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(text).ok()
}

fn invalid(message: &'static str) -> Error {
    Error::invalid(Reason::CsrInvalid, FIELD, message)
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm,
    };

    use super::*;
    use crate::base::{Kind, public_key::KeyAlgorithm};

    fn csr(algorithm: &'static SignatureAlgorithm) -> String {
        let key = KeyPair::generate_for(algorithm).unwrap();
        CertificateParams::new(["evil.example".to_owned()]).unwrap().serialize_request(&key).unwrap().pem().unwrap()
    }

    fn pem(der: &[u8]) -> String {
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", STANDARD.encode(der))
    }

    fn refusal(csr_pem: &str) -> (Reason, String) {
        let error = read(csr_pem).unwrap_err();
        assert_eq!((error.kind, error.violations[0].field.as_str()), (Kind::InvalidArgument, FIELD));
        (error.reason, error.message.into_owned())
    }

    #[test]
    fn the_accepted_types_of_keys_are_read() {
        for (algorithm, expected) in [
            (&PKCS_ECDSA_P256_SHA256, KeyAlgorithm::P256),
            (&PKCS_ECDSA_P384_SHA384, KeyAlgorithm::P384),
            (&PKCS_ED25519, KeyAlgorithm::Ed25519),
        ] {
            assert_eq!(read(&csr(algorithm)).unwrap().algorithm(), expected);
        }
        let rsa = read(include_str!("../../tests/data/keys/rsa3072.csr.pem")).unwrap();
        let same = PublicKey::from_jwk_text(include_str!("../../tests/data/keys/rsa3072.jwk.json")).unwrap();
        assert_eq!((rsa.algorithm(), rsa.thumbprint()), (KeyAlgorithm::Rsa, same.thumbprint()));
        let other_hash = read(include_str!("../../tests/data/keys/p384-sha256.csr.pem")).unwrap();
        assert_eq!(other_hash.algorithm(), KeyAlgorithm::P384);
    }

    #[test]
    fn the_form_may_differ_in_white_space_and_label() {
        let good = csr(&PKCS_ED25519);
        let key = read(&good).unwrap();
        for same in [good.replace('\n', "\r\n"), good.replace("CERTIFICATE", "NEW CERTIFICATE"), format!("\n {good}")] {
            assert_eq!(read(&same).unwrap(), key);
        }
    }

    #[test]
    fn weak_and_unknown_keys_are_refused() {
        for (weak, part) in [
            (include_str!("../../tests/data/keys/rsa2048.csr.pem"), "3072"),
            (include_str!("../../tests/data/keys/p521.csr.pem"), "P-256 or P-384"),
        ] {
            let (reason, text) = refusal(weak);
            assert!(reason == Reason::PublicKeyRefused && text.contains(part), "{text}");
        }
        let (reason, text) = refusal(include_str!("../../tests/data/keys/p256-sha1.csr.pem"));
        assert!(reason == Reason::CsrInvalid && text.contains("SHA-256"), "{text}");
    }

    #[test]
    fn the_key_must_have_signed_the_request() {
        let der = der_of(csr(&PKCS_ED25519).trim()).unwrap();
        let other = der_of(csr(&PKCS_ED25519).trim()).unwrap();
        let end = der.len() - 64;
        let stolen = [&der[..end], &other[other.len() - 64..]].concat();
        assert!(refusal(&pem(&stolen)).1.contains("signed by its own key"));
        // What follows the signed part: the algorithm, and the signature with its length.
        let signed = der.len() - 64 - 3 - 7;
        for at in 0..der.len() {
            let mut changed = der.clone();
            changed[at] ^= 1;
            match read(&pem(&changed)) {
                Ok(key) => assert!(at >= signed && at < end && key == read(&pem(&der)).unwrap(), "byte {at}"),
                Err(error) => assert_eq!(error.kind, Kind::InvalidArgument),
            }
        }
    }

    #[test]
    fn malformed_texts_are_refused_without_the_text_of_a_library() {
        let good = csr(&PKCS_ED25519);
        let der = der_of(good.trim()).unwrap();
        let cases = [
            (String::new(), "one PEM block"),
            ("x".repeat(MAX_LEN + 1), "at most 16384 bytes"),
            (good.repeat(2), "one PEM block"),
            (format!("{good}x"), "one PEM block"),
            (good.replace("CERTIFICATE REQUEST", "CERTIFICATE"), "one PEM block"),
            (pem(b""), "not a valid PKCS#10 request"),
            (pem(&der[..der.len() - 1]), "not a valid PKCS#10 request"),
            (pem(&[&der[..], b"x"].concat()), "followed by other data"),
        ];
        for (bad, part) in cases {
            let (reason, text) = refusal(&bad);
            assert!(reason == Reason::CsrInvalid && text.contains(part), "{text}");
        }
    }
}
