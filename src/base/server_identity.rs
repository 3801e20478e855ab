//! The certificate with which the server identifies itself to devices and gateways.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio_rustls::rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::error::{Error, Result};

/// The current certificate and its key, if there is one. Cheap to clone; clones share it. New connections use the
/// certificate that is set then; the first one makes the server get one.
#[derive(Clone, Debug, Default)]
pub struct ServerIdentity(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    current: ArcSwapOption<CertifiedKey>,
    /// Whether a client has connected.
    wanted: watch::Sender<bool>,
    /// Whether there is a certificate.
    set: watch::Sender<bool>,
}

impl ServerIdentity {
    /// Sets a certificate, followed by its chain, and its key. Fails if they do not belong together.
    pub fn set(&self, chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<()> {
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(Error::internal)?;
        self.0.current.store(Some(Arc::new(certified)));
        self.0.set.send_replace(true);
        Ok(())
    }

    /// Whether there is a certificate.
    pub fn is_set(&self) -> bool {
        self.0.current.load().is_some()
    }

    /// Waits until a client has connected.
    pub async fn wanted(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.wanted.subscribe().wait_for(|wanted| *wanted).await;
    }

    /// Asks for a certificate for a client, and waits until there is one.
    pub async fn wait(&self) {
        if !self.is_set() {
            self.0.wanted.send_replace(true);
            let _ = self.0.set.subscribe().wait_for(|set| *set).await;
        }
    }
}

impl ResolvesServerCert for ServerIdentity {
    /// Without a certificate, the handshake fails.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.current.load_full()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, generate_simple_self_signed};

    use super::*;

    fn key(key: &KeyPair) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(key.serialize_der()).unwrap()
    }

    #[test]
    fn a_certificate_is_set_only_with_its_key() {
        let identity = ServerIdentity::default();
        let own = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let chain = || vec![own.cert.der().clone()];
        assert!(identity.set(chain(), key(&KeyPair::generate().unwrap())).is_err());
        assert!(identity.set(Vec::new(), key(&own.signing_key)).is_err());
        assert!(!identity.is_set());
        identity.clone().set(chain(), key(&own.signing_key)).unwrap();
        assert!(identity.is_set());
    }
}
