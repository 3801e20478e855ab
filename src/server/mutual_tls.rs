//! What the listener for client certificates needs: the certificate of the server, and the authorities of devices and gateways.
//! Both are kept current.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::time::sleep;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_util::sync::CancellationToken;

use crate::{
    auth::authn::authorities::{Authorities, Authority, AuthorityState},
    base::{Clock, EnrolledKind, Error, Result, ServerIdentity},
    store::columns::{KeyState, KeyUse},
    trust::{Installation, REPLACED_BEFORE, ServerCertificate, Trust},
};

/// How often the keys of the installation are read again, because another server may have changed them, and the delay after a failure.
const PERIOD: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_secs(10);

/// The authorities, as they were read last. Cheap to clone; clones share them.
#[derive(Clone)]
pub(super) struct CurrentAuthorities(Arc<ArcSwap<Arc<[Authority]>>>);

impl Default for CurrentAuthorities {
    fn default() -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Arc::from([]))))
    }
}

impl Authorities for CurrentAuthorities {
    fn current(&self) -> Arc<[Authority]> {
        Arc::clone(&self.0.load())
    }
}

/// The state that is kept current.
#[derive(Clone)]
pub(super) struct MutualTls {
    pub(super) trust: Trust,
    pub(super) identity: ServerIdentity,
    pub(super) authorities: CurrentAuthorities,
    /// The names and addresses in the certificate of the server.
    pub(super) names: Vec<String>,
    pub(super) clock: Clock,
}

impl MutualTls {
    /// Keeps both current, until `stop`.
    pub(super) async fn follow(self, stop: CancellationToken) {
        if stop.run_until_cancelled(self.until_needed()).await.is_none() {
            return;
        }
        let (mut known, mut certificate) = (None, None);
        loop {
            let pause = match self.update(&mut known, &mut certificate).await {
                Ok(()) => PERIOD,
                Err(error) => {
                    tracing::warn!(%error, "the certificates of the listener for client certificates are not current");
                    RETRY
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.trust.changed().activated() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Waits until the installation has keys, or a client connects: a server without devices makes none.
    async fn until_needed(&self) {
        while !matches!(self.trust.has_keys().await, Ok(true)) {
            tokio::select! {
                () = self.identity.wanted() => return,
                () = sleep(PERIOD) => {}
            }
        }
    }

    async fn update(
        &self,
        known: &mut Option<Arc<Installation>>,
        certificate: &mut Option<ServerCertificate>,
    ) -> Result<()> {
        let installation = self.trust.installation().await?;
        if !known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &installation)) {
            self.authorities.0.store(Arc::new(authorities(&installation)?.into()));
            *known = Some(installation.clone());
        }
        let issuer = installation.authority(KeyUse::ServerCa)?.key_id();
        let now = self.clock.now();
        let is_current =
            |have: &ServerCertificate| now + REPLACED_BEFORE < have.not_after && have.issuer_key_id == issuer;
        if !certificate.as_ref().is_some_and(is_current) {
            let new = self.trust.server_certificate(&self.names).await?;
            let key = PrivateKeyDer::try_from(new.key.expose().clone()).map_err(Error::internal)?;
            self.identity.set(new.chain.iter().map(|der| der.clone().into()).collect(), key)?;
            *certificate = Some(new);
        }
        Ok(())
    }
}

/// The authorities of devices and gateways.
fn authorities(installation: &Installation) -> Result<Vec<Authority>> {
    let mut authorities = Vec::new();
    for (certifies, key_use) in [(EnrolledKind::Device, KeyUse::DeviceCa), (EnrolledKind::Gateway, KeyUse::GatewayCa)] {
        for (certificate, state) in installation.certificates(key_use) {
            if let Some(state) = announced(state) {
                authorities.push(Authority::of_certificate(certifies, &certificate, state)?);
            }
        }
    }
    Ok(authorities)
}

fn announced(state: KeyState) -> Option<AuthorityState> {
    match state {
        KeyState::Pending => Some(AuthorityState::Upcoming),
        KeyState::Active => Some(AuthorityState::Active),
        KeyState::Retiring => Some(AuthorityState::Retiring),
        KeyState::Revoked => Some(AuthorityState::Revoked),
        KeyState::Retired => None,
    }
}
