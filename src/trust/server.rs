//! The certificate with which the server identifies itself to devices and gateways.

use rcgen::KeyPair;
use time::{Duration, OffsetDateTime};

use super::{Trust, authority::CERTIFICATE_LIFE};
use crate::{
    base::{Error, Result, Secret},
    store::columns::KeyUse,
};

/// Validity of a certificate, and how long before its end it is replaced.
const LIFE: Duration = CERTIFICATE_LIFE;
pub const REPLACED_BEFORE: Duration = Duration::hours(8);
/// The tolerance for clients with slow clocks.
const BACKDATED: Duration = Duration::hours(1);

/// A certificate of the server, with its key.
#[derive(Debug)]
pub struct ServerCertificate {
    /// DER, followed by the certificate of the authority.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8, DER.
    pub key: Secret<Vec<u8>>,
    /// The id of the authority's key.
    pub issuer_key_id: String,
    pub not_after: OffsetDateTime,
}

impl Trust {
    /// Issues a certificate for a new key of the server, with these names and addresses.
    pub async fn server_certificate(&self, names: &[String]) -> Result<ServerCertificate> {
        let installation = self.installation().await?;
        let authority = installation.authority(KeyUse::ServerCa)?;
        let key = KeyPair::generate().map_err(Error::internal)?;
        let now = self.store.clock().now();
        let not_after = now + LIFE;
        let leaf = authority.certify_server(names, &key, self.store.clock().new_id(), (now - BACKDATED, not_after))?;
        Ok(ServerCertificate {
            chain: vec![leaf, authority.certificate().to_vec()],
            key: Secret::new(key.serialize_der()),
            issuer_key_id: authority.key_id().to_owned(),
            not_after,
        })
    }
}
