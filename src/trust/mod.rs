//! Trust: the keys that sign for a tenant or certify for the installation, and the anchor sets that announce them
//! (zero-trust contract, sections 5.2 and 6.0).

mod anchors;
mod artifacts;
mod authority;
mod envelope;
mod installation;
pub mod jws;
mod key;
mod server;
mod signers;

pub mod reseal;

use std::sync::Arc;

use time::Duration;

pub use anchors::AnchorSet;
pub use artifacts::{Artifact, ArtifactSource, Content};
pub use authority::{Authority, Holder};
pub use envelope::sign;
pub use installation::Installation;
pub use key::ArtifactKey;
pub use server::{REPLACED_BEFORE, ServerCertificate};

use crate::{
    base::TrustDomain,
    store::{Sealer, Store},
};

/// The trust of an installation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Trust {
    store: Store,
    sealer: Sealer,
    settings: Arc<TrustSettings>,
    installation: installation::Cache,
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
        Self { store, sealer, settings: Arc::new(settings), installation: installation::Cache::default() }
    }

    /// The domain of the names in certificates.
    pub fn domain(&self) -> &TrustDomain {
        &self.settings.domain
    }
}
