//! Certificate authorities of the installation, and the certificates that they issue.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    base::{Error, Result, Secret},
    store::columns::KeyUse,
};

/// The longest validity of a certificate that an authority issues.
pub const CERTIFICATE_LIFE: Duration = Duration::hours(24);

/// A certificate authority that issues certificates.
pub struct Authority {
    key_id: String,
    certificate: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

/// The holder of a new certificate.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'h> {
    /// Its public key: SubjectPublicKeyInfo, DER.
    pub public_key: &'h [u8],
    /// The name in the certificate, for people.
    pub common_name: &'h str,
    /// The SPIFFE id, the only name that counts.
    pub spiffe_id: &'h str,
    /// The serial number.
    pub serial: Uuid,
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
}

/// A new authority, not stored yet.
pub(super) struct NewAuthority {
    pub(super) key_id: String,
    /// SubjectPublicKeyInfo: DER, in base64.
    pub(super) public_key: String,
    /// DER, in base64.
    pub(super) certificate: String,
    pub(super) secret: Secret<Vec<u8>>,
}

impl NewAuthority {
    /// Makes a self-signed authority with an ECDSA key on P-256, which every TLS library knows.
    pub(super) fn generate(
        key_use: KeyUse,
        domain: &str,
        not_before: OffsetDateTime,
        not_after: OffsetDateTime,
    ) -> Result<Self> {
        let key = KeyPair::generate().map_err(Error::internal)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, domain);
        params.distinguished_name.push(DnType::CommonName, format!("{domain} {}", key_use.as_str()));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (not_before, not_after);
        let certificate = params.self_signed(&key).map_err(Error::internal)?;
        let spki = key.subject_public_key_info();
        Ok(Self {
            key_id: bundle_verify::key_id(&spki),
            public_key: STANDARD.encode(spki),
            certificate: STANDARD.encode(certificate.der()),
            secret: Secret::new(key.serialize_der()),
        })
    }
}

impl Authority {
    /// An authority that was stored.
    pub(super) fn open(key_id: &str, certificate: &[u8], secret: &Secret<Vec<u8>>) -> Result<Self> {
        let key = KeyPair::try_from(secret.expose().as_slice()).map_err(Error::internal)?;
        let issuer = Issuer::from_ca_cert_der(&certificate.to_vec().into(), key).map_err(Error::internal)?;
        Ok(Self { key_id: key_id.to_owned(), certificate: certificate.to_vec(), issuer })
    }

    /// The id of its key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Its certificate: DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Issues the certificate of a device or gateway: DER.
    pub fn certify(&self, holder: &Holder<'_>) -> Result<Vec<u8>> {
        let key = SubjectPublicKeyInfo::from_der(holder.public_key).map_err(Error::internal)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, holder.common_name);
        params.subject_alt_names = vec![SanType::URI(holder.spiffe_id.try_into().map_err(Error::internal)?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, &key, holder.serial, (holder.not_before, holder.not_after))
    }

    /// Issues the certificate of a server with these names and addresses: DER.
    pub fn certify_server(
        &self,
        names: &[String],
        key: &KeyPair,
        serial: Uuid,
        validity: (OffsetDateTime, OffsetDateTime),
    ) -> Result<Vec<u8>> {
        let mut params = CertificateParams::new(names).map_err(Error::internal)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "tenantry");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, key, serial, validity)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        key: &impl PublicKeyData,
        serial: Uuid,
        (not_before, not_after): (OffsetDateTime, OffsetDateTime),
    ) -> Result<Vec<u8>> {
        params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (not_before, not_after);
        let certificate = params.signed_by(key, &self.issuer).map_err(Error::internal)?;
        Ok(certificate.der().to_vec())
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Authority").field(&self.key_id).finish()
    }
}
