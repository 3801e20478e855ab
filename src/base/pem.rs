//! Certificates and private keys in PEM. The errors of the library quote the file, which may be a private key; these do
//! not.

use tokio_rustls::rustls::{
    self,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{Error, PemObject},
    },
};

/// What is wrong with a text in PEM, as the end of a sentence about the file or the setting with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemFault {
    #[error("is not PEM, in which `-----BEGIN ...-----` and `-----END ...-----` are separate lines")]
    NotPem,
    #[error("contains no certificate in PEM")]
    NoCertificate,
    #[error("contains no unencrypted private key in PEM")]
    NoKey,
}

/// Why a certificate cannot be used with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairFault {
    #[error("the certificate is damaged")]
    Certificate,
    #[error("the kind of the key is not supported, or the key is damaged")]
    Key,
    #[error("the key does not belong to the certificate")]
    Mismatch,
}

impl From<rustls::Error> for PairFault {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => Self::Certificate,
            rustls::Error::InconsistentKeys(_) => Self::Mismatch,
            _ => Self::Key,
        }
    }
}

/// All certificates of a text, at least one.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemFault> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(fault(pem, &Error::NoItemsFound, PemFault::NoCertificate)),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(fault(pem, &error, PemFault::NoCertificate)),
    }
}

/// The first private key of a text.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, PemFault> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| fault(pem, &error, PemFault::NoKey))
}

fn fault(pem: &[u8], error: &Error, absent: PemFault) -> PemFault {
    let contains = |part: &[u8]| pem.windows(part.len()).any(|window| window == part);
    // The headers of an encrypted key (RFC 1421) are not base64.
    let is_encrypted = absent == PemFault::NoKey && contains(b"ENCRYPTED");
    let has_sections = matches!(error, Error::NoItemsFound) && contains(b"-----BEGIN ");
    if has_sections || is_encrypted { absent } else { PemFault::NotPem }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    #[test]
    fn a_fault_is_named_without_the_content() {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
        assert_eq!(certificates(format!("{certificate}{certificate}").as_bytes()).unwrap().len(), 2);
        assert!(private_key(format!("{certificate}{key}").as_bytes()).is_ok());
        let in_one_line = |text: &str| text.replace('\n', " ");
        let without_end = |text: &str| text.split("-----END").next().unwrap().to_owned();
        let encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
                         -----END RSA PRIVATE KEY-----\n";
        for (text, of_certificate, of_key) in [
            (String::new(), PemFault::NotPem, PemFault::NotPem),
            ("hunter2".to_owned(), PemFault::NotPem, PemFault::NotPem),
            (in_one_line(&certificate), PemFault::NotPem, PemFault::NotPem),
            (in_one_line(&key), PemFault::NotPem, PemFault::NotPem),
            (without_end(&key), PemFault::NotPem, PemFault::NotPem),
            (encrypted.replace("RSA PRIVATE", "ENCRYPTED PRIVATE"), PemFault::NoCertificate, PemFault::NoKey),
            (
                "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n".to_owned(),
                PemFault::NotPem,
                PemFault::NotPem,
            ),
        ] {
            assert_eq!(certificates(text.as_bytes()).unwrap_err(), of_certificate, "{text}");
            assert_eq!(private_key(text.as_bytes()).unwrap_err(), of_key, "{text}");
        }
        assert_eq!(certificates(key.as_bytes()).unwrap_err(), PemFault::NoCertificate);
        assert_eq!(private_key(certificate.as_bytes()).unwrap_err(), PemFault::NoKey);
        assert_eq!(private_key(encrypted.as_bytes()).unwrap_err(), PemFault::NoKey);
    }
}
