//! The credentials of devices and gateways on the zero-trust surface: tokens with a proof, and certificates.

use std::sync::Arc;

use http::{header::ORIGIN, request::Parts};
use time::Duration;

use super::{
    authorities::Authorities,
    authorization_header::{self, Scheme},
    device_tokens,
    dpop::Proofs,
    enrolled::{self, Entry, FindEnrolled, Presented},
    keys::Keys,
    peer_certificate::PeerCertificate,
    tokens,
};
use crate::{
    auth::request::ClientInfo,
    base::{Clock, Result, TrustDomain, public_url::PublicUrl},
    fleet::Sightings,
};

/// The paths of the call that renews a certificate, over REST and gRPC. Only they accept a credential that has expired.
const RENEWAL: [&str; 2] = ["/v1/enroll", "/tenantry.zerotrust.v1.EnrollmentService/Enroll"];

/// Turns the credentials of devices and gateways into callers.
pub struct EnrolledCredentials {
    finder: Arc<dyn FindEnrolled>,
    authorities: Arc<dyn Authorities>,
    domain: TrustDomain,
    sightings: Sightings,
    proofs: Proofs,
    renewal_grace: Duration,
    clock: Clock,
}

impl EnrolledCredentials {
    pub fn new(
        finder: Arc<dyn FindEnrolled>,
        authorities: Arc<dyn Authorities>,
        domain: TrustDomain,
        sightings: Sightings,
        clock: Clock,
    ) -> Self {
        Self {
            finder,
            authorities,
            domain,
            sightings,
            proofs: Proofs::new(clock.clone()),
            renewal_grace: Duration::ZERO,
            clock,
        }
    }

    /// Renews certificates for so long after their end.
    pub fn with_renewal_grace(self, renewal_grace: Duration) -> Self {
        Self { renewal_grace, ..self }
    }

    /// Compares the proofs of requests with this URL and their paths.
    pub fn with_public_url(self, url: Option<PublicUrl>) -> Self {
        Self { proofs: self.proofs.with_public_url(url), ..self }
    }

    /// How long ago the credential of a call may have expired.
    fn grace(&self, call: &Parts) -> Duration {
        if RENEWAL.contains(&call.uri.path()) { self.renewal_grace } else { Duration::ZERO }
    }

    /// The caller of a credential, whose call is noted.
    async fn caller(&self, presented: Presented, call: &Parts) -> Result<Entry> {
        let (kind, tenant, id) = (presented.kind, presented.tenant, presented.id);
        let entry = enrolled::caller(&self.finder, presented, self.grace(call)).await?;
        let address = call.extensions.get::<ClientInfo>().and_then(|client| client.address);
        self.sightings.note(kind, tenant, id, address);
        Ok(entry)
    }

    async fn by_token(&self, keys: &Keys, token: &str, call: &Parts) -> Result<Entry> {
        let presented = device_tokens::verify(keys, token, self.clock.now(), self.grace(call))?;
        let proven = self.proofs.verify(call, token, &presented.thumbprint)?;
        let entry = self.caller(presented, call).await.map_err(device_tokens::of_scheme)?;
        self.proofs.note(&proven)?;
        Ok(entry)
    }

    async fn by_certificate(&self, certificate: &PeerCertificate, call: &Parts) -> Result<Entry> {
        let (authorities, now) = (self.authorities.current(), self.clock.now());
        let presented = certificate.verify(&authorities, &self.domain, now, self.grace(call));
        self.caller(presented.ok_or_else(tokens::invalid)?, call).await
    }
}

/// Whether a browser sent the request for a page (the Fetch standard, and Fetch Metadata).
fn is_of_page(call: &Parts) -> bool {
    call.headers.contains_key(ORIGIN) || call.headers.contains_key("sec-fetch-site")
}

/// The device token of a request.
pub(super) fn token(call: &Parts) -> Result<Option<&str>> {
    authorization_header::token(&call.headers, Scheme::Dpop)
}

/// The device or gateway with this token. Without `known` credentials, none is valid.
pub(super) async fn by_token(
    known: Option<&EnrolledCredentials>,
    keys: &Keys,
    token: &str,
    call: &Parts,
) -> Result<Entry> {
    match known {
        Some(known) => known.by_token(keys, token, call).await,
        None => Err(device_tokens::invalid()),
    }
}

/// The device or gateway with the certificate of the connection, if there is one. Browsers present certificates
/// automatically, so that a foreign page could call with one; devices and gateways are not browsers.
pub(super) async fn by_certificate(known: Option<&EnrolledCredentials>, call: &Parts) -> Result<Option<Entry>> {
    let Some(certificate) = call.extensions.get::<PeerCertificate>() else { return Ok(None) };
    let known = known.filter(|_| !is_of_page(call)).ok_or_else(tokens::invalid)?;
    known.by_certificate(certificate, call).await.map(Some)
}
