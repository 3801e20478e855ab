//! The newest artifact of each kind.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{AnchorSet, Envelope, KeyUse, Refusal, delta, digest, instant, strict};

/// Maximum size of an envelope.
const LIMIT: usize = 16 << 20;

/// A kind of signed artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The policy of a device.
    Policy,
    /// The policies that a gateway enforces.
    GatewayPolicy,
    /// The configuration of a gateway.
    DeploymentConfig,
    /// The index of a gateway's materials.
    AuthMaterialManifest,
    /// The keys of security policy certificates, and those that are revoked.
    SpcBundle,
    /// The directory of gateways.
    GatewayPools,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Policy,
        Self::GatewayPolicy,
        Self::DeploymentConfig,
        Self::AuthMaterialManifest,
        Self::SpcBundle,
        Self::GatewayPools,
    ];

    /// The name in the media type of the payload, `application/vnd.tenantry.<name>+json`, and in its schema, `tenantry.<name>.v1`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::GatewayPolicy => "gateway-policy",
            Self::DeploymentConfig => "deployment-config",
            Self::AuthMaterialManifest => "auth-material-manifest",
            Self::SpcBundle => "spc-bundle",
            Self::GatewayPools => "gateway-pools",
        }
    }

    fn is_type(self, media_type: &str) -> bool {
        let rest = media_type.strip_prefix("application/vnd.tenantry.").and_then(|rest| rest.strip_suffix("+json"));
        rest == Some(self.name())
    }

    fn is_schema(self, schema: &str) -> bool {
        schema.strip_prefix("tenantry.").and_then(|rest| rest.strip_suffix(".v1")) == Some(self.name())
    }

    /// What the key must be for.
    fn key_use(self) -> KeyUse {
        match self {
            Self::SpcBundle => KeyUse::SpcSigning,
            _ => KeyUse::PolicySigning,
        }
    }

    fn place(self) -> usize {
        self as usize
    }
}

/// An artifact that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The payload: JSON. That of an SPC bundle has all revocations, also if what was accepted had only the later ones.
    pub payload: Vec<u8>,
    /// The digest of the payload as it was signed, which is its entity tag.
    pub digest: String,
    /// Its version, or its sequence.
    pub version: u64,
    /// The time of its signature, in seconds since 1970.
    pub issued_at: i64,
    /// It must not be used from this time on.
    pub expires_at: i64,
}

/// What protects from older artifacts. Keep it with the payload, on disk, before the payload is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Mark {
    /// The highest accepted version.
    pub version: u64,
    /// When that was issued.
    pub issued_at: i64,
}

/// The members that all payloads have.
#[derive(Deserialize)]
struct Head {
    schema: String,
    #[serde(alias = "sequence", alias = "config_version")]
    version: u64,
    issued_at: String,
    expires_at: String,
}

/// The newest artifact of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shelf {
    places: [Option<Accepted>; Kind::ALL.len()],
    marks: [Mark; Kind::ALL.len()],
}

impl Shelf {
    /// Without artifacts, and with the marks of an earlier run.
    pub fn with_marks(marks: impl IntoIterator<Item = (Kind, Mark)>) -> Self {
        let mut shelf = Self::default();
        for (kind, mark) in marks {
            shelf.marks[kind.place()] = mark;
        }
        shelf
    }

    /// Accepts an artifact, in place of the one before, if it passes every check. Otherwise the one before stays. One of the same version
    /// is accepted if it was not issued earlier: after an emergency, artifacts are signed anew. An SPC bundle with the revocations since an
    /// earlier one continues the one on the shelf; it is refused if some between them are missing, and the whole bundle is needed.
    pub fn accept(&mut self, anchors: &AnchorSet, kind: Kind, envelope: &[u8], now: i64) -> Result<&Accepted, Refusal> {
        if !anchors.is_fresh(now) {
            return Err(Refusal::NothingFresh);
        }
        let envelope = Envelope::parse(envelope, LIMIT)?;
        if !kind.is_type(&envelope.payload_type) {
            return Err(Refusal::WrongType);
        }
        anchors.check(&envelope, kind.key_use(), now)?;
        let head: Head = strict::parse(&envelope.payload)?;
        let time = |text: &str| instant::seconds(text).ok_or(Refusal::BadSchema);
        if !kind.is_schema(&head.schema) {
            return Err(Refusal::BadSchema);
        }
        let (issued_at, expires_at) = (time(&head.issued_at)?, time(&head.expires_at)?);
        if now >= expires_at {
            return Err(Refusal::Expired);
        }
        let mark = Mark { version: head.version, issued_at };
        let last = self.marks[kind.place()];
        if (mark.version, mark.issued_at) < (last.version, last.issued_at) {
            return Err(Refusal::RolledBack);
        }
        let whole = match kind {
            Kind::SpcBundle => delta::whole(self.places[kind.place()].as_ref(), &envelope.payload)?,
            _ => None,
        };
        // A later version may have been issued earlier, by a server whose clock is behind.
        self.marks[kind.place()] = mark;
        let digest = digest(&envelope.payload);
        let payload = whole.unwrap_or(envelope.payload);
        let accepted = Accepted { payload, digest, version: head.version, issued_at, expires_at };
        Ok(self.places[kind.place()].insert(accepted))
    }

    /// The newest artifact of a kind, unless it has expired. Without one, a consumer must deny.
    pub fn current(&self, kind: Kind, now: i64) -> Option<&Accepted> {
        self.places[kind.place()].as_ref().filter(|accepted| now < accepted.expires_at)
    }

    /// The mark of a kind.
    pub fn mark(&self, kind: Kind) -> Mark {
        self.marks[kind.place()]
    }
}
