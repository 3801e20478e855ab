//! Topics and their states.

use std::sync::Arc;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    access::KillList,
    base::IdKind,
    fleet::directory::Reader,
    policy::bundles::Bundle,
    spc,
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
    /// The configuration of a gateway.
    DeploymentConfig { gateway: Uuid },
    /// The keys of security policy certificates, and those that are revoked.
    SpcBundle,
    /// The sessions that a gateway has to end. Not signed.
    KillList { gateway: Uuid },
    /// The policy of a device.
    DevicePolicy { device: Uuid },
    /// The index of what a gateway needs.
    Manifest { gateway: Uuid },
    /// The directory of gateways: that of a device, or the one for gateways.
    Directory { reader: Reader },
}

impl Topic {
    /// What gateways report about it as; `None` if it is not for gateways.
    pub fn kind(self) -> Option<MaterialKind> {
        match self {
            Self::TrustAnchors => Some(MaterialKind::TrustAnchors),
            Self::GatewayPolicy { .. } => Some(MaterialKind::GatewayPolicy),
            Self::DeploymentConfig { .. } => Some(MaterialKind::DeploymentConfig),
            Self::SpcBundle => Some(MaterialKind::SpcBundle),
            Self::KillList { .. } => Some(MaterialKind::KillList),
            Self::DevicePolicy { .. } | Self::Manifest { .. } | Self::Directory { .. } => None,
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
    /// When to read it again, and sign the next one, without a change.
    pub renew_at: Option<OffsetDateTime>,
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
            renew_at: Some(artifact.issued_at + life * 2 / 3),
            known_at: Instant::now(),
        }))
    }
}

impl State {
    /// The same, to be read again at a time if it is before that of the next signature.
    pub(super) fn renewed_by(self, until: Option<OffsetDateTime>) -> Self {
        match self {
            Self::Known(material) => {
                let renew_at = [material.renew_at, until].into_iter().flatten().min();
                Self::Known(Arc::new(Material { renew_at, ..Material::clone(&material) }))
            }
            state => state,
        }
    }
}

impl From<Bundle> for State {
    /// A policy ends with its publication: it is not signed again, but read again, because a canary is followed by the stable policy, and
    /// a policy without a successor is withheld.
    fn from(bundle: Bundle) -> Self {
        Self::Known(Arc::new(Material {
            number: bundle.version,
            digest: bundle.digest.into(),
            envelope: bundle.envelope.into(),
            renew_at: Some(bundle.expires_at),
            known_at: Instant::now(),
        }))
    }
}

impl From<spc::bundles::Bundle> for State {
    fn from(bundle: spc::bundles::Bundle) -> Self {
        Self::Known(Arc::new(Material {
            renew_at: Some(bundle.renew_at()),
            number: bundle.sequence,
            digest: bundle.digest.into(),
            envelope: bundle.envelope.into(),
            known_at: Instant::now(),
        }))
    }
}

impl From<KillList> for State {
    /// The ids of the sessions, one a line.
    fn from(list: KillList) -> Self {
        let ids: Vec<_> = list.sessions.into_iter().map(|id| IdKind::Session.show(id)).collect();
        let lines = ids.join("\n");
        Self::Known(Arc::new(Material {
            number: list.version,
            digest: bundle_verify::digest(lines.as_bytes()).into(),
            envelope: lines.into(),
            renew_at: None,
            known_at: Instant::now(),
        }))
    }
}

impl From<AnchorSet> for State {
    fn from(set: AnchorSet) -> Self {
        Self::Known(Arc::new(Material {
            renew_at: Some(set.renew_at()),
            number: set.sequence,
            digest: set.digest.into(),
            envelope: set.envelope.into(),
            known_at: Instant::now(),
        }))
    }
}
