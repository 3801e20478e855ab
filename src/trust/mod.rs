//! Trust: the keys that sign for a tenant or certify for the installation, and the anchor sets that announce them
//! (zero-trust contract, sections 5.2 and 6.0).

mod anchors;
mod artifacts;
mod authority;
mod current;
mod envelope;
mod expiry;
mod installation;
mod jws;
mod key;
mod publish;
mod server;
mod signers;

pub mod jobs;
pub mod reseal;
pub mod rotation;

use std::sync::Arc;

use time::Duration;

pub use anchors::AnchorSet;
pub use artifacts::{Artifact, ArtifactSource, Content};
pub use authority::{Authority, CERTIFICATE_LIFE, Holder};
pub use current::{require_active, require_issuer};
pub use envelope::sign;
pub use expiry::{Expiring, ExpiringKind, Expiry};
pub use installation::Installation;
pub use jws::sign as sign_jws;
pub use key::ArtifactKey;
pub use server::{REPLACED_BEFORE, ServerCertificate};

use crate::{
    base::{Activator, TrustDomain},
    store::{Sealer, Store},
};

/// The trust of an installation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Trust {
    store: Store,
    sealer: Sealer,
    settings: Arc<TrustSettings>,
    installation: installation::Cache,
    /// Wakes the job that advances rotations.
    rotations: Activator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustSettings {
    /// The domain of the names in certificates.
    pub domain: TrustDomain,
    /// How often consumers should ask for a new anchor set.
    pub refresh: Duration,
}

impl Trust {
    pub fn new(store: Store, sealer: Sealer, settings: TrustSettings) -> Self {
        let (settings, installation) = (Arc::new(settings), installation::Cache::default());
        Self { store, sealer, settings, installation, rotations: Activator::default() }
    }

    /// The domain of the names in certificates.
    pub fn domain(&self) -> &TrustDomain {
        &self.settings.domain
    }
}
