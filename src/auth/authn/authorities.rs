//! The certificate authorities of devices and gateways, as authentication sees them.

use std::sync::Arc;

use time::OffsetDateTime;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::base::{EnrolledKind, Error, Result, public_key::PublicKey};

/// The authorities of the installation. Implemented by what manages them, and by a fake in tests.
pub trait Authorities: Send + Sync + 'static {
    /// Those of devices and of gateways, in every state. Called for each call with a certificate, so it must not wait.
    fn current(&self) -> Arc<[Authority]>;
}

/// A certificate authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Whose certificates it issues: of devices for `device-ca`, of gateways for `gateway-ca`.
    pub certifies: EnrolledKind,
    pub state: AuthorityState,
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
    /// DER of its name.
    pub(super) name: Vec<u8>,
    pub(super) key: PublicKey,
}

/// The states of an anchor (zero-trust contract, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorityState {
    /// Published before its use. It may be used as soon as it is valid.
    Upcoming,
    Active,
    /// It issues nothing more; what it has issued stays valid.
    Retiring,
    Revoked,
}

impl Authority {
    /// The authority with this certificate, in DER.
    pub fn of_certificate(certifies: EnrolledKind, certificate: &[u8], state: AuthorityState) -> Result<Self> {
        let (rest, read) = X509Certificate::from_der(certificate).map_err(Error::internal)?;
        if !rest.is_empty() || !read.is_ca() {
            return Err(Error::internal("this is not the certificate of an authority"));
        }
        let tbs = &read.tbs_certificate;
        Ok(Self {
            certifies,
            state,
            not_before: tbs.validity.not_before.to_datetime(),
            not_after: tbs.validity.not_after.to_datetime(),
            name: tbs.subject.as_raw().to_vec(),
            key: PublicKey::from_spki(tbs.subject_pki.raw).map_err(Error::internal)?,
        })
    }

    /// Whether certificates of the authority are accepted now.
    pub(super) fn is_trusted(&self, now: OffsetDateTime) -> bool {
        self.state != AuthorityState::Revoked && (self.not_before..=self.not_after).contains(&now)
    }
}
