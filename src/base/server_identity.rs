//! The certificate with which the server identifies itself to devices and gateways.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio_rustls::rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::error::{Error, Result};

/// The current certificate and its key, if there is one. Cheap to clone; clones share it. New connections use the
/// certificate that is set then.
#[derive(Clone, Debug, Default)]
pub struct ServerIdentity(Arc<ArcSwapOption<CertifiedKey>>);

impl ServerIdentity {
    /// Sets a certificate, followed by its chain, and its key. Fails if they do not belong together.
    pub fn set(&self, chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<()> {
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(Error::internal)?;
        self.0.store(Some(Arc::new(certified)));
        Ok(())
    }

    /// Whether there is a certificate.
    pub fn is_set(&self) -> bool {
        self.0.load().is_some()
    }
}

impl ResolvesServerCert for ServerIdentity {
    /// Without a certificate, the handshake fails.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
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
