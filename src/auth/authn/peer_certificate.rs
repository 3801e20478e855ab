//! The client certificate of a connection as a credential. TLS has verified that the client has the key; who issued the
//! certificate, and whether it is valid, is decided here, for each call.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
};

use super::{authorities::Authority, enrolled::Presented};
use crate::base::{SpiffeId, TrustDomain, public_key::PublicKey};

/// The certificate of a connection, in the extensions of its requests. Clones share what does not change: its content, and
/// under which keys its signature is valid.
#[derive(Clone)]
pub struct PeerCertificate(Arc<Certificate>);

struct Certificate {
    der: Vec<u8>,
    leaf: OnceLock<Option<Leaf>>,
    /// Whether the signature is valid, by the thumbprint of the key of an authority with the name of the issuer.
    signed_by: Mutex<HashMap<String, bool>>,
}

/// The content of a certificate that is one of a device or gateway by its form.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Leaf {
    /// What is signed, the object identifier of the algorithm, and the signature.
    signed: Vec<u8>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
    /// DER of the name of its issuer.
    issuer: Vec<u8>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    domain: TrustDomain,
    id: SpiffeId,
    credential: Uuid,
    thumbprint: String,
}

impl PeerCertificate {
    /// The certificate with this DER.
    pub fn new(der: Vec<u8>) -> Self {
        Self(Arc::new(Certificate { der, leaf: OnceLock::new(), signed_by: Mutex::default() }))
    }

    /// The content of a certificate that a trusted authority has issued for its kind of subject, and that is valid now or
    /// ended not longer ago than `grace`.
    pub(super) fn verify(
        &self,
        authorities: &[Authority],
        domain: &TrustDomain,
        now: OffsetDateTime,
        grace: Duration,
    ) -> Option<Presented> {
        let leaf = self.0.leaf.get_or_init(|| read(&self.0.der)).as_ref()?;
        if leaf.domain != *domain || !(leaf.not_before..=leaf.not_after + grace).contains(&now) {
            return None;
        }
        let issues = |authority: &&Authority| {
            authority.certifies == leaf.id.kind && authority.name == leaf.issuer && authority.is_trusted(now)
        };
        authorities.iter().filter(issues).find(|authority| self.is_signed_by(leaf, &authority.key))?;
        Some(Presented {
            tenant: leaf.id.tenant,
            kind: leaf.id.kind,
            id: leaf.id.id,
            credential: leaf.credential,
            thumbprint: leaf.thumbprint.clone(),
            ends: leaf.not_after,
        })
    }

    fn is_signed_by(&self, leaf: &Leaf, key: &PublicKey) -> bool {
        // There are only as many entries as authorities with one name.
        let mut known = self.0.signed_by.lock().unwrap_or_else(PoisonError::into_inner);
        let verified = || key.verifies_x509(&leaf.algorithm, &leaf.signed, &leaf.signature);
        *known.entry(key.thumbprint().to_owned()).or_insert_with(verified)
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCertificate").field("length", &self.0.der.len()).finish_non_exhaustive()
    }
}

/// Reads a certificate; `None` if it is not one for a device or gateway.
fn read(der: &[u8]) -> Option<Leaf> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    let tbs = &certificate.tbs_certificate;
    if !rest.is_empty() || certificate.signature_value.unused_bits != 0 || !is_for_clients(&certificate) {
        return None;
    }
    let (domain, id) = SpiffeId::read(only_name(&certificate)?)?;
    Some(Leaf {
        signed: tbs.as_ref().to_vec(),
        algorithm: certificate.signature_algorithm.algorithm.as_bytes().to_vec(),
        signature: certificate.signature_value.data.to_vec(),
        issuer: tbs.issuer.as_raw().to_vec(),
        not_before: tbs.validity.not_before.to_datetime(),
        not_after: tbs.validity.not_after.to_datetime(),
        domain,
        id,
        credential: credential(tbs.raw_serial())?,
        thumbprint: PublicKey::from_spki(tbs.subject_pki.raw).ok()?.thumbprint().to_owned(),
    })
}

/// Whether the extensions admit a use as a client: it is not an authority, client authentication is not excluded, and
/// nothing critical is unknown (RFC 5280, section 4.2).
fn is_for_clients(certificate: &X509Certificate<'_>) -> bool {
    let fits = |of: &ParsedExtension<'_>, critical: bool| match of {
        ParsedExtension::BasicConstraints(constraints) => !constraints.ca,
        ParsedExtension::ExtendedKeyUsage(usage) => usage.client_auth,
        ParsedExtension::KeyUsage(usage) => usage.digital_signature(),
        ParsedExtension::SubjectAlternativeName(_)
        | ParsedExtension::AuthorityKeyIdentifier(_)
        | ParsedExtension::SubjectKeyIdentifier(_) => true,
        _ => !critical,
    };
    let is_unique = certificate.tbs_certificate.extensions_map().is_ok();
    is_unique && certificate.extensions().iter().all(|of| fits(of.parsed_extension(), of.critical))
}

/// The URI, if it is the only subject alternative name.
fn only_name<'c>(certificate: &'c X509Certificate<'_>) -> Option<&'c str> {
    let names = certificate.subject_alternative_name().ok()??;
    match names.value.general_names.as_slice() {
        [GeneralName::URI(uri)] => Some(uri),
        _ => None,
    }
}

/// The id of the credential, which is the serial number. DER omits leading zeros, and adds one before a high bit.
fn credential(serial: &[u8]) -> Option<Uuid> {
    let significant = &serial[serial.iter().take_while(|byte| **byte == 0).count()..];
    if significant.len() > size_of::<u128>() || serial.first().is_none_or(|first| *first >= 0x80) {
        return None;
    }
    let number = significant.iter().fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
    Some(Uuid::from_u128(number)).filter(|id| !id.is_nil())
}

#[cfg(test)]
#[path = "peer_certificate_tests.rs"]
mod tests;
