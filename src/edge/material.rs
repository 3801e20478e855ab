//! Topics and their states.

use std::sync::Arc;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::{
    store::columns::MaterialKind,
    trust::{AnchorSet, Artifact},
};

/// What a stream may follow within a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// The trust anchors.
    TrustAnchors,
    /// The policies for the gateways of a bucket (`policy::canary::bucket`).
    GatewayPolicy { bucket: u32 },
}

impl Topic {
    /// What gateways report about it as.
    pub fn kind(self) -> MaterialKind {
        match self {
            Self::TrustAnchors => MaterialKind::TrustAnchors,
            Self::GatewayPolicy { .. } => MaterialKind::GatewayPolicy,
        }
    }
}

/// A signed state. Streams share it.
#[derive(Clone, Debug)]
pub struct Material {
    /// Does not decrease.
    pub number: i64,
    /// `sha256:` and the digest of the payload, in hex.
    pub digest: Arc<str>,
    /// The envelope, in JSON.
    pub envelope: Bytes,
    /// When to sign the next one, without a change.
    pub renew_at: OffsetDateTime,
    /// When this server had it.
    pub known_at: Instant,
}

/// Equal if they are the same artifact.
impl PartialEq for Material {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number && self.digest == other.digest
    }
}

impl Eq for Material {}

/// What is known of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It was not read yet.
    #[default]
    Unknown,
    /// There is nothing yet, such as a published policy.
    Absent,
    Known(Arc<Material>),
}

impl From<Artifact> for State {
    fn from(artifact: Artifact) -> Self {
        let life = artifact.expires_at - artifact.issued_at;
        Self::Known(Arc::new(Material {
            number: artifact.number,
            digest: artifact.digest.into(),
            envelope: artifact.envelope.into(),
            renew_at: artifact.issued_at + life * 2 / 3,
            known_at: Instant::now(),
        }))
    }
}

impl From<AnchorSet> for State {
    fn from(set: AnchorSet) -> Self {
        Self::Known(Arc::new(Material {
            renew_at: set.renew_at(),
            number: set.sequence,
            digest: set.digest.into(),
            envelope: set.envelope.into(),
            known_at: Instant::now(),
        }))
    }
}
